"""BCQ for teams (ICML 2019, arXiv:1812.02900; discrete actions arXiv:1910.01708)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.errors import require_number
from omiga_torchrl.modules import ConditionalVAE, behaviour_model
from omiga_torchrl.modules.builders import perturbation_network as perturbation_network
from omiga_torchrl.modules.candidate_policy import CandidatePolicy, supported_action_policy
from omiga_torchrl.modules.greedy import greedy_policy
from omiga_torchrl.objectives.bcq import BCQLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("bcq")
def make_bcq(
    spec: TeamSpec,
    *,
    behaviour_hidden: Sequence[int] = (256, 256),
    latent_size: int | None = None,
    latent_limit: float | None = 0.5,
    perturbation: float = 0.05,
    candidates: int = 100,
    threshold: float = 0.3,
    restrict_acting: bool = True,
    **arguments: Any,
) -> Algorithm:
    """Assemble BCQ for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        behaviour_hidden: hidden layers of the behaviour model.
        latent_size: features of the latents; None is twice the action's. The released code for teams
            takes twice the number of agents. Continuous actions, as the next three.
        latent_limit: bound of the latents that samples are decoded from; see :class:`ConditionalVAE`.
        perturbation: the largest change of a sampled action, in units of half the action range.
        candidates: actions that each agent chooses among when it acts.
        threshold: of supported actions, relative to the most likely one. Discrete actions, as the next.
        restrict_acting: whether agents act with supported actions only; OG-MARL's with all.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.bcq.BCQLoss`; ``critics``, default 2 for continuous actions and
            1 for discrete ones; ``mixer``, default ``"auto"``.

    Examples:
        >>> sorted(make_bcq(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'behaviour', 'qvalue']
    """
    require_number("make_bcq", ">= 0", perturbation=perturbation)
    parts = TeamParts(spec, arguments)
    sampling: dict[str, Any] = (
        {} if spec.discrete else {"max_latent": latent_limit, "latent_size": latent_size}
    )
    behaviour = behaviour_model(
        spec, **{**parts.network, "hidden_sizes": tuple(behaviour_hidden)}, **sampling
    )
    qvalue, mixing = parts.qvalue(1 if spec.discrete else 2), parts.mixer()
    actor: TensorDictModuleBase | None = None
    policy: TensorDictModuleBase
    if spec.discrete and restrict_acting:
        model = cast(ProbabilisticTensorDictSequential, behaviour)
        policy = supported_action_policy(qvalue, model, threshold=threshold, masked=spec.masked)
    elif spec.discrete:
        policy = greedy_policy(qvalue, masked=spec.masked)
    else:
        actor = perturbation_network(spec, perturbation, **parts.network)
        policy = CandidatePolicy(cast(ConditionalVAE, behaviour), qvalue, actor, candidates=candidates)
    loss = BCQLoss(actor, qvalue, mixing, behaviour_network=behaviour, threshold=threshold, **parts.rest)
    groups = {"qvalue": [qvalue, mixing], "behaviour": [behaviour]}
    groups |= {} if actor is None else {"actor": [actor]}
    return parts.algorithm(policy, loss, groups)
