"""ICQ (NeurIPS 2021, arXiv:2106.03400), with either estimate of its partition functions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule, TensorDictModuleBase

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig, LikelihoodConfig, make_config
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import NormalizedMixer, behavior_model
from omiga_torchrl.objectives.icq import ICQLoss
from omiga_torchrl.objectives.icq_variants import Advantage, ICQVariant, PartitionEstimate, resolve_variant
from omiga_torchrl.specs import TeamSpec


@dataclass(frozen=True, kw_only=True)
class ICQConfig(LikelihoodConfig, CriticConfig):
    """Arguments of ICQ, besides those of :class:`CriticConfig`.

    Attributes:
        num_qvalue_nets: critics of every agent: one, as published; of more the smallest value counts.
        behavior_hidden_sizes: hidden layers of the behavior model.
        partition_estimate: Z of the weights: ``"batch"``, or ``"behavior"``: of each state, by a model.
        variant: ``"paper"``, ``"official"`` (the released choices, mixer and samples), or an ``ICQVariant``.
        policy_temperature: of the policy's weights, > 0, in units of return; None here and below is the
            variant's (paper: 1).
        critic_temperature: of the critic's weights, > 0, in units of return (paper: 1000).
        td_lambda: of the critic's lambda return, in [0, 1] (paper: 0, one step).
        max_exponent: of behavior weights: their log, > 0 and without unit, beyond which exp goes on linearly.
        advantage: ``"qvalue"`` (paper), ``"td"`` or ``"counterfactual"``: see :class:`ICQVariant`.
        weight_in_exponent: the mixer's weight multiplies the exponent (paper), not the policy's loss.
        normalized_mixer: mixer weights of sum 1 and no bias (released multi-agent code).
        softmax_per_step: Z of each time step by itself (released multi-agent code).
        clamp_critic_weight: weights of the target are at most 1 (released single-agent codes).
        critic_weight_divisor: > 0, divides weights of the target (released single-agent softmax code: 2).
        weighted_trace: the lambda return subtracts weighted values (released multi-agent code).
        target_in_actor: the policy's weights read the target Q network (released behavior code).
        data_copies: >= 0, of the data's action among the behavior samples (released behavior code: 10).
        num_behavior_samples: >= 1, of the behavior model's continuous actions (paper: 10; released: 100).
    """

    num_qvalue_nets: int = 1
    behavior_hidden_sizes: tuple[int, ...] = (256, 256)
    partition_estimate: PartitionEstimate = "batch"
    variant: Literal["paper", "official"] | ICQVariant = "paper"
    policy_temperature: float | None = None
    critic_temperature: float | None = None
    td_lambda: float | None = None
    max_exponent: float = 10.0
    advantage: Advantage | None = None
    weight_in_exponent: bool | None = None
    normalized_mixer: bool | None = None
    softmax_per_step: bool | None = None
    clamp_critic_weight: bool | None = None
    critic_weight_divisor: float | None = None
    weighted_trace: bool | None = None
    target_in_actor: bool | None = None
    data_copies: int | None = None
    num_behavior_samples: int | None = None


@dataclass(frozen=True, kw_only=True)
class ICQBehaviorConfig(ICQConfig):
    """Arguments of ICQ with a behavior model: those of :class:`ICQConfig`.

    Attributes:
        partition_estimate: ``"behavior"``.
    """

    partition_estimate: PartitionEstimate = "behavior"


class ICQNetworks(NamedTuple):
    """The networks of :class:`ICQLoss`; None where there is none."""

    actor: ProbabilisticTensorDictSequential
    qvalue: TensorDictModuleBase
    mixer: TensorDictModule | None
    behavior: TensorDictModuleBase | None


def icq_networks(spec: AnyTeamSpec, **arguments: Any) -> ICQNetworks:
    """The networks for a team, or for one agent (no mixer).

    Args:
        spec: sizes of the task.
        **arguments: fields of :class:`ICQConfig`, e.g. ``hidden_sizes``; ``variant="official"`` takes the
            released mixer (weights of sum 1, no bias) and samples the behavior model as the released code
            does (latents within +-0.5, no noise).

    Examples:
        >>> icq_networks(TeamSpec(3, 5, 2, 7)).mixer.in_keys
        ['state']
        >>> icq_networks(TeamSpec(1, 5, 2, 5)).mixer is None
        True
    """
    config = make_config("icq", ICQConfig, arguments)
    return _networks(NetworkBuilder(spec, config), config)


def _networks(build: NetworkBuilder, config: ICQConfig) -> ICQNetworks:
    spec, is_official = build.spec, config.variant == "official"
    if is_official and config.mixer == "auto" and spec.n_agents > 1:
        mixer: TensorDictModule | None = NormalizedMixer(spec.n_agents, spec.state_size).as_weight_module()
    else:
        mixer = build.mixer()
    behavior = None
    if config.partition_estimate == "behavior":

        def make(group: TeamSpec) -> TensorDictModuleBase:
            sampling: dict[str, Any] = {"max_latent": 0.5} if is_official and not group.discrete else {}
            arguments = build.arguments(group, hidden_sizes=config.behavior_hidden_sizes)
            return behavior_model(group, **arguments, **sampling)

        behavior = build.network(make)
    return ICQNetworks(build.actor(), build.qvalue(wrap_single=False), mixer, behavior)


def _assemble(spec: AnyTeamSpec, config: ICQConfig) -> Algorithm:
    build = NetworkBuilder(spec, config)
    actor, qvalue, mixer, behavior = _networks(build, config)
    options = resolve_variant(
        config.variant,
        has_mixer=mixer is not None,
        partition_estimate=config.partition_estimate,
        **{field.name: getattr(config, field.name) for field in fields(ICQVariant)},
    )
    arguments = {**config.loss_arguments(ICQLoss), "variant": options}
    loss = ICQLoss(actor, qvalue, mixer, behavior_network=behavior, **arguments)
    groups = {"actor": [actor], "qvalue": [qvalue, mixer], "behavior": [behavior]}
    return build.algorithm(actor, loss, groups)


@register_algorithm("icq", ICQConfig, sequences=True)
def make_icq(spec: AnyTeamSpec, config: ICQConfig) -> Algorithm:
    """Assemble ICQ for a task; its loss takes sequences ``[*B, T]``, see :class:`ICQLoss`.

    Args:
        spec: sizes of the task; with one agent there is no mixer.
        config: its arguments, as keywords.

    Examples:
        >>> sorted(make_icq(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue']
    """
    return _assemble(spec, config)


@register_algorithm("icq_behavior", ICQBehaviorConfig, sequences=True)
def make_icq_behavior(spec: AnyTeamSpec, config: ICQBehaviorConfig) -> Algorithm:
    """Assemble ICQ with the weights of a behavior model: a VAE, or for discrete actions a categorical.

    Args:
        spec: sizes of the task; with one agent there is no mixer.
        config: its arguments, as keywords.

    Examples:
        >>> sorted(make_icq_behavior(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'behavior', 'qvalue']
    """
    return _assemble(spec, config)
