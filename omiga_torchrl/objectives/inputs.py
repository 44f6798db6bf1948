"""The inputs of every loss: keys, masks of rows and of agents, and what memories need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.utils import unravel_key
from torch import Tensor, nn
from torchrl.objectives.common import LossModule
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import keys
from omiga_torchrl.errors import require_count, require_key
from omiga_torchrl.keys import next_key
from omiga_torchrl.modules import is_recurrent
from omiga_torchrl.objectives.sequences import (
    last_actions,
    require_one_episode,
    require_sequences,
)

# Entries that the losses make themselves from the data's actions.
_FILLED_IN = (keys.LAST_ACTION, next_key(keys.LAST_ACTION))


class LossInputs(LossModule):
    """What a team's losses do with their inputs before any network sees them.

    A subclass gives the keys that its networks read in ``_network_keys`` and the rest of its inputs
    in ``_data_keys``. Inputs are never written to.

    Rows whose loss mask is False (``loss_mask_key``, by default TorchRL's own padding masks) are
    zeroed, so that even NaN there changes nothing. Agents that take no part (``agent_mask``, or no
    legal action) see zeros, have weight 0 in the team's values, and no terms of their own.

    Recurrent networks (:class:`omiga_torchrl.modules.TeamGRU`) need sequences ``[*B, T]`` of one
    episode each. The actions before each step are filled in from the data; at the first step of a
    sequence there is none, and memories are empty.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; None means ``"mean"``.
        burn_in: first steps of every sequence that only fill memories: they have no terms.
    """

    @dataclass
    class _AcceptedKeys:
        """The keys that ``set_keys`` changes; defaults in :mod:`omiga_torchrl.keys`.

        Observation, state and action mask are read by the networks, through their own
        ``in_keys``; they are accepted so that one call can name a whole layout.

        Attributes:
            observation: observation of every agent ``[*B, N, O]``.
            action: action of every agent, ``[*B, N, A]`` or, discrete, ``[*B, N]``.
            action_mask: legal actions ``[*B, N, K]``. An agent without any takes no part.
            agent_mask: which agents take part ``[*B, N]``; optional.
            state: state of the team ``[*B, S]``.
            local_qvalue: what the Q network writes, ``[*B, N, 1]`` or, discrete, ``[*B, N, K]``.
            local_value: what the value network writes, ``[*B, N, 1]``.
            mixer_weight: what the mixer writes, ``[*B, N, 1]``, >= 0.
            mixer_bias: what the mixer writes, ``[*B, 1]``.
            global_qvalue: mean Q_tot in the output.
            global_value: mean V_tot in the output.
            reward: under ``"next"``, of the team ``[*B, 1]``.
            done: under ``"next"``, ``[*B, 1]``.
            terminated: under ``"next"``, ``[*B, 1]``; it alone cuts bootstrapping.
        """

        observation: NestedKey = keys.OBSERVATION
        action: NestedKey = keys.ACTION
        action_mask: NestedKey = keys.ACTION_MASK
        agent_mask: NestedKey = keys.AGENT_MASK
        state: NestedKey = keys.STATE
        local_qvalue: NestedKey = keys.LOCAL_QVALUE
        local_value: NestedKey = keys.LOCAL_VALUE
        mixer_weight: NestedKey = keys.MIXER_WEIGHT
        mixer_bias: NestedKey = keys.MIXER_BIAS
        global_qvalue: NestedKey = keys.GLOBAL_QVALUE
        global_value: NestedKey = keys.GLOBAL_VALUE
        reward: NestedKey = keys.REWARD
        done: NestedKey = keys.DONE
        terminated: NestedKey = keys.TERMINATED

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    default_value_estimator = ValueEstimators.TD0
    out_keys: list[str] = []

    def __init__(self, reduction: str | None, burn_in: int = 0) -> None:
        super().__init__()
        self.reduction = "mean" if reduction is None else reduction
        require_count(type(self).__name__, 0, burn_in=burn_in)
        self.burn_in = burn_in
        self._recurrent = False
        self._in_keys: list[NestedKey] | None = None

    def convert_to_functional(self, module: nn.Module, module_name: str, **kwargs: Any) -> None:
        """Keep ``module`` and its parameters apart, as TorchRL does."""
        self._recurrent |= is_recurrent(module)
        super().convert_to_functional(module, module_name, **kwargs)

    # Keys ---------------------------------------------------------------------------

    def _network_keys(self) -> Iterable[NestedKey]:
        """The in_keys of the networks, at the root and under ``"next"``."""
        raise NotImplementedError

    def _data_keys(self) -> Iterable[NestedKey]:
        """The entries that the loss reads itself."""
        raise NotImplementedError

    def _set_in_keys(self) -> None:
        found = dict.fromkeys([*self._network_keys(), *self._data_keys()])
        self._in_keys = [key for key in found if key not in _FILLED_IN]

    @property
    def in_keys(self) -> list[NestedKey]:
        """Every entry that the loss reads, in the order of the keyword call's signature."""
        if self._in_keys is None:
            self._set_in_keys()
        assert self._in_keys is not None
        return self._in_keys

    @in_keys.setter
    def in_keys(self, values: list[NestedKey]) -> None:
        self._in_keys = values

    def _forward_value_estimator_keys(self, **kwargs: Any) -> None:
        # There is no estimator module to forward keys to: targets are kernels.
        self._set_in_keys()

    # Inputs ---------------------------------------------------------------------------

    def _inputs(self, tensordict: TensorDictBase) -> tuple[TensorDictBase, Tensor | None]:
        """A scratch copy of the entries that the loss reads, and the loss mask ``[*B]``.

        Networks write into the copy, never into the data. Rows outside the mask are zeroed
        there before any network sees them: zeroing their loss alone would leave ``0 * nan``
        in the gradients.
        """
        try:
            inputs = tensordict.select(*self.in_keys)
        except KeyError:
            for key in self.in_keys:
                hint = "Rename it with set_keys, or add it to the data."
                require_key(type(self).__name__, tensordict, key, hint)
            raise
        mask = self._loss_mask(tensordict)
        if mask is not None:
            for key in self.in_keys:
                inputs.set(key, self._where(mask, inputs.get(key)))
        for where in ((), ("next",)):
            self._mark_absent_agents(tensordict, inputs, where)
        if self._recurrent:
            self._fill_in_last_actions(inputs, mask)
        return inputs, self._without_burn_in(inputs, mask)

    def _loss_mask(self, tensordict: TensorDictBase) -> Tensor | None:
        """True at the rows ``[*B]`` that are no padding."""
        mask = None
        for key in self._loss_mask_keys():
            found = tensordict.get(key, None)
            if found is not None:
                mask = found if mask is None else mask & found
        if mask is None:
            return None
        # [B, 1] is a column of rows, or sequences of one step: the batch size tells.
        extra = mask.shape[-1:] == (1,) and mask.ndim > tensordict.batch_dims
        return mask.squeeze(-1) if extra else mask

    def _mark_absent_agents(
        self, tensordict: TensorDictBase, inputs: TensorDictBase, where: tuple[str, ...]
    ) -> None:
        """Write which agents take part, if the data tell, and zero what the others see."""
        names = self.tensor_keys
        action_mask = tensordict.get(unravel_key((*where, names.action_mask)), None)
        present = tensordict.get(unravel_key((*where, names.agent_mask)), None)
        if action_mask is not None:
            alive = action_mask.any(-1)
            present = alive if present is None else present & alive
        if present is None or unravel_key((*where, names.observation)) not in inputs.keys(True, True):
            return
        inputs.set(unravel_key((*where, names.agent_mask)), present)
        key = unravel_key((*where, names.observation))
        inputs.set(key, self._where(present, inputs.get(key)))

    def _fill_in_last_actions(self, inputs: TensorDictBase, mask: Tensor | None) -> None:
        observation = inputs.get(self.tensor_keys.observation)
        require_sequences(type(self).__name__, self.tensor_keys.observation, observation, trailing=2)
        action = inputs.get(self.tensor_keys.action)
        if not action.dtype.is_floating_point:
            action = action_index(action, observation.shape[:-1])
        inputs.set(keys.LAST_ACTION, last_actions(action, self._time(inputs)))
        following = inputs.get("next", None)
        if following is not None:
            following.set(keys.LAST_ACTION, action)
            done = following.get(self.tensor_keys.done, None)
            if done is not None:
                require_one_episode(type(self).__name__, done.squeeze(-1), mask)

    def _without_burn_in(self, inputs: TensorDictBase, mask: Tensor | None) -> Tensor | None:
        if not self.burn_in:
            return mask
        batch = inputs.get(self.tensor_keys.observation).shape[:-2]
        if len(batch) < 2 or batch[-1] <= self.burn_in:
            raise ValueError(
                f"{type(self).__name__}: burn_in={self.burn_in} with a batch {tuple(batch)}; expected "
                "sequences [*batch, time] longer than it. Raise slice_len."
            )
        counted = torch.arange(batch[-1], device=inputs.get(self.tensor_keys.action).device) >= self.burn_in
        return counted.expand(batch) if mask is None else mask & counted

    def _time(self, inputs: TensorDictBase) -> int:
        """The dimension of time, the last of the batch."""
        return inputs.get(self.tensor_keys.observation).ndim - 3

    def _entries(self, inputs: TensorDictBase, mask: Tensor | None, agents: torch.Size) -> Tensor | None:
        """The entries ``[*B, N]`` that have terms: of agents that take part, at rows under the mask."""
        present = inputs.get(self.tensor_keys.agent_mask, None)
        if mask is None:
            return present
        rows = mask.unsqueeze(-1).expand(agents)
        return rows if present is None else rows & present

    @staticmethod
    def _where(mask: Tensor, value: Tensor) -> Tensor:
        wide = mask.reshape(*mask.shape, *[1] * (value.ndim - mask.ndim))
        return torch.where(wide, value, torch.zeros((), dtype=value.dtype, device=value.device))


def action_index(action: Tensor, agents: torch.Size) -> Tensor:
    """Integer actions ``[*B, N]`` from ``[*B, N]``, ``[*B, N, 1]`` or one-hot ``[*B, N, K]``.

    Args:
        action: integer or boolean actions.
        agents: the shape ``[*B, N]``.

    Examples:
        >>> action_index(torch.tensor([[[0, 1], [1, 0]]]), torch.Size([1, 2]))
        tensor([[1, 0]])
    """
    if action.shape == agents:
        return action.long()
    if action.shape[:-1] == agents:
        return action.squeeze(-1).long() if action.shape[-1] == 1 else action.long().argmax(-1)
    raise ValueError(
        f"action_index: discrete action has shape {tuple(action.shape)}; expected [*batch, agents], "
        f"[*batch, agents, 1] or one-hot [*batch, agents, K] with [*batch, agents] = {tuple(agents)}."
    )
