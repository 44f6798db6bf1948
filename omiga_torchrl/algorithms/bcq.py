"""BCQ for teams (ICML 2019, arXiv:1812.02900; discrete actions arXiv:1910.01708)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.errors import require_count, require_number
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import ConditionalVAE, behavior_model
from omiga_torchrl.modules.builders import perturbation_network
from omiga_torchrl.modules.candidate_policy import CandidatePolicy, supported_action_policy
from omiga_torchrl.modules.greedy import greedy_policy
from omiga_torchrl.objectives.bcq import BCQLoss, VAELoss
from omiga_torchrl.specs import TeamSpec


@dataclass(frozen=True, kw_only=True)
class BCQConfig(CriticConfig):
    """Arguments of BCQ, besides those of :class:`CriticConfig`.

    Attributes:
        num_qvalue_nets: of :class:`CriticConfig`; None, as published, is 2 for continuous actions and 1 for
            discrete ones.
        behavior_hidden_sizes: hidden layers of the behavior model.
        lam: weight of the smaller critic in targets, in [0, 1]; the larger one has the rest. Published 0.75.
        vae_loss: continuous: ``"likelihood"``, the VAE's own bound, or ``"squared_error"``, as released.
        latent_size: continuous: features of the VAE's latents; None is twice the action's. The released code
            for teams takes twice the number of agents.
        max_latent: continuous: bound of the latents that samples are decoded from, > 0, in their standard
            deviations; None samples the model itself. Released 0.5.
        perturbation: continuous: largest change of a sampled action, >= 0, in half action ranges. Published
            0.05.
        num_action_samples: continuous: samples of the target, >= 1. Published 10.
        num_candidates: continuous: actions that each agent chooses among when it acts, >= 1. Published 100.
        support_threshold: discrete: probability of a supported action relative to the most likely one, in
            [0, 1]. Published 0.3; OG-MARL's teams 0.4.
        act_within_support: discrete: act with supported actions only; OG-MARL's with all.
    """

    num_qvalue_nets: int | None = None
    behavior_hidden_sizes: tuple[int, ...] = (256, 256)
    lam: float = 0.75
    vae_loss: VAELoss = "likelihood"
    latent_size: int | None = None
    max_latent: float | None = 0.5
    perturbation: float = 0.05
    num_action_samples: int = 10
    num_candidates: int = 100
    support_threshold: float = 0.3
    act_within_support: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("BCQConfig", ">= 0", perturbation=self.perturbation)
        require_count("BCQConfig", 1, num_candidates=self.num_candidates)


@register_algorithm("bcq", BCQConfig)
def make_bcq(spec: AnyTeamSpec, config: BCQConfig) -> Algorithm:
    """Assemble BCQ for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> sorted(make_bcq(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'behavior', 'qvalue']
    """
    build = NetworkBuilder(spec, config)
    behavior = build.network(lambda group: _behavior_model(group, build, config))
    qvalue, mixer, actor = build.qvalue(), build.mixer(), None
    if spec.kind != "discrete":
        actor = build.network(
            lambda group: perturbation_network(group, config.perturbation, **build.arguments(group)),
            kind="continuous",
        )
    policy = build.policy(partial(_policy, config), behavior, qvalue, actor)
    loss = BCQLoss(actor, qvalue, mixer, behavior_network=behavior, **config.loss_arguments(BCQLoss))
    groups = {"qvalue": [qvalue, mixer], "behavior": [behavior], "actor": [actor]}
    return build.algorithm(policy, loss, groups)


def _behavior_model(spec: TeamSpec, build: NetworkBuilder, config: BCQConfig) -> TensorDictModuleBase:
    arguments = build.arguments(spec, hidden_sizes=config.behavior_hidden_sizes)
    if not spec.discrete:
        arguments |= {"max_latent": config.max_latent, "latent_size": config.latent_size}
    return behavior_model(spec, **arguments)


def _policy(
    config: BCQConfig,
    spec: TeamSpec,
    behavior: TensorDictModuleBase,
    qvalue: TensorDictModuleBase,
    actor: TensorDictModuleBase | None,
) -> TensorDictModuleBase:
    if not spec.discrete:
        vae = cast(ConditionalVAE, behavior)
        return CandidatePolicy(vae, qvalue, actor, candidates=config.num_candidates)
    if not config.act_within_support:
        return greedy_policy(qvalue, masked=spec.masked)
    model, threshold = cast(ProbabilisticTensorDictSequential, behavior), config.support_threshold
    return supported_action_policy(qvalue, model, threshold=threshold, masked=spec.masked)
