"""The dataset that a recipe's settings name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from omiga_torchrl.data import bundled_datasets
from omiga_torchrl.errors import unknown_name


def dataset_name(config: Any) -> str:
    """The dataset that is meant: a published one, a file or folder, or a bundled tier of the task.

    Args:
        config: with the fields ``task`` and ``dataset``.
    """
    elsewhere = config.task is None or ":" in config.dataset or Path(config.dataset).exists()
    elsewhere = elsewhere or config.dataset in bundled_datasets()
    return str(config.dataset if elsewhere else f"{config.task}/{config.dataset}")


def require_dataset(config: Any) -> None:
    """Raise unless what a recipe's ``dataset`` names is there, or is a published dataset.

    Args:
        config: with the fields ``task``, one that is known or ``None``, and ``dataset``.

    Raises:
        FileNotFoundError: it is a path to nothing.
        ValueError: it is no tier that comes with the task; says which there are and how to record it.

    Examples:
        >>> from types import SimpleNamespace
        >>> require_dataset(SimpleNamespace(task="vmas/navigation", dataset="mixde"))
        Traceback (most recent call last):
            ...
        ValueError: train: unknown dataset of vmas/navigation 'mixde'; did you mean 'mixed'? ...
    """
    task, asked = config.task, str(config.dataset)
    known = bundled_datasets()
    if dataset_name(config) in known or ":" in asked or Path(asked).exists():
        return
    if task is None or "/" in asked or Path(asked).suffix:
        raise FileNotFoundError(
            f"train: dataset must be a file or folder that is there, got {asked}, looked for in {Path.cwd()}."
        )
    tiers = [name.removeprefix(f"{task}/") for name in known if name.rpartition("/")[0] == task]
    if difflib.get_close_matches(asked, tiers):
        raise unknown_name("train", f"dataset of {task}", asked, tiers)
    raise ValueError(
        f"train: dataset must be a file, a folder, a published dataset or one that comes with {task} "
        f"({', '.join(tiers) or 'none does'}), got {asked!r}. To record it: python -m omiga_torchrl run "
        f"record_dataset task={task} tier=mixed, then dataset=runs/datasets/{task}/mixed."
    )
