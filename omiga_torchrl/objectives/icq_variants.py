"""The choices in which ICQ's paper and its released codes differ, one field each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from omiga_torchrl.errors import require_number, unknown_name

Weighting = Literal["softmax", "behaviour"]
Advantage = Literal["qvalue", "td", "counterfactual"]


@dataclass(frozen=True)
class ICQVariant:
    """Choices of :class:`omiga_torchrl.objectives.ICQLoss`; the defaults are the paper's.

    Attributes:
        advantage: x in the policy's weight ``exp(x / alpha)``. ``"qvalue"``: Q_i of the data action
            (paper). ``"td"``: ``r + gamma (1 - terminated) Q(s', a') - Q(s, a)``, without weights
            (released single-agent softmax code); steps without a successor are then left out of the
            policy's loss. ``"counterfactual"``: ``Q_i(a_i) - sum_a pi_i(a) Q_i(a)`` (released
            multi-agent code); for continuous actions, for which there is neither such a sum nor such
            code, the TD error of the team.
        weight_in_exponent: the mixer's weight multiplies x (paper); if not, it multiplies the
            agent's policy loss (released multi-agent code).
        normalised_mixer: mixer weights are divided by their sum, and there is no bias (released
            multi-agent code).
        softmax_per_step: the softmax runs over the batch at each time step by itself (released
            multi-agent code), not over all steps of the batch.
        clamp_critic_weight: weights in the critic's target are at most 1 (released single-agent
            codes), which makes the mean weight less than 1 and values too small.
        critic_weight_divisor: weights in the critic's target are divided by it, before the clamp
            (released single-agent softmax code: 2, called alpha there; the AntMaze code: 1).
        weighted_trace: the lambda return subtracts ``rho_t Q_t`` at later steps (released
            multi-agent code), not ``Q_t`` (paper, equation 20).
        target_in_actor: the policy's weights read the target Q network (released behaviour code).
        data_copies: for ``weighting="behaviour"`` with continuous actions: how many times the data
            action counts among the samples of the partition function (released behaviour code: 10).
        behaviour_samples: number of these samples (released: 100).
        actor_alpha: temperature of the policy's weights, in units of return.
        critic_alpha: temperature of the critic's weights, in units of return.
        td_lambda: of the critic's lambda return.
    """

    advantage: Advantage = "qvalue"
    weight_in_exponent: bool = True
    normalised_mixer: bool = False
    softmax_per_step: bool = False
    clamp_critic_weight: bool = False
    critic_weight_divisor: float = 1.0
    weighted_trace: bool = False
    target_in_actor: bool = False
    data_copies: int = 0
    behaviour_samples: int = 10
    actor_alpha: float = 1.0
    critic_alpha: float = 1000.0
    td_lambda: float = 0.0


PAPER: Final = ICQVariant()
OFFICIAL_SOFTMAX: Final = ICQVariant(
    advantage="td",
    clamp_critic_weight=True,
    critic_weight_divisor=2.0,
    actor_alpha=600.0,
    critic_alpha=600.0,
)
OFFICIAL_BEHAVIOUR: Final = ICQVariant(
    clamp_critic_weight=True,
    target_in_actor=True,
    data_copies=10,
    behaviour_samples=100,
    actor_alpha=600.0,
    critic_alpha=600.0,
)
OFFICIAL_TEAM: Final = ICQVariant(
    advantage="counterfactual",
    weight_in_exponent=False,
    normalised_mixer=True,
    softmax_per_step=True,
    weighted_trace=True,
    actor_alpha=0.1,
    critic_alpha=1000.0,
    td_lambda=0.75,
)


def resolve_variant(
    variant: Literal["paper", "official"] | ICQVariant,
    *,
    team: bool,
    weighting: Weighting,
    **overrides: float | str | None,
) -> ICQVariant:
    """The choices that a variant's name means, with some of them replaced.

    Args:
        variant: a name, or the choices themselves.

    Keyword Args:
        team: whether there is a mixer.
        weighting: ``"softmax"`` or ``"behaviour"``.
        **overrides: fields; None keeps the variant's.

    Raises:
        ValueError: unknown name or value, or no released code of this kind.

    Examples:
        >>> resolve_variant("official", team=True, weighting="softmax", actor_alpha=0.5).actor_alpha
        0.5
    """
    if weighting not in ("softmax", "behaviour"):
        raise unknown_name("ICQLoss", "weighting", weighting, ("softmax", "behaviour"))
    if not isinstance(variant, ICQVariant):
        variant = _named(variant, team, weighting)
    chosen = replace(variant, **{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    if chosen.advantage not in ("qvalue", "td", "counterfactual"):
        raise unknown_name("ICQLoss", "advantage", chosen.advantage, ("qvalue", "td", "counterfactual"))
    for name in ("actor_alpha", "critic_alpha", "critic_weight_divisor", "behaviour_samples"):
        require_number("ICQLoss", "> 0", **{name: getattr(chosen, name)})
    require_number("ICQLoss", "in [0, 1]", td_lambda=chosen.td_lambda)
    return chosen


def _named(name: str, team: bool, weighting: Weighting) -> ICQVariant:
    if name == "paper":
        return PAPER
    if name != "official":
        raise unknown_name("ICQLoss", "variant", name, ("paper", "official"))
    if not team:
        return OFFICIAL_SOFTMAX if weighting == "softmax" else OFFICIAL_BEHAVIOUR
    if weighting == "behaviour":
        raise ValueError(
            "ICQLoss: variant='official' with a mixer and weighting='behaviour'; expected "
            "weighting='softmax', the released multi-agent code has no other. Use variant='paper'."
        )
    return OFFICIAL_TEAM
