"""What losses with local action values and a linear mixer share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModuleBase, dispatch
from torch import Tensor
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.common import MultiAgentLoss
from omiga_torchrl.objectives.inputs import action_index
from omiga_torchrl.objectives.sequences import next_step

Targets = dict[ValueEstimators, set[str]]
_ESTIMATORS: Targets = {ValueEstimators.TD0: {"gamma"}, ValueEstimators.TDLambda: {"gamma", "lmbda"}}


def repeated(inputs: TensorDictBase, names: Iterable[NestedKey], samples: int) -> TensorDictBase:
    """The entries ``names`` once for each sample, along the first dimension: time stays the last.

    Args:
        inputs: where the entries are; those that are not there are left out.
        names: their keys.
        samples: number of copies.

    Examples:
        >>> repeated(TensorDict({"state": torch.zeros(4, 7)}, []), ["state"], 3)["state"].shape
        torch.Size([12, 7])
    """
    out = TensorDict({}, [])
    for name in names:
        value = inputs.get(name, None)
        if value is not None:
            out.set(name, value.expand(samples, *value.shape).flatten(0, 1))
    return out


class MixedCriticLoss(MultiAgentLoss):
    """Base of the losses with ``qvalue_network``, ``mixer_network`` and ``actor_network``.

    A subclass names its losses in ``terms``, gives its out_keys in ``_found_out_keys`` and its
    terms in ``_evaluate``.

    Args:
        reduction: of the losses.
        burn_in: first steps of every sequence without terms.

    Keyword Args:
        gamma: discount in [0, 1].
        lmbda: of TDLambda's targets, in [0, 1].
    """

    terms: tuple[str, ...]
    _with_parameters: ClassVar[tuple[str, ...]] = ()

    actor_network: TensorDictModuleBase
    actor_network_params: TensorDictParams
    target_actor_network_params: TensorDictParams
    qvalue_network: TensorDictModuleBase
    qvalue_network_params: TensorDictParams
    target_qvalue_network_params: TensorDictParams
    value_network: TensorDictModuleBase
    value_network_params: TensorDictParams
    target_value_network_params: TensorDictParams
    mixer_network: TensorDictModuleBase
    mixer_network_params: TensorDictParams
    target_mixer_network_params: TensorDictParams

    gamma: Tensor
    lmbda: Tensor

    def __init__(
        self, reduction: str | None, burn_in: int = 0, *, gamma: float = 0.99, lmbda: float = 0.95
    ) -> None:
        super().__init__(reduction, burn_in)
        require_number(type(self).__name__, "in [0, 1]", gamma=gamma, lmbda=lmbda)
        self.register_coeff_buffer("gamma", gamma)
        self.register_coeff_buffer("lmbda", lmbda)
        self._out_keys: list[NestedKey] | None = None
        self.value_type = self.default_value_estimator

    # Keys ---------------------------------------------------------------------------

    def _found_out_keys(self) -> list[NestedKey]:
        raise NotImplementedError

    @property
    def out_keys(self) -> list[NestedKey]:
        """The losses, then the detached diagnostics."""
        if self._out_keys is None:
            self._out_keys = self._found_out_keys()
        return self._out_keys

    @out_keys.setter
    def out_keys(self, values: list[NestedKey]) -> None:
        self._out_keys = values

    def set_keys(self, **kwargs: NestedKey | None) -> None:
        """Rename entries, see :class:`MultiAgentLoss`; ``None`` restores the default."""
        super().set_keys(**kwargs)
        self._out_keys = None

    def _outcome_keys(self) -> Iterable[NestedKey]:
        """Reward, end in the task's sense and end of every step."""
        names = (self.tensor_keys.reward, self.tensor_keys.terminated, self.tensor_keys.done)
        return [next_key(name) for name in names]

    def _data_keys(self) -> Iterable[NestedKey]:
        return [self.tensor_keys.action, *self._outcome_keys()]

    # Targets ------------------------------------------------------------------------

    def make_value_estimator(self, value_type: ValueEstimators | None = None, **hyperparams: float) -> None:
        """Choose the target of Q_tot: ``TD0`` or ``TDLambda``.

        TDLambda needs time in the last batch dimension, ``[*B, T]``, with ``done`` where a
        sequence ends, as :class:`omiga_torchrl.data.StepSliceSampler` gives it.

        Args:
            value_type: the estimator; None means TD0.
            **hyperparams: ``gamma``, and ``lmbda`` for TDLambda.

        Raises:
            NotImplementedError: for another estimator.
        """
        value_type = value_type or self.default_value_estimator
        if value_type not in _ESTIMATORS:
            raise NotImplementedError(
                f"{type(self).__name__}: value estimator {value_type} is not supported; "
                "choose TD0 or TDLambda."
            )
        unknown = set(hyperparams) - _ESTIMATORS[value_type]
        if unknown:
            raise TypeError(f"{type(self).__name__}: {value_type} takes no {sorted(unknown)}.")
        require_number(type(self).__name__, "in [0, 1]", **hyperparams)
        for name, value in hyperparams.items():
            getattr(self, name).fill_(value)
        self.value_type = value_type

    @torch.no_grad()
    def _bootstrapped(
        self, inputs: TensorDictBase, next_value: Tensor, batch: torch.Size, mask: Tensor | None
    ) -> Tensor:
        """The chosen target of every step from the values of the next ones, ``[*B]`` or ``[*B, N]``."""
        facts = [self._team_entry(inputs, key, batch) for key in self._outcome_keys()]
        if self.value_type == ValueEstimators.TDLambda and mask is not None:
            # A sequence ends where its padding begins.
            facts[2] = facts[2] | ~next_step(mask)
        agents = next_value.ndim > len(batch)
        if agents:  # to the front: time stays last
            next_value = next_value.movedim(-1, 0)
        reward, terminated, done = (fact.expand_as(next_value) for fact in facts)
        if self.value_type == ValueEstimators.TD0:
            target = kernels.one_step_target(reward, next_value, terminated, self.gamma)
        else:
            target = kernels.lambda_target(reward, next_value, terminated, done, self.gamma, self.lmbda)
        return target.movedim(0, -1) if agents else target

    # Evaluation ---------------------------------------------------------------------

    def _mixing(self, inputs: TensorDictBase, *, target: bool = False) -> tuple[Tensor, Tensor]:
        """Mixer weight ``[*B, N]``, 0 for agents that take no part, and bias ``[*B]``."""
        return self._mixed(self._run("mixer_network", inputs, target=target))

    def _next_mixing(self, inputs: TensorDictBase, *, target: bool = False) -> tuple[Tensor, Tensor]:
        """The same at the entries under ``"next"``."""
        return self._mixed(self._run_next("mixer_network", inputs, target=target))

    def _mixed(self, written: TensorDictBase) -> tuple[Tensor, Tensor]:
        weight = self._agent_entry(written, self.tensor_keys.mixer_weight, "mixer")
        present = written.get(self.tensor_keys.agent_mask, None)
        bias = self._team_entry(written, self.tensor_keys.mixer_bias, weight.shape[:-1])
        return weight if present is None else torch.where(present, weight, 0.0), bias

    def _local_value(self, inputs: TensorDictBase, *, target: bool = False) -> Tensor:
        """Local V, ``[*B, N]``."""
        written = self._run("value_network", inputs, target=target)
        return self._agent_entry(written, self.tensor_keys.local_value, "value")

    def _next_local_value(self, inputs: TensorDictBase, *, target: bool = False) -> Tensor:
        """Local V at the next step, ``[*B, N]``."""
        written = self._run_next("value_network", inputs, target=target)
        return self._agent_entry(written, self.tensor_keys.local_value, "value")

    def _qvalue(self, inputs: TensorDictBase, *, target: bool = False) -> Tensor:
        """Local Q of the data actions, ``[*B, N]``."""
        return self._qvalues(inputs, target=target)[0]

    def _qvalues(self, inputs: TensorDictBase, *, target: bool = False) -> tuple[Tensor, Tensor | None]:
        """Local Q of the data actions, ``[*B, N]``, and if discrete of all actions, ``[*B, N, K]``."""
        key = self.tensor_keys.local_qvalue
        written = self._run("qvalue_network", inputs, target=target)
        action = inputs.get(self.tensor_keys.action)
        if action.dtype.is_floating_point:
            return self._agent_entry(written, key, "Q"), None
        every = written.get(key)
        index = action_index(action, every.shape[:-1])
        return every.gather(-1, index.unsqueeze(-1)).squeeze(-1), every

    def _at_actions(
        self, inputs: TensorDictBase, drawn: Tensor, *, target: bool = False, frozen: bool = False
    ) -> Tensor:
        """What the Q network writes, ``[M, *B, ...]``, for actions ``[M, *B, N, A]`` instead of the data's.

        ``frozen`` keeps gradients from its parameters, but not from the actions.
        """
        samples = len(drawn)
        read = [name for name in self.qvalue_network.in_keys if name != self.tensor_keys.action]
        flat = repeated(inputs, read, samples).set(self.tensor_keys.action, drawn.flatten(0, 1))
        written = self._run("qvalue_network", flat, target=target, frozen=frozen)
        return written.get(self.tensor_keys.local_qvalue).unflatten(0, (samples, -1))

    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The losses of this class and its diagnostics, detached, as scalars.

        Args:
            tensordict: data with the entries of ``in_keys``.

        Returns:
            TensorDict with the entries of ``out_keys``; ``mixer_weight`` is ``[N]``.
        """
        out = TensorDict(self._evaluate(tensordict, self.terms), [])
        self._clear_weakrefs(tensordict, *self._with_parameters)
        return out

    def _term(self, tensordict: TensorDictBase, name: str) -> Tensor:
        """One of the losses by itself.

        Raises:
            ValueError: this loss has no such term, e.g. no policy's where the policy is greedy.
        """
        if name not in self.terms:
            raise ValueError(
                f"{type(self).__name__}: has no {name}; its terms are {', '.join(self.terms)}. "
                "Call one of them."
            )
        return self._evaluate(tensordict, (name,))[name]

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        """The losses named in ``terms`` and the diagnostics, each network evaluated once."""
        raise NotImplementedError
