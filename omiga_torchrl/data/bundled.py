"""Where datasets and behaviour checkpoints are: in the package, or in a folder of the user's."""

from __future__ import annotations

import os
from pathlib import Path

from omiga_torchrl.data.cards import CARD_FILE
from omiga_torchrl.errors import unknown_name

_ASSETS = Path(__file__).parent.parent / "assets"


def bundled_datasets() -> list[str]:
    """Names of the datasets that come with the package.

    Examples:
        >>> "vmas/navigation/mixed" in bundled_datasets()
        True
    """
    root = _ASSETS / "datasets"
    return sorted(card.parent.relative_to(root).as_posix() for card in root.rglob(CARD_FILE))


def bundled_behaviours(task: str) -> list[Path]:
    """The behaviour checkpoints of a task that come with the package, least trained first.

    A team that shares a robot is played by policies of the robot's joint task: those of
    ``"mujoco/hopper"`` are also those of ``"mujoco/hopper-3x1"``.

    Args:
        task: e.g. ``"vmas/navigation"``.

    Raises:
        ValueError: there are none for this task; the message lists the tasks that have.

    Examples:
        >>> len(bundled_behaviours("vmas/navigation")) >= 3
        True
    """
    root = _ASSETS / "behaviour"
    found = sorted((root / task).glob("*.pt"))
    if not found and task.startswith("mujoco/"):
        found = sorted((root / task.partition("-")[0]).glob("*.pt"))
    if not found:
        tasks = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.pt")}
        unknown = unknown_name("bundled_behaviours", "task", task, tasks)
        raise ValueError(
            f"{unknown} Of others train policies (record_dataset train_behaviour=true) or pass behaviour=."
        )
    return found


def find_dataset(name_or_path: str | Path) -> Path:
    """The folder of a dataset.

    Args:
        name_or_path: a bundled name such as ``"vmas/navigation/mixed"``, or a folder that
            holds a card. The bundled name wins.

    Raises:
        ValueError: neither; the message lists the bundled names.

    Examples:
        >>> find_dataset("vmas/navigation/mixed").name
        'mixed'
    """
    names = bundled_datasets()
    if str(name_or_path) in names:
        return _ASSETS / "datasets" / str(name_or_path)
    folder = Path(name_or_path).expanduser()
    if (folder / CARD_FILE).is_file():
        return folder
    hint = "OfflineDataset" if not folder.is_dir() else f"OfflineDataset: {folder} holds no {CARD_FILE};"
    raise unknown_name(hint, "dataset", name_or_path, names)


def cache_root(root: str | Path | None = None) -> Path:
    """Where converted datasets are kept.

    Args:
        root: a folder; ``None`` means the environment variable ``OMIGA_TORCHRL_HOME``,
            or else ``~/.cache/omiga_torchrl``.
    """
    chosen = root or os.environ.get("OMIGA_TORCHRL_HOME") or Path.home() / ".cache" / "omiga_torchrl"
    return Path(chosen).expanduser()
