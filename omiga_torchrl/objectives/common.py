"""What every loss of the library shares: keys, masks, network calls, shape checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.distributions import Distribution
from torchrl.objectives.common import LossModule
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import keys
from omiga_torchrl.errors import require_key, require_shape

Result = TypeVar("Result")


class MultiAgentLoss(LossModule):
    """Base of the losses of a team.

    A subclass names its networks in ``networks``, the rest of its inputs in
    ``data_keys`` and gives one method ``*_loss`` a term. Inputs are never written to.
    Rows whose loss mask is False (``loss_mask_key``, by default TorchRL's own padding
    masks) are zeroed before any network sees them, so that even NaN there changes
    nothing.
    """

    @dataclass
    class _AcceptedKeys:
        """The keys that ``set_keys`` changes; defaults in :mod:`omiga_torchrl.keys`.

        Observation, state and action mask are read by the networks, through their own
        ``in_keys``; they are accepted so that one call can name a whole layout.

        Attributes:
            observation: observation of every agent ``[*B, N, O]``.
            action: action of every agent, ``[*B, N, A]`` or, discrete, ``[*B, N]``.
            action_mask: legal actions ``[*B, N, K]``.
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

    def __init__(self, reduction: str | None) -> None:
        super().__init__()
        self.reduction = "mean" if reduction is None else reduction
        self._in_keys: list[NestedKey] | None = None

    # Keys ---------------------------------------------------------------------------

    def _network_keys(self) -> Iterable[NestedKey]:
        """The in_keys of the networks, at the root and under ``"next"``."""
        raise NotImplementedError

    def _data_keys(self) -> Iterable[NestedKey]:
        """The entries that the loss reads itself."""
        raise NotImplementedError

    def _set_in_keys(self) -> None:
        found = [*self._network_keys(), *self._data_keys()]
        self._in_keys = list(dict.fromkeys(found))

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
        mask = None
        for key in self._loss_mask_keys():
            found = tensordict.get(key, None)
            if found is not None:
                mask = found if mask is None else mask & found
        if mask is not None:
            # [B, 1] is a column of rows, or sequences of one step: the batch size tells.
            extra = mask.shape[-1:] == (1,) and mask.ndim > tensordict.batch_dims
            mask = mask.squeeze(-1) if extra else mask
            for key in self.in_keys:
                inputs.set(key, self._where(mask, inputs.get(key)))
        return inputs, mask

    def _reduce(self, loss: Tensor, mask: Tensor | None) -> Tensor:
        """Reduce an elementwise loss over its valid entries; with ``"none"`` zero the others."""
        if mask is None:
            return self._reduce_loss(loss)
        mask = self._expand_loss_mask(mask, loss)
        loss = torch.where(mask, loss, 0.0)
        if self.reduction == "mean":
            return loss.sum() / mask.sum().clamp(min=1)
        return self._reduce_loss(loss)

    @staticmethod
    def _where(mask: Tensor, value: Tensor) -> Tensor:
        wide = mask.reshape(*mask.shape, *[1] * (value.ndim - mask.ndim))
        return torch.where(wide, value, torch.zeros((), dtype=value.dtype, device=value.device))

    def _run(self, name: str, tensordict: TensorDictBase, *, target: bool = False) -> TensorDictBase:
        """Call network ``name`` with its online or target parameters; it writes into ``tensordict``."""
        network: TensorDictModuleBase = getattr(self, name)
        params = getattr(self, f"target_{name}_params" if target else f"{name}_params")
        with params.to_module(network, preserve_module_state=False):
            return network(tensordict)

    def _agent_entry(self, tensordict: TensorDictBase, key: NestedKey, network: str) -> Tensor:
        """Entry ``[*B, N, 1]`` written by ``network``, as ``[*B, N]``."""
        component = type(self).__name__
        value = require_key(component, tensordict, key, f"Does the {network} network write it?")
        if value.shape[-1] != 1:
            raise ValueError(
                f"{component}: {key!r} has shape {tuple(value.shape)}; expected [*batch, agents, 1]. "
                f"Does the {network} network end in one feature?"
            )
        return value.squeeze(-1)

    def _team_entry(self, tensordict: TensorDictBase, key: NestedKey, batch: torch.Size) -> Tensor:
        """Entry ``[*B, 1]`` of the data, as ``[*B]``."""
        value = tensordict.get(key)
        hint = (
            "It looks like one value per agent: reduce it to the team's with mean or sum over agents."
            if value.shape != batch
            else "Did you forget unsqueeze(-1)?"
        )
        require_shape(type(self).__name__, key, value, (*batch, 1), "[*batch, 1]", hint)
        return value.squeeze(-1)

    def _log_prob(self, tensordict: TensorDictBase, name: str = "actor_network") -> Tensor:
        """Log density of the data actions under the policy or another distribution, ``[*B, N]``."""
        return self._with_distribution(name, tensordict, lambda found: self._log_prob_of(found, tensordict))

    def _with_distribution(
        self, name: str, tensordict: TensorDictBase, use: Callable[[Distribution], Result]
    ) -> Result:
        """What ``use`` makes of the distribution of network ``name``, with its parameters in place."""
        network: TensorDictModuleBase = getattr(self, name)
        with getattr(self, f"{name}_params").to_module(network, preserve_module_state=False):
            return use(network.get_dist(tensordict))

    def _log_prob_of(self, distribution: Distribution, tensordict: TensorDictBase) -> Tensor:
        """Log density of the data actions under ``distribution``, ``[*B, N]``."""
        action = tensordict.get(self.tensor_keys.action)
        if not action.dtype.is_floating_point:
            action = action_index(action, distribution.batch_shape)
        log_prob = distribution.log_prob(action)
        agents = distribution.batch_shape
        require_shape(
            type(self).__name__,
            self.tensor_keys.action,
            log_prob,
            agents,
            "[*batch, agents]",
            "The policy's distribution must have the action features as its event.",
        )
        return log_prob


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
