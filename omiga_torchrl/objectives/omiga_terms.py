"""The terms of OMIGA, each also a loss of its own."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_number, unknown_name
from omiga_torchrl.functional.advantage import ClipMode
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.diagnostics import WEIGHT_METRICS
from omiga_torchrl.objectives.view import TeamView

Variant = Literal["paper", "official"]

JOINT_SAMPLE_SIZE: Final = 0.4
"""Sample size of the product of all agents' weights, if independent, that ``alpha="auto"`` aims at."""

_LOCAL_METRICS = (*WEIGHT_METRICS, "scaled_advantage", "scaled_advantage_max", "alpha")


class OMIGATerms(TeamLoss):
    """Base of OMIGA's losses: coefficients, critics and exponents.

    Args:
        qvalue_network: Q_i of observation and action.
        value_network: V_i of observation.
        mixer_network: state to (mixer_weight, mixer_bias).

    Keyword Args:
        alpha: regularization strength > 0, or ``"auto"``.
        variant: ``"paper"`` or ``"official"``.
        max_exponent: where exp ends, > 0.
        clip_mode: ``"linear"``, ``"clamp"`` or None, which follows the variant.
        target_effective_sample_size: of ``alpha="auto"``, in [0, 1], or None: 0.4^(1/N) for N agents.
        **kwargs: of :class:`TeamLoss`; :class:`omiga_torchrl.objectives.OMIGALoss` tells of all arguments.
    """

    _schedulable_buffers = frozenset({"alpha"})

    alpha: Tensor

    def __init__(
        self,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase,
        *,
        alpha: float | Literal["auto"] = 10.0,
        variant: Variant = "paper",
        max_exponent: float = 10.0,
        clip_mode: ClipMode | None = None,
        target_effective_sample_size: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        component = type(self).__name__
        if variant not in ("paper", "official"):
            raise unknown_name(component, "variant", variant, ("paper", "official"))
        if clip_mode not in (None, "linear", "clamp"):
            raise unknown_name(component, "clip_mode", clip_mode, ("linear", "clamp"))
        if alpha != "auto" and not (isinstance(alpha, (int, float)) and 0 < alpha < math.inf):
            raise ValueError(
                f"{component}: alpha must be a number > 0 or 'auto', got {alpha!r}. Start with the standard "
                "deviation of the returns, or use 'auto'."
            )
        require_number(component, "> 0", max_exponent=max_exponent)
        if target_effective_sample_size is not None:
            require_number(component, "in [0, 1]", target_effective_sample_size=target_effective_sample_size)
        self.is_official, self.has_auto_alpha = variant == "official", alpha == "auto"
        self.max_exponent = max_exponent
        self.clip_mode: ClipMode = clip_mode or ("clamp" if self.is_official else "linear")
        self.target_effective_sample_size = target_effective_sample_size
        self.add_coefficient("alpha", 1.0 if alpha == "auto" else alpha, "> 0")
        if self.terms != ("qvalue",):
            self.metrics = (*_LOCAL_METRICS, "next_alpha") if self.has_auto_alpha else _LOCAL_METRICS
        self._add_critics(qvalue_network, value_network, mixer_network)

    def _add_critics(
        self,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase,
    ) -> None:
        """Register the critics, with the target parameters that the class's terms read and no others."""
        learns_qvalue = "qvalue" in self.terms
        self.add_network("qvalue_network", qvalue_network, target=self.terms != ("qvalue",))
        self.add_network(
            "value_network", value_network, target=self.is_official and learns_qvalue, at_next=learns_qvalue
        )
        self.add_network("mixer_network", mixer_network, target=self.is_official, at_next=learns_qvalue)
        if not self.has_linear_mixer:
            found = "None" if mixer_network is None else f"one that writes {mixer_network.out_keys}"
            raise ValueError(
                f"{type(self).__name__}: mixer_network must be linear in Q_i and write its weights and bias, "
                f"got {found}: OMIGA splits the team's problem into local ones by these weights. Use "
                "LinearMixer(n_agents, state_size).as_weight_module() or that of VDNMixer(n_agents)."
            )

    def _delayed(self, view: TeamView) -> TeamView:
        """``view`` with the V and mixer that targets and weights read: the online or the target ones."""
        return view.target if self.is_official else view

    def _exponent(self, batch: TeamView) -> Tensor:
        """``z_i = w_i (Q_i - V_i) / alpha`` of the data's actions ``[*B, N]``, detached."""
        return batch.once("omiga_exponent", lambda: self._recorded_exponent(batch))

    def _recorded_exponent(self, batch: TeamView) -> Tensor:
        q, v = batch.target.q_min, batch.v.detach()
        z = F.scaled_advantage(q, v, self._delayed(batch).agent_weight, self.alpha)
        mask, beyond = batch.mask_for(z), z.abs() if self.clip_mode == "clamp" else z
        batch.record("scaled_advantage", z)
        batch.record("scaled_advantage_max", (z if mask is None else z.masked_fill(~mask, -math.inf)).max())
        batch.record("alpha", self.alpha.clone())
        batch.record_weights(self._policy_weight(z), self.alpha * z, beyond > self.max_exponent)
        if self.has_auto_alpha:
            target = self.target_effective_sample_size
            # Agents are weighted one by one, but act together: the product of N weights counts.
            target = JOINT_SAMPLE_SIZE ** (1 / z.shape[-1]) if target is None else target
            found = batch.metrics["effective_sample_size"]
            batch.record("next_alpha", F.updated_alpha(self.alpha, found, target=target))
        return z

    def _policy_weight(self, z: Tensor) -> Tensor:
        return F.policy_weight(z, max_exponent=self.max_exponent, clip_mode=self.clip_mode)


class OMIGAValueLoss(OMIGATerms):
    """OMIGA's local value loss, ``mean exp(z_i) + w_i V_i / alpha`` with ``z_i = w_i (Q_i - V_i) / alpha``.

    Trains ``value_network`` only. Q is the target Q network's; see :class:`OMIGALoss` for the variants.

    Args:
        qvalue_network: Q_i of observation and action.
        value_network: V_i of observation.
        mixer_network: state to (mixer_weight, mixer_bias).

    Keyword Args:
        **kwargs: as of :class:`OMIGALoss`.

    Examples:
        >>> from omiga_torchrl.algorithms import omiga_networks
        >>> from omiga_torchrl.objectives import ForeachSoftUpdate
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> networks = omiga_networks(spec)
        >>> loss = OMIGAValueLoss(networks.qvalue, networks.value, networks.mixer, alpha=0.3)
        >>> updater = ForeachSoftUpdate(loss, tau=0.005)
        >>> loss(spec.fake_batch(8))["loss_value"].shape
        torch.Size([])
    """

    terms = ("value",)
    reads = ("action",)

    def value_loss(self: OMIGATerms, data: TensorDictBase | TeamView) -> Tensor:
        """``exp(z_i) + w_i V_i / alpha``; trains the value network."""
        batch = self.view(data)
        z, weight = self._exponent(batch), self._delayed(batch).agent_weight
        loss = F.omiga_value_loss(
            *(batch.target.q_min, batch.v, weight, self.alpha),
            max_exponent=self.max_exponent,
            clip_mode=self.clip_mode,
        )
        if self.is_official:
            loss = loss * F.batch_max_scale(z, self.max_exponent, batch.mask_for(z))
        return batch.reduce(loss)


class OMIGAQValueLoss(OMIGATerms):
    """OMIGA's Q loss, ``mean (Q_tot - r - gamma (1 - terminated) V_tot(s'))^2``.

    Trains ``qvalue_network`` and ``mixer_network``. See :class:`OMIGALoss` for the variants.

    Args:
        qvalue_network: Q_i of observation and action.
        value_network: V_i of observation.
        mixer_network: state to (mixer_weight, mixer_bias).

    Keyword Args:
        **kwargs: as of :class:`OMIGALoss`; ``alpha`` and what belongs to it change nothing here.

    Examples:
        >>> from omiga_torchrl.algorithms import omiga_networks
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> networks = omiga_networks(spec)
        >>> loss = OMIGAQValueLoss(networks.qvalue, networks.value, networks.mixer)
        >>> loss(spec.fake_batch(8))["loss_qvalue"].shape
        torch.Size([])
    """

    terms = ("qvalue",)

    def qvalue_loss(self: OMIGATerms, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) V_tot(s'))^2``; trains Q network and mixer."""
        batch = self.view(data)
        target = batch.td_target(self._delayed(batch.next).v_tot)
        return batch.td_loss(batch.q_tot, target)


class OMIGAPolicyLoss(OMIGATerms):
    """OMIGA's policy loss, ``- mean exp(z_i) log pi_i(a_i | o_i)``.

    Trains ``actor_network`` only. See :class:`OMIGALoss` for the variants.

    Args:
        actor_network: policy with a distribution over the agents' actions.
        qvalue_network: Q_i of observation and action.
        value_network: V_i of observation.
        mixer_network: state to (mixer_weight, mixer_bias).

    Keyword Args:
        **kwargs: as of :class:`OMIGALoss`.

    Examples:
        >>> from omiga_torchrl.algorithms import omiga_networks
        >>> from omiga_torchrl.objectives import ForeachSoftUpdate
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = OMIGAPolicyLoss(*omiga_networks(spec), alpha=0.3)
        >>> updater = ForeachSoftUpdate(loss, tau=0.005)
        >>> loss(spec.fake_batch(8))["loss_actor"].shape
        torch.Size([])
    """

    terms = ("actor",)
    reads = ("action",)

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, value_network, mixer_network, **kwargs)
        self.add_network("actor_network", actor_network)

    def actor_loss(self: OMIGATerms, data: TensorDictBase | TeamView) -> Tensor:
        """``- exp(z_i) log pi_i(a_i | o_i)``; trains the policy."""
        batch = self.view(data)
        return batch.reduce(-self._policy_weight(self._exponent(batch)) * batch.log_prob)
