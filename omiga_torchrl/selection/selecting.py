"""`select_policies`: from candidates and data to a ranking."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict

from tensordict import TensorDictBase
from torch import Tensor

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.normalisation import Normalisation
from omiga_torchrl.errors import DataError, require_seed
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.selection.actions import PolicyActions, policy_actions, scaled
from omiga_torchrl.selection.candidates import Candidate, OpenCandidate, open_candidate
from omiga_torchrl.selection.config import FQEConfig
from omiga_torchrl.selection.coverage import Coverage
from omiga_torchrl.selection.ranking import ScoredPolicy, Selection
from omiga_torchrl.selection.scores import CheapScores, ScoringRows, behavior_log_prob, cheap_scores
from omiga_torchrl.selection.values import FittedValues, fitted_values

_LOG = logging.getLogger(__name__)
_SAMPLES = 10  # of the actions of a stochastic policy


def select_policies(
    candidates: Sequence[Candidate],
    dataset: OfflineDataset,
    critics: Sequence[FQEConfig],
    *,
    deterministic: bool = True,
    least_coverage: float = 0.95,
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
        least_coverage: share of a policy's actions that must have a like in the data, in units of that of the
            data's own actions.
        seed: first seed of the fits.
        notes: what was left out before.

    Raises:
        DataError: a policy is of another team than the data, or the data cover no candidate's actions.
    """
    require_seed("select_policies", seed=seed)
    data, spec = _in_memory(dataset.data), dataset.spec
    known = scaled(data, Normalisation.of(dataset.card))
    coverage = Coverage(spec, data, seed=seed)
    opened = [_open(candidate, spec) for candidate in candidates]
    actions = [_act(one, data, deterministic) for one in opened]
    shares = [coverage.of(acted[0].now) for acted in actions]
    least = least_coverage * coverage.of_data
    covered = [i for i, share in enumerate(shares) if share >= least]
    if not covered:
        listed = ", ".join(f"{one.name} ({share:.2f})" for one, share in zip(candidates, shares, strict=True))
        raise DataError(
            f"select: the data must cover the candidates' actions, of which at least {least:.2f} "
            f"need a like in the data, got {listed}. No value can be fitted; try them in the environment."
        )
    fitted: dict[str, FittedValues] = {}
    for config in critics:
        _LOG.info("select: %s critic, %d policies, %d seeds", config.critic, len(covered), config.seeds)
        of_covered = [actions[i] for i in covered]
        scale = {"reward_scale": dataset.reward_scale}
        fitted[config.critic] = fitted_values(spec, known, of_covered, config, seed=seed, **scale)
    cheap = _cheap_scores(opened, actions, data, behavior_log_prob(spec, known, seed=seed), seed)
    policies = [
        ScoredPolicy(
            *(one.name, str(one.run.path), one.step, one.is_last, shares[i]),
            {name: x.value[covered.index(i)].tolist() for name, x in fitted.items() if i in covered},
            cheap[i],
        )
        for i, one in enumerate(candidates)
    ]
    return Selection(
        policies,
        [config.critic for config in critics],
        {name: one.calibration for name, one in fitted.items()},
        coverage.of_data,
        least,
        notes,
        {"critics": [asdict(config) for config in critics], "deterministic": deterministic, "seed": seed},
    )


def _open(candidate: Candidate, spec: AnyTeamSpec) -> OpenCandidate:
    opened = open_candidate(candidate)
    if opened.spec != spec:
        raise DataError(
            f"select: {candidate.name} must be of the data's team ({spec}), got {opened.spec}. "
            "Compare policies of one task and dataset."
        )
    return opened


def _act(opened: OpenCandidate, data: TensorDictBase, deterministic: bool) -> list[PolicyActions]:
    """A candidate's actions on the data, several samples of them unless they are its most likely ones."""
    seen, samples = scaled(data, opened.normalisation), range(1 if deterministic else _SAMPLES)
    return [policy_actions(opened.policy, seen, deterministic=deterministic, seed=s) for s in samples]


def _cheap_scores(
    opened: Sequence[OpenCandidate],
    actions: Sequence[Sequence[PolicyActions]],
    data: TensorDictBase,
    of_behavior: Tensor,
    seed: int,
) -> list[CheapScores]:
    """Scores by every candidate's own networks; none where only its policy was kept."""
    rows = ScoringRows(data, seed=seed)
    return [
        CheapScores()
        if one.loss is None
        else cheap_scores(one.loss, scaled(data, one.normalisation), acted[0], rows, of_behavior)
        for one, acted in zip(opened, actions, strict=True)
    ]


def _in_memory(data: TensorDictBase) -> TensorDictBase:
    return data.apply(lambda value: value.as_subclass(Tensor)).unlock_()
