"""The choices in which ICQ's paper and its released codes differ, one field each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from omiga_torchrl.errors import require_count, require_number, unknown_name

PartitionEstimate = Literal["batch", "behavior"]
Advantage = Literal["qvalue", "td", "counterfactual"]


@dataclass(frozen=True)
class ICQVariant:
    """Choices of :class:`omiga_torchrl.objectives.ICQLoss`; the defaults are the paper's.

    Attributes:
        advantage: x in the policy's weight ``exp(x / temperature)``. ``"qvalue"``: Q_i of the data action
            (paper). ``"td"``: ``r + gamma (1 - terminated) Q(s', a') - Q(s, a)``, without mixer weights
            (released single-agent softmax code); steps without a successor are then left out of the
            policy's loss. ``"counterfactual"``: ``Q_i(a_i) - sum_a pi_i(a) Q_i(a)`` (released
            multi-agent code); for continuous actions, for which there is neither such a sum nor such
            code, ``"td"``.
        weight_in_exponent: the mixer's weight multiplies x (paper); if not, it multiplies the
            agent's policy loss (released multi-agent code).
        normalized_mixer: weights of a linear mixer are divided by their sum, and there is no bias
            (released multi-agent code).
        softmax_per_step: the softmax runs over the batch at each time step by itself (released
            multi-agent code), not over all steps of the batch.
        clamp_critic_weight: weights in the critic's target are at most 1 (released single-agent
            codes), which makes the mean weight less than 1 and values too small.
        critic_weight_divisor: weights in the critic's target are divided by it, before the clamp
            (released single-agent softmax code: 2, called alpha there; the AntMaze code: 1).
        weighted_trace: the lambda return subtracts ``rho_t Q_t`` at later steps (released
            multi-agent code), not ``Q_t`` (paper, equation 20).
        target_in_actor: the policy's weights read the target Q network (released behavior code).
        data_copies: for ``partition_estimate="behavior"`` with continuous actions: how many times the data
            action counts among the samples of the partition function (released behavior code: 10).
        num_behavior_samples: number of these samples (released: 100).
        policy_temperature: of the policy's weights, > 0, in units of return.
        critic_temperature: of the critic's weights, > 0, in units of return.
        td_lambda: of the critic's lambda return, in [0, 1]; 0 is one step.
    """

    advantage: Advantage = "qvalue"
    weight_in_exponent: bool = True
    normalized_mixer: bool = False
    softmax_per_step: bool = False
    clamp_critic_weight: bool = False
    critic_weight_divisor: float = 1.0
    weighted_trace: bool = False
    target_in_actor: bool = False
    data_copies: int = 0
    num_behavior_samples: int = 10
    policy_temperature: float = 1.0
    critic_temperature: float = 1000.0
    td_lambda: float = 0.0

    def __post_init__(self) -> None:
        if self.advantage not in ("qvalue", "td", "counterfactual"):
            raise unknown_name("ICQLoss", "advantage", self.advantage, ("qvalue", "td", "counterfactual"))
        for name in ("policy_temperature", "critic_temperature", "critic_weight_divisor"):
            require_number("ICQLoss", "> 0", **{name: getattr(self, name)})
        require_number("ICQLoss", "in [0, 1]", td_lambda=self.td_lambda)
        require_count("ICQLoss", 1, num_behavior_samples=self.num_behavior_samples)
        require_count("ICQLoss", 0, data_copies=self.data_copies)


PAPER: Final = ICQVariant()
OFFICIAL_BATCH: Final = ICQVariant(
    advantage="td",
    clamp_critic_weight=True,
    critic_weight_divisor=2.0,
    policy_temperature=600.0,
    critic_temperature=600.0,
)
OFFICIAL_BEHAVIOR: Final = ICQVariant(
    clamp_critic_weight=True,
    target_in_actor=True,
    data_copies=10,
    num_behavior_samples=100,
    policy_temperature=600.0,
    critic_temperature=600.0,
)
OFFICIAL_TEAM: Final = ICQVariant(
    advantage="counterfactual",
    weight_in_exponent=False,
    normalized_mixer=True,
    softmax_per_step=True,
    weighted_trace=True,
    policy_temperature=0.1,
    critic_temperature=1000.0,
    td_lambda=0.75,
)


def resolve_variant(
    variant: Literal["paper", "official"] | ICQVariant,
    *,
    has_mixer: bool,
    partition_estimate: PartitionEstimate,
    **overrides: float | str | None,
) -> ICQVariant:
    """The choices that a variant's name means, with some of them replaced.

    Args:
        variant: a name, or the choices themselves.

    Keyword Args:
        has_mixer: True for the multi-agent code, False for the single-agent ones.
        partition_estimate: ``"batch"`` or ``"behavior"``.
        **overrides: fields; None keeps the variant's.

    Raises:
        ValueError: unknown name or value, or no released code of this kind.

    Examples:
        >>> chosen = resolve_variant("official", has_mixer=True, partition_estimate="batch", td_lambda=0.5)
        >>> chosen.td_lambda, chosen.policy_temperature
        (0.5, 0.1)
    """
    if partition_estimate not in ("batch", "behavior"):
        raise unknown_name("ICQLoss", "partition_estimate", partition_estimate, ("batch", "behavior"))
    if not isinstance(variant, ICQVariant):
        variant = _named(variant, has_mixer, partition_estimate)
    given = {name: value for name, value in overrides.items() if value is not None}
    return replace(variant, **given)  # type: ignore[arg-type]


def _named(name: str, has_mixer: bool, partition_estimate: PartitionEstimate) -> ICQVariant:
    if name == "paper":
        return PAPER
    if name != "official":
        raise unknown_name("ICQLoss", "variant", name, ("paper", "official"))
    if not has_mixer:
        return OFFICIAL_BATCH if partition_estimate == "batch" else OFFICIAL_BEHAVIOR
    if partition_estimate == "behavior":
        raise ValueError(
            "ICQLoss: partition_estimate must be 'batch' for variant='official' with a mixer, got 'behavior'"
            ": the released multi-agent code has no other. Use variant='paper'."
        )
    return OFFICIAL_TEAM


def check_behavior_network(
    options: ICQVariant, partition_estimate: PartitionEstimate, is_given: bool
) -> None:
    """Refuse a behavior model that nothing reads, a missing one, and an advantage that it has no use for.

    Args:
        options: the choices.
        partition_estimate: ``"behavior"`` needs a model.
        is_given: True if there is one.

    Raises:
        ValueError: they do not fit together.
    """
    if (partition_estimate == "behavior") != is_given:
        expected, found = ("None", "a network") if is_given else ("a network", "None")
        raise ValueError(
            f"ICQLoss: behavior_network must be {expected} for partition_estimate={partition_estimate!r}, "
            f"got {found}. Make one with omiga_torchrl.modules.behavior_model(spec) for 'behavior', and "
            "none for 'batch'."
        )
    if is_given and options.advantage != "qvalue":
        raise ValueError(
            "ICQLoss: advantage must be 'qvalue' for partition_estimate='behavior', got "
            f"{options.advantage!r}. Leave it out: the partition function of each state is the baseline."
        )
