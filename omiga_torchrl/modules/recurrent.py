"""Memory of a team: a GRU over every agent's own observations and actions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictModuleBase, TensorDictSequential
from torch import Tensor, nn
from torch.nn import functional as F
from torchrl.data import Unbounded
from torchrl.envs.transforms import TensorDictPrimer
from torchrl.modules.tensordict_module.rnn import recurrent_mode

from omiga_torchrl import keys
from omiga_torchrl.errors import require_key
from omiga_torchrl.modules.ensembles import Ensemble
from omiga_torchrl.modules.networks import AgentMLP
from omiga_torchrl.specs import TeamSpec


class TeamGRU(TensorDictModuleBase):
    """Observation, last action and agent id to features of each agent's history.

    A linear layer, ReLU and a GRU. One set of weights serves all agents, as in PyMARL and in ICQ's
    released multi-agent code. It follows TorchRL's recurrent mode: in losses (recurrent mode) its
    inputs are whole sequences ``[*B, T, N, O]``, which start from an empty memory; in environments
    it makes one step from the memory in ``"<name>_memory" [*B, N, H]`` and writes the next under
    ``"next"``. In both, the
    memory is emptied where ``"is_init"`` is True, if there is such an entry.
    :func:`omiga_torchrl.envs.with_memory` adds what an environment needs for it.

    Args:
        spec: sizes of the task.

    Keyword Args:
        size: features H.
        name: prefix of the keys written, so that several may read one TensorDict.
        observation: key read.
        last_action: key read; None reads none. Losses and environments fill it in.

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
        last_action: NestedKey | None = keys.LAST_ACTION,
    ) -> None:
        super().__init__()
        self.spec, self.size = spec, size
        self.memory_key = f"{name}_memory"  # at the root: primers cannot nest
        self.in_keys = [observation] if last_action is None else [observation, last_action]
        self.out_keys = [(keys.GROUP, f"{name}_features")]
        acted = 0 if last_action is None else spec.action_size
        self.encoder = nn.Linear(spec.observation_size + acted + spec.n_agents, size)
        self.gru = nn.GRU(size, size, batch_first=True)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the features, and outside of recurrent mode the memory under ``"next"``."""
        x = self._encoded(tensordict)
        resets = tensordict.get(keys.IS_INIT, None)
        if recurrent_mode():
            return tensordict.set(self.out_keys[0], self._along_time(x, resets))
        memory = tensordict.get(self.memory_key, None)
        memory = torch.zeros_like(x) if memory is None else memory
        if resets is not None:
            memory = torch.where(resets.unsqueeze(-1), 0.0, memory)
        features, _ = self.gru(x.reshape(-1, 1, self.size), memory.reshape(1, -1, self.size).contiguous())
        features = features.reshape(x.shape)
        tensordict.set(("next", self.memory_key), features)
        return tensordict.set(self.out_keys[0], features)

    def _encoded(self, tensordict: TensorDictBase) -> Tensor:
        observation, *rest = (require_key("TeamGRU", tensordict, key, _HINT) for key in self.in_keys)
        ids = torch.eye(self.spec.n_agents, dtype=observation.dtype, device=observation.device)
        parts = [observation, ids.expand(*observation.shape[:-1], -1)]
        parts += [self._action_features(action) for action in rest]
        return self.encoder(torch.cat(parts, -1)).relu()

    def _action_features(self, action: Tensor) -> Tensor:
        if not self.spec.discrete:
            return action
        taken = (action >= 0).unsqueeze(-1)
        one_hot = F.one_hot(action.clamp(min=0).long(), self.spec.action_size)
        return (one_hot * taken).to(self.encoder.weight.dtype)

    def _along_time(self, x: Tensor, resets: Tensor | None) -> Tensor:
        """Features of sequences ``[*B, T, N, H]``."""
        if x.ndim < 4:
            raise ValueError(
                f"TeamGRU: inputs have {x.ndim - 2} batch dimensions; expected sequences [*batch, time, "
                "agents, features]. Sample with StepSliceSampler(slice_len=T) and reshape "
                "the batch to [-1, T] (recipes: algorithm.slice_len=T)."
            )
        steps = x.shape[-3]
        flat = x.transpose(-3, -2).reshape(-1, steps, self.size)
        if resets is None or not resets[..., 1:, :].any():
            out, _ = self.gru(flat)
        else:
            starts = resets.unsqueeze(-2).expand(*x.shape[:-2], self.spec.n_agents, 1)
            out = self._with_resets(flat, starts.transpose(-3, -2).reshape(-1, steps, 1))
        return out.unflatten(0, (*x.shape[:-3], x.shape[-2])).transpose(-3, -2)

    def _with_resets(self, x: Tensor, starts: Tensor) -> Tensor:
        memory, outputs = torch.zeros_like(x[:, 0]), []
        for step in range(x.shape[1]):
            memory = torch.where(starts[:, step], 0.0, memory)
            _, last = self.gru(x[:, step : step + 1], memory.unsqueeze(0))
            memory = last.squeeze(0)
            outputs.append(memory)
        return torch.stack(outputs, 1)

    def make_tensordict_primer(self) -> TensorDictPrimer:
        """TorchRL's transform that keeps the memory in an environment."""
        shape = (self.spec.n_agents, self.size)
        return TensorDictPrimer({self.memory_key: Unbounded(shape)}, expand_specs=True)


_HINT = "Losses fill in the last action; for an environment use omiga_torchrl.envs.with_memory."


def agent_network(
    spec: TeamSpec,
    out_features: int,
    out_key: NestedKey | list[NestedKey],
    *,
    extra: dict[NestedKey, int] | None = None,
    wrap: Callable[[nn.Module], nn.Module] | None = None,
    observation: NestedKey = keys.OBSERVATION,
    name: str = "policy",
    recurrent: int | None = None,
    members: int | None = None,
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
        recurrent: features of a :class:`TeamGRU` in front of the MLP; None reads observations.
        members: that many MLPs, their outputs stacked last, see :class:`Ensemble`; None is a single
            one. They share the memory.
        **network: passed to :class:`AgentMLP`.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> agent_network(spec, 1, "value", recurrent=16, hidden=(8,)).in_keys
        [('agents', 'observation'), ('agents', 'last_action')]
    """
    extra = extra or {}
    source, size, memory = observation, spec.observation_size, None
    if recurrent is not None:
        memory = TeamGRU(spec, size=recurrent, name=name, observation=observation)
        source, size = memory.out_keys[0], recurrent
    make = partial(AgentMLP, size + sum(extra.values()), out_features, spec.n_agents, **network)
    body: nn.Module = make() if members is None else Ensemble(make, members)
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
