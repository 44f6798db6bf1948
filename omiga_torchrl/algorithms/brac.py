"""BRAC-p for teams (BRAC: arXiv:1911.11361)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import nn

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig, LikelihoodConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import behavior_model
from omiga_torchrl.objectives.brac import BRACLoss

BehaviorModel = Literal["policy", "vae"]


@dataclass(frozen=True, kw_only=True)
class BRACConfig(LikelihoodConfig, CriticConfig):
    """Arguments of BRAC with a policy penalty, besides those of :class:`CriticConfig`.

    ``distribution`` (:class:`LikelihoodConfig`) is the policy's and the behavior model's. With
    ``behavior_model="vae"`` it is tanh: a censored Gaussian would be infinitely far from a VAE without atoms.

    Attributes:
        behavior_model: ``"policy"``, a network like the policy's own (published), or ``"vae"``, for
            continuous actions of several modes; its density is a bound.
        alpha: price of divergence, >= 0, in units of return; published default 1.
        target_divergence: KL of each agent, > 0, in nats, that alpha is moved to keep; None keeps alpha.
        max_alpha: largest alpha with a target, > 0; published 500.
        entropy_coeff: price of certainty, >= 0, in units of return; 0 as published.
        num_action_samples: of the policy for the divergence, >= 1; None is exact where that is known, else
            4 as published.
        warmup_steps: first gradient steps in which the policy only clones, >= 0; published 20,000.
    """

    behavior_model: BehaviorModel = "policy"
    alpha: float = 1.0
    target_divergence: float | None = None
    max_alpha: float = 500.0
    entropy_coeff: float = 0.0
    num_action_samples: int | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.behavior_model not in get_args(BehaviorModel):
            raise unknown_name("BRACConfig", "behavior_model", self.behavior_model, get_args(BehaviorModel))
        if self.behavior_model == "vae" and self.distribution == "censored":
            raise ValueError(
                "BRACConfig: distribution must be 'tanh' or 'auto' with behavior_model='vae', got "
                "'censored'. A VAE has no atoms on the bounds; take behavior_model='policy'."
            )


@register_algorithm("brac_p", BRACConfig)
def make_brac_p(spec: AnyTeamSpec, config: BRACConfig) -> Algorithm:
    """Assemble BRAC-p for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_brac_p(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'behavior', 'qvalue']
    """
    if config.behavior_model == "vae":
        config = replace(config, distribution="tanh")
    build = NetworkBuilder(spec, config)
    actor, qvalue = build.actor(), build.qvalue()
    if config.behavior_model == "vae":
        behavior = build.network(lambda group: behavior_model(group, **build.arguments(group)))
    else:
        behavior = build.actor(name="behaviour")
    mixer = build.mixer()
    loss = BRACLoss(actor, qvalue, behavior, mixer, **config.loss_arguments(BRACLoss))
    groups: dict[str, list[nn.Module | nn.Parameter | None]] = {
        "actor": [actor],
        "qvalue": [qvalue, mixer],
        "behavior": [behavior],
    }
    if config.target_divergence is not None:
        groups["alpha"] = [loss.log_alpha]
    return build.algorithm(actor, loss, groups)
