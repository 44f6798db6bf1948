"""`TeamLoss`: the one base class of the library's losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModuleBase, dispatch
from torch import Tensor, nn
from torchrl.objectives.common import LossModule
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl.errors import require_count, require_number, unknown_name
from omiga_torchrl.keys import next_key
from omiga_torchrl.modules import is_recurrent
from omiga_torchrl.objectives.batch import read_batch
from omiga_torchrl.objectives.diagnostics import collect_metrics, common_metrics
from omiga_torchrl.objectives.loss_keys import TeamKeys
from omiga_torchrl.objectives.networks import (
    Bounds,
    action_bounds,
    has_discrete_actions,
    mixer_kind,
    prev_action_keys,
)
from omiga_torchrl.objectives.targets import TargetEstimator, check_estimator
from omiga_torchrl.objectives.view import TeamView

_VALUE_SCALES = (None, "svn")


class TeamLoss(LossModule):
    """Base class of the losses of a team of agents.

    A final class states three things: its ``terms``; in ``__init__`` its networks, each by one call of
    :meth:`add_network`; and for every term ``x`` a method ``x_loss(self, data)`` that begins with
    ``batch = self.view(data)`` and reads from that :class:`TeamView` like the paper's equation. ``forward``,
    keys, masks of rows and agents, mixers, recurrence, targets, sample weights, diagnostics and reduction
    are settled here and there.

    Args:
        gamma: discount in [0, 1]. Default 0.99.
        burn_in: first steps of every sequence ``[*B, T]`` that only fill the memories of recurrent networks
            and have no terms. Default 0.
        reduction: of the losses, over entries that count: ``"mean"`` (default, also None), ``"sum"``, or
            ``"none"``: ``[*B, N]`` for terms of agents and ``[*B]`` for terms of the team.
        value_scale: None (default), or ``"svn"``: squared TD and expectile errors are divided by the squared
            mean absolute deviation of the team's Q over the batch (SVN, arXiv:2603.08399), so that neither
            loss nor gradient depends on the unit of reward.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        A loss of one's own, cloning with a weight on every agent's likelihood::

            class WeightedCloning(TeamLoss):
                terms = ("actor",)
                reads = ("action",)

                def __init__(self, actor_network, *, weight=1.0, **kwargs):
                    super().__init__(**kwargs)
                    self.weight = weight
                    self.add_network("actor_network", actor_network)

                def actor_loss(self, data):
                    batch = self.view(data)
                    return batch.reduce(-self.weight * batch.log_prob)
    """

    _AcceptedKeys = TeamKeys
    tensor_keys: TeamKeys
    default_keys = TeamKeys
    default_value_estimator = ValueEstimators.TD0
    _schedulable_buffers = frozenset({"gamma", "lmbda"})

    terms: tuple[str, ...]
    """Names of the loss's terms in the order of evaluation; term ``x`` is the method ``x_loss``."""
    metrics: tuple[str, ...] = ()
    """Names that the terms pass to :meth:`TeamView.record`, besides the diagnostics that all losses share."""
    reads: ClassVar[tuple[str, ...]] = ("action", "reward", "terminated", "done")
    """Fields of ``tensor_keys`` that the loss reads itself."""

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
    behavior_network: TensorDictModuleBase
    behavior_network_params: TensorDictParams
    target_behavior_network_params: TensorDictParams

    gamma: Tensor
    lmbda: Tensor

    def __init__(
        self,
        *,
        gamma: float = 0.99,
        burn_in: int = 0,
        reduction: str | None = None,
        value_scale: str | None = None,
    ) -> None:
        super().__init__()
        component = type(self).__name__
        require_count(component, 0, burn_in=burn_in)
        if reduction not in (None, "mean", "sum", "none"):
            raise unknown_name(component, "reduction", reduction, ("mean", "sum", "none"))
        if value_scale not in _VALUE_SCALES:
            raise unknown_name(component, "value_scale", value_scale, ("svn",))
        self.reduction = "mean" if reduction is None else reduction
        self.burn_in, self.value_scale = burn_in, value_scale
        self.networks: list[str] = []
        self.is_recurrent = False
        self.first_critic = "qvalue_network"
        self.normalizes_mixer = False  # ICQ's released mixer: weights of sum 1 over the agents that take part
        self.checked_kinds: set[Any] = set()
        self.prev_action_keys: list[NestedKey] = []
        self._at_next: list[str] = []
        self.computed_keys: set[NestedKey] = set()
        self._coefficients: list[str] = []
        self._in_keys: list[NestedKey] | None = None
        self._out_keys: list[NestedKey] | None = None
        self.add_coefficient("gamma", gamma, "in [0, 1]")
        self.add_coefficient("lmbda", 0.95, "in [0, 1]")

    # Parts ------------------------------------------------------------------------------

    def add_network(
        self,
        name: str,
        network: TensorDictModuleBase | None,
        *,
        target: bool = False,
        at_next: bool = False,
        computed: Iterable[NestedKey] = (),
    ) -> None:
        """Register a network; None, e.g. no mixer, registers nothing.

        Args:
            name: attribute, e.g. ``"actor_network"``; its parameters become ``<name>_params``.
            network: TensorDict module of agents ``[*B, N, ...]`` or of the team ``[*B, ...]``.

        Keyword Args:
            target: keep target parameters, which a target updater moves.
            at_next: the loss also evaluates it at the next step, so that the data need its inputs there.
            computed: inputs that the loss computes, and the data need not have.
        """
        if network is None:
            return
        self.convert_to_functional(network, name, create_target_params=target)
        self.networks.append(name)
        self.is_recurrent |= is_recurrent(network)
        if at_next:
            self._at_next.append(name)
        found = prev_action_keys(network)
        self.prev_action_keys += [key for key in found if key not in self.prev_action_keys]
        self.computed_keys |= {*computed, *found}
        if name == "mixer_network" and not self.has_linear_mixer:
            self.computed_keys.add(network.in_keys[0])

    def add_coefficient(self, name: str, value: float, expected: str) -> None:
        """Register a scalar buffer that keeps its full precision whatever dtype the loss is cast to.

        Args:
            name: attribute; assigning a number to it changes the buffer in place if the class names it in
                ``_schedulable_buffers``.
            value: the number.
            expected: its range, see :func:`omiga_torchrl.errors.require_number`.
        """
        require_number(type(self).__name__, expected, **{name: value})
        self.register_buffer(name, torch.tensor(float(value), dtype=torch.float64))
        self._coefficients.append(name)

    def _apply(self, fn: Callable[[Tensor], Tensor]) -> nn.Module:
        precise = {name: self._buffers[name] for name in self._coefficients}
        super()._apply(fn)
        for name, old in precise.items():
            new = self._buffers[name]
            assert old is not None and new is not None
            self._buffers[name] = new if new.dtype == old.dtype else old.to(new.device)
        return self

    @property
    def is_discrete(self) -> bool:
        """True if the networks are those of discrete actions; decided by the networks, never by the data."""
        return has_discrete_actions(self)

    @property
    def action_bounds(self) -> Bounds | None:
        """Lower and upper bound of continuous actions that the networks were built with, if they tell."""
        return action_bounds(self)

    @property
    def has_mixer(self) -> bool:
        """True if local values are mixed into the team's."""
        return "mixer_network" in self.networks

    @property
    def has_linear_mixer(self) -> bool:
        """True if the mixer is ``sum_i w_i(s) x_i + b(s)`` and gives its weights and bias."""
        return self.has_mixer and mixer_kind(self) == "linear"

    @property
    def parameter_dtype(self) -> torch.dtype:
        """Dtype of the networks' parameters."""
        return next(iter(self.parameters())).dtype

    # Keys -------------------------------------------------------------------------------

    @property
    def in_keys(self) -> list[NestedKey]:
        """Entries that the data must have, in the order of the keyword call's arguments."""
        if self._in_keys is None:
            self._set_in_keys()
        assert self._in_keys is not None
        return self._in_keys

    @in_keys.setter
    def in_keys(self, values: list[NestedKey]) -> None:
        self._in_keys = values

    def _set_in_keys(self) -> None:
        names = self.tensor_keys
        found = [key for name in self.networks for key in getattr(self, name).in_keys]
        later = [key for name in self._at_next for key in getattr(self, name).in_keys if key != names.action]
        own = {name: getattr(names, name) for name in self.reads}
        own |= {name: next_key(key) for name, key in own.items() if name in ("reward", "terminated", "done")}
        own = {name: next_key(names.action) if name == "next_action" else key for name, key in own.items()}
        computed = {*self.computed_keys, *map(next_key, self.computed_keys)}
        wanted = dict.fromkeys([*found, *map(next_key, later), *own.values(), names.observation])
        self._in_keys = [key for key in wanted if key not in computed]

    def _forward_value_estimator_keys(self, **kwargs: Any) -> None:
        # There is no estimator module to forward keys to: targets are kernels.
        self._set_in_keys()
        self._out_keys = None

    @property
    def optional_keys(self) -> list[NestedKey]:
        """Entries that are read where the data have them."""
        names = self.tensor_keys
        masks = [names.action_mask, names.agent_mask]
        return [*masks, *map(next_key, masks), names.steps_to_next_obs]

    @property
    def flag_keys(self) -> list[NestedKey]:
        """Entries that are booleans, and may be stored as 0 and 1 of another dtype."""
        names = self.tensor_keys
        masks = [names.action_mask, names.agent_mask]
        return [*masks, *map(next_key, [*masks, names.terminated, names.done]), names.is_init]

    @property
    def out_keys(self) -> list[NestedKey]:
        """Entries of the output: ``loss_<term>``, then detached diagnostics."""
        if self._out_keys is None:
            losses: list[NestedKey] = [f"loss_{term}" for term in self.terms]
            self._out_keys = [*losses, *common_metrics(self), *self.metrics]
        return self._out_keys

    @out_keys.setter
    def out_keys(self, values: list[NestedKey]) -> None:
        self._out_keys = values

    # Targets ----------------------------------------------------------------------------

    def make_value_estimator(self, value_type: ValueEstimators | None = None, **hyperparams: Any) -> TeamLoss:
        """Choose the TD target: ``TD0`` or ``TDLambda``.

        TDLambda needs sequences ``[*B, T]`` with ``done`` where an episode ends, as
        :class:`omiga_torchrl.data.StepSliceSampler` gives them.

        Args:
            value_type: the estimator; None means the loss's default.
            **hyperparams: ``gamma``, and ``lmbda`` for TDLambda.

        Returns:
            The loss.

        Raises:
            NotImplementedError: for another estimator.
            TypeError: for a parameter that the estimator does not have.
        """
        value_type = value_type or self.default_value_estimator
        check_estimator(type(self).__name__, value_type, hyperparams)
        for name, value in hyperparams.items():
            getattr(self, name).fill_(value)
        self.value_type = value_type
        return self

    @property
    def value_estimator(self) -> TargetEstimator:
        """The TD target as a callable of rewards, next values and flags."""
        return TargetEstimator(self.value_type, self.gamma, self.lmbda)

    # Evaluation -------------------------------------------------------------------------

    def view(self, data: TensorDictBase | TeamView) -> TeamView:
        """The batch as the terms read it; a view is returned as it is, so that terms share evaluations."""
        return data if isinstance(data, TeamView) else TeamView(self, read_batch(self, data))

    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """All terms and diagnostics of a batch, every network evaluated once.

        Writes the TD error of every row to ``tensor_keys.priority`` of the input, as TorchRL's losses do,
        and nothing else.

        Args:
            tensordict: data with the entries of ``in_keys``.

        Returns:
            TensorDict with the entries of ``out_keys``.
        """
        batch = self.view(tensordict)
        out = {f"loss_{term}": getattr(self, f"{term}_loss")(batch) for term in self.terms}
        out |= collect_metrics(batch)
        if batch.priority is not None:
            tensordict.set(self.tensor_keys.priority, batch.priority.unsqueeze(-1))
        self._clear_weakrefs(tensordict, *(f"{name}_params" for name in self.networks))
        return TensorDict(out, [])

    def advance(self, out: TensorDictBase) -> None:
        """Store the next values of coefficients that follow training, once after every optimizer step.

        ``forward`` changes no state: where a coefficient adapts, it returns the next value as ``next_<name>``.

        Args:
            out: the output of ``forward``.
        """
        for key in out.keys():
            if key.startswith("next_"):
                getattr(self, key.removeprefix("next_")).data.copy_(out.get(key))


