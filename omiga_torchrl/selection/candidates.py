"""The policies that can be chosen: checkpoints of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

from tensordict.nn import TensorDictModuleBase

from omiga_torchrl.algorithms.registry import make_algorithm
from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.fingerprint import content_fingerprint
from omiga_torchrl.data.normalisation import Normalisation
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import PolicyFacts
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.objectives import TeamLoss
from omiga_torchrl.policies import TeamPolicy, load_policy
from omiga_torchrl.report import Evaluation, Run
from omiga_torchrl.trainers import load_checkpoint
from omiga_torchrl.trainers.checkpoint import checkpoints
from omiga_torchrl.trainers.dataset_names import dataset_name
from omiga_torchrl.trainers.former import present_loss_state

Which = Literal["all", "last"]


@dataclass(frozen=True)
class Candidate:
    """A policy that can be chosen.

    Attributes:
        run: the run that made it.
        step: gradient steps of its training.
        file: its checkpoint, or the run's ``policy.pt``.
    """

    run: Run
    step: int
    file: Path

    @property
    def name(self) -> str:
        """Folder of the run and step, e.g. ``"bc__vmas-balance__mixed__seed0@500"``."""
        return f"{self.run.path.name}@{self.step}"

    @property
    def is_last(self) -> bool:
        """Whether it is the policy that its run ended with."""
        return self.file.name == "policy.pt" or self.step == self.run.info.identity["trainer"]["steps"]

    @property
    def evaluation(self) -> Evaluation | None:
        """The run's own evaluation of it in the environment, if there was one: not read to choose."""
        found = [one for one in self.run.evaluations if one.step == self.step]
        return min(found, key=lambda one: one.label != "training", default=None)


class FoundCandidates(NamedTuple):
    """The result of :func:`find_candidates`.

    Attributes:
        candidates: by run and step.
        notes: what was left out, and why.
    """

    candidates: list[Candidate]
    notes: list[str]


def find_candidates(runs: Iterable[Run], which: Which = "all") -> FoundCandidates:
    """The checkpoints of finished runs of one task and dataset.

    Args:
        runs: as read by :func:`omiga_torchrl.report.load_runs`.
        which: ``"all"`` checkpoints, or the ``"last"`` policy of every run.

    Raises:
        DataError: the runs are of several tasks or datasets, or none has a policy.
    """
    runs, found, notes = list(runs), [], []
    cells = sorted({run.info.cell for run in runs})
    if len(cells) > 1:
        listed = "; ".join(f"{task}, {dataset}" for task, dataset in cells)
        raise DataError(
            f"select: runs must be of one task and dataset, got {listed}. Values of different tasks cannot "
            "be compared: pass a folder with the runs of one."
        )
    for run in runs:
        policy, steps = run.path / "policy.pt", run.info.identity.get("trainer", {}).get("steps")
        if not policy.is_file() or steps is None:
            notes.append(f"{run.path.name} is left out: it is not finished, or of a former version")
            continue
        saved = [(int(file.stem[5:]), file) for file in checkpoints(run.path / "checkpoints")]
        if which == "last" or not saved:
            saved = [one for one in saved if one[0] == steps] or [(steps, policy)]
        found += [Candidate(run, step, file) for step, file in saved]
    if not found:
        raise DataError(f"select: runs must hold finished ones with policy.pt, got none. {'; '.join(notes)}")
    return FoundCandidates(found, notes)


class OpenCandidate(NamedTuple):
    """A candidate that can act.

    Attributes:
        policy: the network, which reads scaled observations and writes the joint action.
        loss: of its training, with its critics; None where only the policy was kept.
        facts: the task and the scaling of observations that it knows.
        spec: sizes of its team.
        algorithm: its name.
        arguments: those of the algorithm.
    """

    policy: TensorDictModuleBase
    loss: TeamLoss | None
    facts: PolicyFacts
    spec: AnyTeamSpec
    algorithm: str
    arguments: Mapping[str, Any]

    @property
    def team_policy(self) -> TeamPolicy:
        """The whole policy, for the raw environment."""
        return TeamPolicy(
            self.policy,
            self.spec,
            algorithm=self.algorithm,
            arguments=self.arguments,
            metadata=self.facts.to_dict(),
        )

    @property
    def normalisation(self) -> Normalisation | None:
        """The scaling of observations that it knows."""
        return Normalisation(**self.facts.normalisation) if self.facts.normalisation else None


def open_candidate(candidate: Candidate) -> OpenCandidate:
    """The policy of a candidate with its critics.

    Args:
        candidate: found by :func:`find_candidates`.

    Raises:
        DataError: a file is damaged, or of an unknown algorithm.
    """
    whole = load_policy(candidate.run.path / "policy.pt")
    name, arguments, spec, facts = whole.algorithm, whole.arguments, whole.team, whole.facts
    policy, loss = whole.network, None
    if candidate.file.name != "policy.pt":
        parts = make_algorithm(name, spec, **arguments)
        state = load_checkpoint(candidate.file)["trainer"]["loss_module"]
        parts.loss.load_state_dict(present_loss_state(state, parts.loss))
        policy, loss = parts.policy, parts.loss
    return OpenCandidate(policy, loss, facts, spec, name, arguments)


def open_data(
    run: Run, dataset: str | None = None, root: str | None = None, **options: Any
) -> OfflineDataset:
    """The data that a run learned from, raw observations, rewards scaled as for it.

    Args:
        run: a run of ``recipes/train.py``.
        dataset: other data of the task, e.g. held-out episodes; None: the run's own.
        root: folder of the converted data; None: the run's.
        **options: further ones of :class:`omiga_torchrl.data.OfflineDataset`.

    Raises:
        DataError: the run does not say where its data are, or they are no longer the same.
    """
    config = run.info.audit.get("config", {})
    if "dataset" not in config:
        raise DataError(
            f"select: run.json of {run.path} must name the dataset's source, got none. Pass dataset=."
        )
    asked = SimpleNamespace(task=config["task"], dataset=dataset or config["dataset"])
    read = {name: value for name, value in config.get("read", {}).items() if value is not None}
    opened = OfflineDataset(
        dataset_name(asked),
        root=root or config.get("data_root"),
        reward_scale=run.info.identity["data"]["reward_scale"],
        **read,
        **options,
    )
    if dataset is None and content_fingerprint(opened) != run.info.identity["data"]["fingerprint"]:
        raise DataError(
            f"select: {config['dataset']} must hold what {run.path} learned from, got other data. Pass "
            "dataset= with the place of the former ones."
        )
    return opened
