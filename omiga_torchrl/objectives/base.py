"""`TeamLoss`: the one base class of the library's losses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModuleBase, dispatch
from torch import Tensor
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl.errors import require_choice, require_count
from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.modules import first_member_view, is_recurrent
from omiga_torchrl.modules.bounds import Bound
from omiga_torchrl.modules.groups import groups_of
from omiga_torchrl.objectives.batch import read_team
from omiga_torchrl.objectives.coefficients import CoefficientLoss
from omiga_torchrl.objectives.diagnostics import collect_metrics, common_metrics
from omiga_torchrl.objectives.loss_keys import TeamKeys
from omiga_torchrl.objectives.networks import has_discrete_actions, prev_action_keys
from omiga_torchrl.objectives.rewards import RewardOf, check_reward_of
from omiga_torchrl.objectives.targets import TargetEstimator, check_estimator
from omiga_torchrl.objectives.view import TeamView


class TeamLoss(CoefficientLoss):
    """Base class of the losses of a team of agents.

    A final class states three things: its ``terms``; in ``__init__`` its networks, each by one call of
    :meth:`add_network`; and for every term ``x`` a method ``x_loss(self, data)`` that begins with
    ``batch = self.view(data)`` and reads from that :class:`TeamView` like the paper's equation. ``forward``,
    keys, masks of rows and agents, mixers, recurrence, targets, sample weights, diagnostics and reduction
    are settled here and there.

    Args:
        gamma: discount in [0, 1]. Default 0.99.
        burn_in: first steps of every sequence ``[*B, T]`` that only fill the memories of recurrent networks
            and have no terms.
        reduction: of the losses, over entries that count: ``"mean"`` (default, also None), ``"sum"``, or
            ``"none"``: ``[*B, N]`` for terms of agents and ``[*B]`` for terms of the team.
        value_scale: None (default), or ``"svn"``: squared TD and expectile errors are divided by the squared
            mean absolute deviation of the team's Q over the batch (SVN, arXiv:2603.08399), so that neither
            loss nor gradient depends on the unit of reward.
        reward_of: whose rewards values learn: ``"team"`` (default), or without a mixer ``"agent"``, each
            agent's own, or ``"group"``, the mean of its group.
        separate_losses: as TorchRL's: parameters that several networks share, e.g. a torso, have gradients
            from the terms of the one added first only, which is the critic if there is one. Default False.

    Raises:
        ValueError: an argument is out of its range.
    """

    _AcceptedKeys = TeamKeys
    tensor_keys: TeamKeys
    default_keys = TeamKeys
    default_value_estimator = ValueEstimators.TD0
    _schedulable_buffers = frozenset({"gamma", "lmbda"})

    terms: tuple[str, ...]
    """Names of the loss's terms in the order of evaluation; term ``x`` is the method ``x_loss``."""
    metrics: tuple[str, ...] = ()
    """Names that the terms pass to :meth:`TeamView.record`, besides diagnostics that all losses share."""
    reads: tuple[str, ...] = ("action", "reward", "terminated", "done")
    """Fields of ``tensor_keys`` that the loss reads itself."""

    checks_bounds: bool = True
    """False if the data's actions may lie beyond the policy's bounds, where its density clamps them."""

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
    low: Bound
    high: Bound

    def __init__(
        self,
        *,
        gamma: float = 0.99,
        burn_in: int = 0,
        reduction: str | None = None,
        value_scale: str | None = None,
        reward_of: RewardOf = "team",
        separate_losses: bool = False,
    ) -> None:
        super().__init__()
        component = type(self).__name__
        require_count(component, 0, burn_in=burn_in)
        require_choice(component, reduction=(reduction, (None, "mean", "sum", "none")))
        require_choice(component, value_scale=(value_scale, (None, "svn")))
        require_choice(component, reward_of=(reward_of, ("team", "group", "agent")))
        if reward_of != "team":
            self.reads = tuple("agent_reward" if field == "reward" else field for field in self.reads)
        self.reduction = "mean" if reduction is None else reduction
        self.burn_in, self.value_scale = burn_in, value_scale
        self.separate_losses, self.reward_of = separate_losses, reward_of
        self.networks: list[str] = []
        self.shared_entries: dict[str, set[NestedKey]] = {}
        self.groups: GroupedTeamSpec | None = None
        self.parts: tuple[GroupedTeamSpec, ...] = ()  # of a mixed team, the groups of each kind of actions
        self.is_recurrent = False
        self.first_critic: list[TensorDictModuleBase] = []  # no submodule: its parameters would count
        self.normalizes_mixer = False  # ICQ's released mixer: weights of sum 1 over the agents that take part
        self.checked_kinds: set[Any] = set()
        self.prev_action_keys: list[NestedKey] = []
        self._at_next: list[str] = []
        self._computed: set[NestedKey] = set()
        self._out_keys: list[NestedKey] | None = None
        self.add_coefficient("gamma", gamma, "in [0, 1]")
        self.add_coefficient("lmbda", 0.95, "in [0, 1]")

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
        if self.groups is None and (groups := groups_of(network)) is not None:
            self.groups, self.parts = groups, groups.parts
        known = set(self.parameters())
        self.convert_to_functional(network, name, create_target_params=target)
        params = getattr(self, f"{name}_params").items(True, True)
        self.shared_entries[name] = {key for key, value in params if value in known}
        self.networks.append(name)
        self.is_recurrent |= is_recurrent(network)
        if name == "qvalue_network":
            self.first_critic = [first_member_view(network)]
        if at_next:
            self._at_next.append(name)
        found = prev_action_keys(network)
        self.prev_action_keys += [key for key in found if key not in self.prev_action_keys]
        self._computed |= {*computed, *found}
        check_reward_of(self)
        self._set_in_keys()

    @property
    def is_discrete(self) -> bool:
        """True for networks of discrete actions; a ValueError if only some groups have them."""
        return has_discrete_actions(self)

    @property
    def has_mixer(self) -> bool:
        """True if local values are mixed into the team's."""
        return "mixer_network" in self.networks

    @property
    def has_linear_mixer(self) -> bool:
        """True if the mixer is ``sum_i w_i(s) x_i + b(s)`` and writes its weights and bias."""
        out_keys = self.mixer_network.out_keys if self.has_mixer else []
        # Also by their number: ``set_keys`` names outputs only after the loss is built.
        return self.tensor_keys.mixer_weight in out_keys or len(out_keys) > 1

    # Keys -------------------------------------------------------------------------------

    def _set_in_keys(self) -> None:
        """Also called by ``set_keys``."""
        read = [key for name in self.networks for key in getattr(self, name).in_keys]
        at_next = [key for name in self._at_next for key in getattr(self, name).in_keys]
        local = self.mixer_network.in_keys[:1] if self.has_mixer and not self.has_linear_mixer else []
        self.computed_keys = {*self._computed, *local}
        required = self.tensor_keys.required(read, at_next, self.reads, self.computed_keys)
        groups = self.groups
        self.in_keys = required if groups is None else [k for key in required for k in groups.expand_key(key)]
        self._out_keys = None

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
        """Choose the TD target and return the loss.

        Args:
            value_type: ``TD0``, or ``TDLambda``, which needs sequences ``[*B, T]``; None: the loss's default.
            **hyperparams: ``gamma``, and ``lmbda`` for TDLambda.
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
        return data if isinstance(data, TeamView) else TeamView.of(self, read_team(self, data))

    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Terms and diagnostics (``out_keys``) of a batch (``in_keys``), every network evaluated once.

        Writes the TD error of every row to ``tensor_keys.priority`` of the input, as TorchRL's losses do.
        """
        batch = self.view(tensordict)
        out = {f"loss_{term}": getattr(self, f"{term}_loss")(batch) for term in self.terms}
        out |= collect_metrics(batch)
        if batch.priority is not None:
            tensordict.set(self.tensor_keys.priority, batch.priority.unsqueeze(-1))
        self._clear_weakrefs(tensordict, *(f"{name}_params" for name in self.networks))
        return TensorDict(out, [])
