"""Policies of teams whose agents differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import nn

from omiga_torchrl import keys
from omiga_torchrl.blueprints import rebuildable
from omiga_torchrl.gathering import pad_last
from omiga_torchrl.groups import GroupedTeamSpec, require_groups
from omiga_torchrl.modules.bounds import ActionBounds, with_bounds
from omiga_torchrl.modules.groups import GroupNetwork, memory_keys
from omiga_torchrl.modules.policies import with_logits
from omiga_torchrl.specs import TeamSpec


def group_actor(
    spec: GroupedTeamSpec, actors: Mapping[str, ProbabilisticTensorDictSequential]
) -> ProbabilisticTensorDictSequential:
    """The stochastic policies of groups of one kind of actions, as one policy of the whole team for losses.

    Actions ``[*B, N, A]`` have the features of the largest group. Features that an agent lacks are zeros
    in samples and count nothing in densities. :class:`GroupPolicy` acts with the same policies.

    Args:
        spec: the groups, all of one kind.
        actors: name of every group to its policy, as :func:`omiga_torchrl.modules.make_actor` makes it.

    Examples:
        >>> from omiga_torchrl.modules import make_actor
        >>> spec = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)})
        >>> actor = group_actor(spec, {name: make_actor(group) for name, group in spec.groups.items()})
        >>> data = spec.gather(spec.fake_batch(8))
        >>> actor.get_dist(data).log_prob(data["agents", "action"]).shape
        torch.Size([8, 5])
    """
    network = GroupNetwork(spec, {name: actor.det_part for name, actor in actors.items()})
    if spec.discrete:
        return with_logits(network)
    distribution = next(iter(actors.values()))[-1].distribution_class
    return with_bounds(network, group_bounds(spec), distribution=distribution)


def group_bounds(spec: GroupedTeamSpec) -> ActionBounds:
    """Bounds of the actions of all agents; features that an agent lacks have no range.

    Args:
        spec: groups with continuous actions.
    """
    size = spec.largest("action_size")
    rows = [_rows(group, size) for group in spec.groups.values()]
    low, high = (torch.cat(bounds) for bounds in zip(*rows, strict=True))
    return ActionBounds(low, high)


def _rows(group: TeamSpec, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    shape = group.n_agents, group.action_size
    low, high = (torch.tensor(bound).expand(shape) for bound in (group.action_low, group.action_high))
    return pad_last(low, size), pad_last(high, size)


@rebuildable
class GroupPolicy(TensorDictModuleBase):
    """The policies of all groups, in the keys of an environment: each acts for its own group.

    Args:
        spec: the groups.
        policies: name of every group to its policy, as made for a plain team.

    Raises:
        ValueError: a group is missing or unknown.

    Examples:
        >>> from omiga_torchrl.modules import make_actor
        >>> spec = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)})
        >>> policy = GroupPolicy(spec, {name: make_actor(group) for name, group in spec.groups.items()})
        >>> policy.in_keys, policy.out_keys
        ([('cars', 'observation'), ('drones', 'observation')], [('cars', 'action'), ('drones', 'action')])
        >>> policy(spec.fake_batch(8))["drones", "action"].shape
        torch.Size([8, 3, 4])
    """

    def __init__(self, spec: GroupedTeamSpec, policies: Mapping[str, TensorDictModuleBase]) -> None:
        super().__init__()
        require_groups("GroupPolicy", policies, spec)
        # Not `spec`: TorchRL's collectors take that for the policy's own specs.
        self.team = spec
        self.policies = nn.ModuleDict({name: policies[name] for name in spec.groups})
        self.memory_keys = {name: memory_keys(policy) for name, policy in policies.items()}
        own_noise = {name: getattr(policy, "noise_keys", []) for name, policy in policies.items()}
        self.noise_keys = [key_of_group(name, key) for name, found in own_noise.items() for key in found]
        self.in_keys = list(
            dict.fromkeys(
                key_of_group(name, key) for name, policy in policies.items() for key in policy.in_keys
            )
        )
        self.out_keys = [(name, "action") for name in spec.groups]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the actions of every group, and their memories under ``"next"``."""
        for name, module in self.policies.items():
            policy = cast(TensorDictModuleBase, module)
            carried = self.memory_keys[name]
            inputs = TensorDict({}, tensordict.batch_size)
            optional = getattr(policy, "noise_keys", [])
            for key in [*policy.in_keys, *carried, keys.IS_INIT, *optional]:
                value = tensordict.get(key_of_group(name, key), None)
                if value is not None:
                    inputs.set(key, value)
            out = policy(inputs)
            tensordict.set((name, "action"), out.get(keys.ACTION))
            for key in carried:
                tensordict.set(("next", key), out.get(("next", key)))
        return tensordict


def key_of_group(name: str, key: NestedKey) -> NestedKey:
    """The key of an entry of the group ``"agents"`` in a team of several groups; others stay.

    Args:
        name: the group.
        key: the entry, as networks of a plain team have it.
    """
    path = keys.key_path(key)
    return (name, *path[1:]) if path[0] == keys.GROUP else key
