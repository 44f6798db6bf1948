"""`select_policies`: from candidates and data to a ranking."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict

from tensordict import TensorDictBase
from torch import Tensor

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.normalisation import Normalisation
from omiga_torchrl.errors import DataError
from omiga_torchrl.selection.actions import PolicyActions, policy_actions, scaled
from omiga_torchrl.selection.candidates import Candidate, open_candidate
from omiga_torchrl.selection.coverage import Coverage
from omiga_torchrl.selection.fitted_q import FQEConfig
from omiga_torchrl.selection.ranking import ScoredPolicy, Selection
from omiga_torchrl.selection.scores import CheapScores, ScoringRows, behavior_log_prob, cheap_scores
from omiga_torchrl.selection.values import fitted_values

_LOG = logging.getLogger(__name__)
_SAMPLES = 10  # of the actions of a stochastic policy


def select_policies(
    candidates: Sequence[Candidate],
    dataset: OfflineDataset,
    critics: Sequence[FQEConfig],
    *,
    deterministic: bool = True,
    least_coverage: float = 0.5,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Selection:
    """Candidates ranked by fitted-Q evaluation, with cheap scores beside, without an environment.

    Args:
        candidates: of one task, see :func:`omiga_torchrl.selection.find_candidates`.
        dataset: what they are judged on; raw observations.
        critics: how values are fitted; the first ranks, the others are checks.

    Keyword Args:
        deterministic: judge the most likely actions, as evaluation does, instead of samples.
        least_coverage: share of a policy's actions that must have a like in the data.
        seed: first seed of the fits.
        notes: what was left out before.

    Raises:
        DataError: a policy is of another team than the data, or the data cover no candidate's actions.
    """
    data, spec = _in_memory(dataset.data), dataset.spec
    known = scaled(data, Normalisation.of(dataset.card))
    coverage, rows = Coverage(spec, data, seed=seed), ScoringRows(data, seed=seed)
    of_behavior = behavior_log_prob(spec, known, seed=seed)
    actions: list[list[PolicyActions]] = []
    policies: list[ScoredPolicy] = []
    for candidate in candidates:
        acted, cheap = _score(candidate, dataset, data, rows, of_behavior, deterministic)
        share = coverage.of(acted[0].now)
        place = (candidate.name, str(candidate.run.path), candidate.step, candidate.is_last)
        policies.append(ScoredPolicy(*place, share, cheap=cheap))
        actions.append(acted)
    covered = [i for i, one in enumerate(policies) if one.coverage >= least_coverage]
    if not covered:
        listed = ", ".join(f"{one.name} ({one.coverage:.2f})" for one in policies)
        raise DataError(
            f"select: the data must cover the candidates' actions, of which at least {least_coverage:.2f} "
            f"need a like in the data, got {listed}. No value can be fitted; try them in the environment."
        )
    values: dict[str, Tensor] = {}
    calibration = {}
    for config in critics:
        _LOG.info("select: %s critic, %d policies, %d seeds", config.critic, len(covered), config.seeds)
        fitted = fitted_values(
            *(spec, known, [actions[i] for i in covered], config),
            reward_scale=dataset.reward_scale,
            seed=seed,
        )
        values[config.critic], calibration[config.critic] = fitted.value, fitted.calibration
    for k, i in enumerate(covered):
        given = {critic: value[k].tolist() for critic, value in values.items()}
        policies[i] = ScoredPolicy(**{**vars(policies[i]), "values": given})
    return Selection(
        policies,
        [config.critic for config in critics],
        calibration,
        coverage.of_data,
        least_coverage,
        notes,
        {"critics": [asdict(config) for config in critics], "deterministic": deterministic, "seed": seed},
    )


def _score(
    candidate: Candidate,
    dataset: OfflineDataset,
    data: TensorDictBase,
    rows: ScoringRows,
    of_behavior: Tensor,
    deterministic: bool,
) -> tuple[list[PolicyActions], CheapScores]:
    """A candidate's actions on the data, and its cheap scores."""
    opened = open_candidate(candidate)
    if opened.spec != dataset.spec:
        raise DataError(
            f"select: {candidate.name} must be of the data's team ({dataset.spec}), got {opened.spec}. "
            "Compare policies of one task and dataset."
        )
    seen = scaled(data, opened.normalisation)
    samples = range(1 if deterministic else _SAMPLES)
    acted = [policy_actions(opened.policy, seen, deterministic=deterministic, seed=s) for s in samples]
    cheap = CheapScores()
    if opened.loss is not None:
        cheap = cheap_scores(opened.loss, seen, acted[0], rows, of_behavior)
    return acted, cheap


def _in_memory(data: TensorDictBase) -> TensorDictBase:
    return data.apply(lambda value: value.as_subclass(Tensor)).unlock_()
