"""OMAR (ICML 2022, arXiv:2111.11188)."""

from __future__ import annotations

from dataclasses import dataclass

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.functional.search import Update
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.modules.builders import MixerName
from omiga_torchrl.objectives.omar import OMARLoss, Variant


@dataclass(frozen=True, kw_only=True)
class OMARConfig(CriticConfig):
    """Arguments of OMAR, besides those of :class:`CriticConfig`.

    Attributes:
        mixer: of :class:`CriticConfig`; ``"none"`` as published.
        cem_weight: of imitating the search against the critic's gradient, in [0, 1], in units of return:
            against the size of values. Published 0.1 to 1.
        cql_alpha: weight of the conservative penalty, >= 0, in units of return. Published 0.5, 1 or 5.
        num_action_samples: of each of three kinds of candidates of the penalty, >= 1. Published 10.
        action_noise_std: standard deviation of the policy's candidates, > 0, in half action ranges; None has
            uniform candidates only, as released for particle environments. 0.2 as for MuJoCo.
        variant: ``"paper"``, or ``"official"``: the penalty as released, see :class:`OMARLoss`.
        cem_iterations: of the search, >= 1. Released 2 (elites) or 3 (softmax).
        cem_num_samples: draws of each iteration, >= 1. Released 20 (elites) or 10 (softmax).
        cem_update: ``"elites"``, released for MuJoCo, or ``"softmax"``, for particle environments.
        cem_num_elites: how many the former keeps, >= 2. Released 5.
        cem_init_std: where searches start, > 0, in half action ranges; None is 1, or official 2.
        cem_refit: False samples every iteration from the start, as ComaDICE's re-implementation by mistake.
        action_penalty: weight of the squared action, >= 0. Published 1e-3.
    """

    mixer: MixerName = "none"
    cem_weight: float = 0.5
    cql_alpha: float = 1.0
    num_action_samples: int = 10
    action_noise_std: float | None = 0.2
    variant: Variant = "paper"
    cem_iterations: int = 2
    cem_num_samples: int = 20
    cem_update: Update = "elites"
    cem_num_elites: int = 5
    cem_init_std: float | None = None
    cem_refit: bool = True
    action_penalty: float = 1e-3


@register_algorithm("omar", OMARConfig, actions=("continuous",))
def make_omar(spec: AnyTeamSpec, config: OMARConfig) -> Algorithm:
    """Assemble OMAR for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_omar(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue']
    """
    build = NetworkBuilder(spec, config)
    actor, qvalue, mixer = (
        build.network(lambda group: deterministic_actor(group, **build.arguments(group))),
        build.qvalue(),
        build.mixer(),
    )
    loss = OMARLoss(actor, qvalue, mixer, **config.loss_arguments(OMARLoss))
    return build.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixer]})
