"""Memory of a team: a GRU over every agent's own observations and actions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictModuleBase, TensorDictSequential
from torch import Tensor, nn
from torchrl.data import Unbounded
from torchrl.envs.transforms import TensorDictPrimer
from torchrl.modules.tensordict_module.rnn import recurrent_mode

from omiga_torchrl import keys
from omiga_torchrl.deprecation import NETWORK_NAMES, renamed_arguments
from omiga_torchrl.errors import require_key
from omiga_torchrl.functional import gru
from omiga_torchrl.modules.ensembles import Ensemble
from omiga_torchrl.modules.networks import AgentMLP
from omiga_torchrl.modules.unit_actions import read_in_units
from omiga_torchrl.specs import TeamSpec


class GRUCells(nn.Module):
    """The parameters of :class:`torch.nn.GRU`, under its names, with a forward pass that compiles.

    Dynamo refuses ``nn.GRU`` itself, even as a mere holder of its parameters.

    Args:
        in_features: input features F.
        size: features H of the memory.

    Shapes: ``inputs [T, *B, F], memory [*B, H], starts [T, *B, 1] -> memories [T, *B, H]``.

    Examples:
        >>> GRUCells(4, 8)(torch.zeros(5, 2, 4), torch.zeros(2, 8)).shape
        torch.Size([5, 2, 8])
    """

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter

    def __init__(self, in_features: int, size: int) -> None:
        super().__init__()
        for name, parameter in nn.GRU(in_features, size).named_parameters():
            self.register_parameter(name, parameter)

    def forward(self, inputs: Tensor, memory: Tensor, starts: Tensor | None = None) -> Tensor:
        """The memory after every step, see :func:`omiga_torchrl.functional.gru`."""
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        return gru(inputs, memory, *weights, starts=starts)


class TeamGRU(TensorDictModuleBase):
    """Observation, last action and agent id to features of each agent's history.

    A linear layer, ReLU and a GRU. One set of weights serves all agents, as in PyMARL and in ICQ's
    released multi-agent code. It follows TorchRL's recurrent mode: in losses (recurrent mode) its
    inputs are whole sequences ``[*B, T, N, O]``, which start from an empty memory; in environments
    it makes one step from the memory in ``"<name>_memory" [*B, N, H]`` (``"<group>_<name>_memory"`` in a
    team of several groups) and writes the next under ``"next"``. In both, the memory is emptied where
    ``"is_init"`` is True, if there is such an entry.
    :func:`omiga_torchrl.envs.with_memory` adds what an environment needs for it.

    Args:
        spec: sizes of the task.

    Keyword Args:
        size: features H.
        name: prefix of the keys written, so that several may read one TensorDict.
        observation: key read. Features are written into its group: beside it.
        last_action: key read, which losses and environments fill in. A string is a name beside the
            observation, a tuple a whole key; None reads none.

    Examples:
        >>> from torchrl.modules import set_recurrent_mode
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> memory, data = TeamGRU(spec, size=16, last_action=None), spec.fake_batch(8, 4)
        >>> with set_recurrent_mode(True):
        ...     memory(data)["agents", "policy_features"].shape
        torch.Size([8, 4, 3, 16])
    """

    def __init__(
        self,
        spec: TeamSpec,
        *,
        size: int = 64,
        name: str = "policy",
        observation: NestedKey = keys.OBSERVATION,
        last_action: NestedKey | None = "last_action",
    ) -> None:
        super().__init__()
        self.spec, self.size = spec, size
        of_group = "" if spec.group == keys.GROUP else f"{spec.group}_"
        self.memory_key = f"{of_group}{name}_memory"  # at the root: primers cannot nest
        if isinstance(last_action, str):
            last_action = keys.sibling_key(observation, last_action)
        self.in_keys = [observation] if last_action is None else [observation, last_action]
        self.out_keys = [keys.sibling_key(observation, f"{name}_features")]
        acted = 0 if last_action is None else spec.action_size
        self.in_units = read_in_units(spec)(nn.Identity())
        self.encoder = nn.Linear(spec.observation_size + acted + spec.n_agents, size)
        self.gru = GRUCells(size, size)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the features, and outside of recurrent mode the memory under ``"next"``."""
        x = self._encoded(tensordict)
        resets = tensordict.get(keys.IS_INIT, None)
        if recurrent_mode():
            return tensordict.set(self.out_keys[0], self._along_time(x, resets))
        memory = tensordict.get(self.memory_key, None)
        memory = self._empty(x) if memory is None else memory
        starts = None if resets is None else resets.unsqueeze(-2).unsqueeze(0)
        features = self.gru(x.unsqueeze(0), memory, starts).squeeze(0)
        tensordict.set(("next", self.memory_key), features)
        return tensordict.set(self.out_keys[0], features)

    def _empty(self, like: Tensor) -> Tensor:
        # Under autocast the inputs are of low precision, but the memory is not.
        return torch.zeros_like(like, dtype=self.gru.weight_hh_l0.dtype)

    def _encoded(self, tensordict: TensorDictBase) -> Tensor:
        observation, *rest = (require_key("TeamGRU", tensordict, key, _HINT) for key in self.in_keys)
        ids = torch.eye(self.spec.n_agents, dtype=observation.dtype, device=observation.device)
        parts = [observation, ids.expand(*observation.shape[:-1], -1)]
        parts += [self._action_features(action).to(observation.dtype) for action in rest]
        return self.encoder(torch.cat(parts, -1)).relu()

    def _action_features(self, action: Tensor) -> Tensor:
        if not self.spec.discrete:
            return self.in_units(action)
        # One-hot, and zeros for -1, which is no action.
        return action.unsqueeze(-1) == torch.arange(self.spec.action_size, device=action.device)

    def _along_time(self, x: Tensor, resets: Tensor | None) -> Tensor:
        """Features of sequences ``[*B, T, N, H]``."""
        # Under vmap a sequence by itself is [T, N, H], which otherwise looks like a batch without time.
        if x.ndim < 4 and not torch._C._functorch.is_functorch_wrapped_tensor(x):
            raise ValueError(
                f"TeamGRU: inputs have {x.ndim - 2} batch dimensions; expected sequences [*batch, time, "
                "agents, features]. Sample with StepSliceSampler(slice_len=T) and reshape "
                "the batch to [-1, T] (recipes: algorithm.slice_len=T)."
            )
        along = x.movedim(-3, 0)  # [T, *B, N, H]
        rows = along.flatten(1, -2)
        starts = None
        if resets is not None:
            starts = resets.movedim(-2, 0).unsqueeze(-2).expand(*along.shape[:-1], 1).flatten(1, -2)
        features = self.gru(rows, self._empty(rows[0]), starts)
        return features.unflatten(1, along.shape[1:-1]).movedim(0, -3)

    def make_tensordict_primer(self) -> TensorDictPrimer:
        """TorchRL's transform that keeps the memory in an environment."""
        shape = (self.spec.n_agents, self.size)
        return TensorDictPrimer({self.memory_key: Unbounded(shape)}, expand_specs=True)


