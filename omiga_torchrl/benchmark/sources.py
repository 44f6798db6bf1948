"""Where the data of a suite's cells come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omiga_torchrl.benchmark.cells import Cell
from omiga_torchrl.data import bundled_datasets, published_dataset
from omiga_torchrl.errors import SettingsError

RECORDING: Final = "recording"


@dataclass(frozen=True)
class Source:
    """Where the data of a cell come from.

    Attributes:
        kind: ``"recording"``, or the name of the published or bundled dataset.
        train: value of ``dataset`` for ``recipes/train.py``.
        inspect: value of ``dataset`` for ``recipes/inspect_dataset.py``.
    """

    kind: str
    train: str
    inspect: str


def find_source(cell: Cell, recordings: Path, data_root: str | None = None) -> Source:
    """The published dataset of a cell where its file is here, else a recording, or what is bundled.

    Args:
        cell: task and tier.
        recordings: folder of recordings.
        data_root: folder of converted and downloaded data; ``None`` is the user's cache.

    Raises:
        SettingsError: the data are not here, and are not recorded.
    """
    if cell.published is not None:
        try:
            published_dataset(cell.published).locate(data_root)
            return Source(cell.published, cell.published, cell.published)
        except FileNotFoundError:
            pass
    if cell.transitions:
        path = str(recordings / cell.task / cell.tier)
        return Source(RECORDING, path, path)
    if cell.name in bundled_datasets():
        return Source(cell.name, cell.tier, cell.name)
    expected = f"the file of {cell.published}" if cell.published else "a bundled dataset"
    raise SettingsError(
        f"benchmark: there are no data of {cell.name}; expected {expected}. Set transitions of the cell to "
        f"record them, or choose one of {', '.join(bundled_datasets())}."
    )
