"""From the settings of a training to the folder of its run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.evaluation import PolicyFacts
from omiga_torchrl.report import RunWriter, audit_record, describe_run, run_identity


def open_run(config: Any, dataset: OfflineDataset, facts: PolicyFacts) -> RunWriter:
    """The folder of the run that ``config`` describes, by its identity; nothing is written before.

    Args:
        config: with the fields of ``TrainConfig`` in ``recipes/train.py``.
        dataset: what is learned from.
        facts: the task of the policy with all its arguments.

    Raises:
        FileExistsError: the run is there and ``config.existing`` is ``"error"``.
        ValueError: another run is there and ``config.existing`` is ``"resume"`` or ``"extend"``.
        RunLockedError: another process is writing it.
    """
    values = asdict(config)
    values["algorithm"].pop("preset", None)  # the arguments say it
    identity = run_identity(
        dataset,
        algorithm=config.algorithm,
        seed=config.seed,
        task=config.task,
        task_kwargs=facts.task_kwargs if config.task is not None else None,
        trainer=values["trainer"],
        evaluation=config.evaluation,
        precision=config.precision,
    )
    sections = ("reward_scale", "normalise_observations", "read", "algorithm", "trainer", "evaluation")
    info = describe_run(
        dataset,
        algorithm=config.algorithm.get("label") or config.algorithm["name"],
        seed=config.seed,
        task=config.task,
        hyperparameters={name: values[name] for name in (*sections, "precision")},
        identity=identity,
        audit=audit_record(values),
    )
    return RunWriter(config.out, info, existing=config.existing)