_HINT = "Losses fill in the last action; for an environment use omiga_torchrl.envs.with_memory."


@renamed_arguments(**NETWORK_NAMES)
def agent_network(
    spec: TeamSpec,
    out_features: int,
    out_key: NestedKey | list[NestedKey],
    *,
    extra: dict[NestedKey, int] | None = None,
    wrap: Callable[[nn.Module], nn.Module] | None = None,
    observation: NestedKey = keys.OBSERVATION,
    name: str = "policy",
    rnn_hidden_size: int | None = None,
    ensemble_size: int | None = None,
    **network: Any,
) -> TensorDictModuleBase:
    """A network of every agent: of its observation, or of its history.

    Args:
        spec: sizes of the task.
        out_features: output features per agent.
        out_key: key written, or keys, if ``wrap`` gives several tensors.

    Keyword Args:
        extra: further keys read and the features that each adds, e.g. the action; 0 for a key that
            only ``wrap`` reads.
        wrap: makes the module that is called from the :class:`AgentMLP`, e.g. a head.
        observation: key read.
        name: prefix of the keys of the memory.
        rnn_hidden_size: features of a :class:`TeamGRU` in front of the MLP; None reads observations.
        ensemble_size: that many MLPs, their outputs stacked last, see :class:`Ensemble`; None is a single
            one. They share the memory.
        **network: passed to :class:`AgentMLP`.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> agent_network(spec, 1, "value", rnn_hidden_size=16, hidden_sizes=(8,)).in_keys
        [('agents', 'observation'), ('agents', 'last_action')]
    """
    extra = extra or {}
    source, size, memory = observation, spec.observation_size, None
    if rnn_hidden_size is not None:
        memory = TeamGRU(spec, size=rnn_hidden_size, name=name, observation=observation)
        source, size = memory.out_keys[0], rnn_hidden_size
    make = partial(AgentMLP, size + sum(extra.values()), out_features, spec.n_agents, **network)
    body: nn.Module = make() if ensemble_size is None else Ensemble(make, ensemble_size)
    module = TensorDictModule(
        body if wrap is None else wrap(body),
        in_keys=[source, *extra],
        out_keys=out_key if isinstance(out_key, list) else [out_key],
    )
    return module if memory is None else TensorDictSequential(memory, module)


def is_recurrent(module: nn.Module) -> bool:
    """Whether some part of ``module`` keeps a memory.

    Examples:
        >>> is_recurrent(nn.Linear(1, 1))
        False
    """
    return any(isinstance(part, TeamGRU) for part in module.modules())
