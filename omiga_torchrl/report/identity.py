"""The identity of a training run: what it is, and the dataset's returns that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.report.records import RunInfo


def describe_run(
    dataset: OfflineDataset,
    *,
    algorithm: str,
    seed: int,
    task: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
) -> RunInfo:
    """A run on a dataset, with the reference returns on the dataset's card.

    Args:
        dataset: what is learned from.
        algorithm: name in records and reports.
        seed: seed of the training.
        task: task that the policy is evaluated in; ``None`` is the dataset's, or ``"no task"``.
        hyperparameters: plain values, all that are used; resuming compares them.

    Examples:
        >>> describe_run(OfflineDataset("vmas/navigation/mixed"), algorithm="bc", seed=0).folder
        'bc__vmas-navigation__mixed__seed0'
    """
    card = dataset.card
    return RunInfo(
        algorithm=algorithm,
        task=task or card.task or "no task",
        dataset=card.tier,
        seed=seed,
        hyperparameters=dict(hyperparameters or {}),
        behaviour_return=card.behaviour_return["mean"],
        best_checkpoint_return=card.best_checkpoint_return,
        random_return=card.random_return,
        card={"name": card.name, "sha256": card.data_sha256, "reward_scale": dataset.reward_scale},
    )
