"""Networks of teams whose agents differ: one network a group, seen as one of all agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn

from omiga_torchrl import keys
from omiga_torchrl.gathering import GATHERED, pad_last
from omiga_torchrl.groups import GroupedTeamSpec, require_groups
from omiga_torchrl.modules.recurrent import TeamGRU

# What outputs of a group are filled up with, behind the agents, to the size of the largest one.
_FILL = {"action": 0.0, "loc": 0.0, "scale": 1.0, "logits": -torch.inf, "local_qvalue": 0.0}


class GroupNetwork(TensorDictModuleBase):
    """One network a group, as a network of all agents of a :class:`GroupedTeamSpec`.

    It reads and writes entries of the whole team, as :meth:`GroupedTeamSpec.gather` makes them. The network
    of each group reads its own agents and features of them, in the keys of a plain team; what it writes is
    filled up to the sizes of the largest group: logits with the smallest number, all else with zeros.

    Args:
        spec: the groups.
        networks: name of every group to its network, as the builders make it for a plain team.

    Raises:
        ValueError: a group is missing or unknown.

    Examples:
        >>> from omiga_torchrl.modules import value_network
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)})
        >>> values = GroupNetwork(spec, {name: value_network(group) for name, group in spec.groups.items()})
        >>> values(spec.gather(spec.fake_batch(8)))["agents", "local_value"].shape
        torch.Size([8, 5, 1])
    """

    def __init__(self, spec: GroupedTeamSpec, networks: Mapping[str, TensorDictModuleBase]) -> None:
        super().__init__()
        require_groups("GroupNetwork", networks, spec)
        self.spec, self.n_agents = spec, spec.n_agents
        self.networks = nn.ModuleDict({name: networks[name] for name in spec.groups})
        self.spans = spec.spans
        self.memory_keys = {name: memory_keys(network) for name, network in networks.items()}
        self.in_keys = list(dict.fromkeys(key for net in networks.values() for key in net.in_keys))
        written = [net.out_keys for net in networks.values()]
        self.out_keys = [key for key in written[0] if all(key in others for others in written)]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the outputs of all groups, side by side."""
        agents = self._agent_dim(tensordict)
        found = {name: self._of_group(name, tensordict, agents) for name in self.spec.groups}
        for key in self.out_keys:
            parts = [out.get(key) for out in found.values()]
            tensordict.set(key, torch.cat(_filled_up(keys.key_path(key)[-1], parts, agents + 1), agents))
        for name, out in found.items():
            for key in self.memory_keys[name]:
                after = out.get(("next", key), None)
                if after is not None:
                    tensordict.set(("next", key), after)
        return tensordict

    def _agent_dim(self, data: TensorDictBase) -> int:
        """Where the agents are, told by an entry whose dimensions behind them are known."""
        if keys.OBSERVATION in self.in_keys or keys.ACTION not in self.in_keys:
            return int(data.get(keys.OBSERVATION).ndim) - 2
        return int(data.get(keys.ACTION).ndim) - (1 if self.spec.discrete else 2)

    def _of_group(self, name: str, data: TensorDictBase, agents: int) -> TensorDictBase:
        network = cast(TensorDictModuleBase, self.networks[name])
        first, last = self.spans[name]
        inputs = TensorDict({}, [])
        for key in [*network.in_keys, *self.memory_keys[name], keys.IS_INIT]:
            value = data.get(key, None)
            if value is not None:
                of_agents = keys.key_path(key)[0] == keys.GROUP
                inputs.set(key, self._cut(key, value, name, (agents, first, last)) if of_agents else value)
        out: TensorDictBase = network(inputs)
        return out

    def _cut(self, key: NestedKey, value: Tensor, group: str, span: tuple[int, int, int]) -> Tensor:
        """The group's agents, and the features that they have."""
        dim, first, last = span
        value = value.narrow(dim, first, last - first)
        size = GATHERED.get(keys.key_path(key)[-1])
        if size is None or value.ndim == dim + 1:
            return value
        return value[..., : getattr(self.spec.groups[group], size)]


def _filled_up(name: str, parts: list[Tensor], dim: int) -> list[Tensor]:
    """Outputs with as many features, or actions, as the largest; those of other names are of one size."""
    if name not in _FILL:
        return parts
    fill = _FILL[name]
    size = max(part.shape[dim] for part in parts)
    if name == "logits":
        fill = torch.finfo(parts[0].dtype).min
    return [pad_last(part.movedim(dim, -1), size, fill).movedim(-1, dim) for part in parts]


class MixedNetwork(TensorDictModuleBase):
    """The networks of a team in which some groups have continuous and others discrete actions.

    A holder: losses evaluate the network of each kind by itself, as that of a team of its groups.

    Args:
        spec: all groups of the team.
        kinds: ``"continuous"``, ``"discrete"`` or both, to the :class:`GroupNetwork` of these groups, or what
            is made of one. A kind that a loss has no such network for is left out.
    """

    def __init__(self, spec: GroupedTeamSpec, kinds: Mapping[str, TensorDictModuleBase]) -> None:
        super().__init__()
        self.spec, self.n_agents = spec, spec.n_agents
        self.kinds = nn.ModuleDict(kinds)
        self.in_keys = list(dict.fromkeys(key for network in kinds.values() for key in network.in_keys))
        self.out_keys = list(dict.fromkeys(key for network in kinds.values() for key in network.out_keys))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Not defined: outputs of the kinds have different shapes.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "MixedNetwork: evaluate the network of one kind, .kinds[...], on the batch of its groups."
        )


def groups_of(network: nn.Module) -> GroupedTeamSpec | None:
    """The groups that a network was made for; None for a plain team.

    Args:
        network: any module.
    """
    for part in network.modules():
        spec = getattr(part, "spec", None)
        if isinstance(spec, GroupedTeamSpec):
            return spec
    return None


def memory_keys(network: nn.Module) -> list[str]:
    """Keys of the memories that a network carries from step to step in an environment.

    Args:
        network: any module.
    """
    return [part.memory_key for part in network.modules() if isinstance(part, TeamGRU)]
