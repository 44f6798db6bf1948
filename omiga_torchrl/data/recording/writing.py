"""Writing a recorded dataset: it appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from omiga_torchrl.data.cards import CARD_FILE, DATA_FILE, DatasetCard
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.files import file_sha256, storage_errors


def write_recording(folder: str | Path, episodes: Episodes, card: DatasetCard) -> DatasetCard:
    """Write a dataset folder atomically: it appears whole or not at all.

    Args:
        folder: the folder; an existing recording in it is replaced.
        episodes: the data, rewards raw.
        card: its card; counts, checksum and statistics of the data are filled in here.

    Returns:
        The card as written.

    Raises:
        ValueError: the folder holds something else than a dataset.
        StorageError: the disk is full, or the folder cannot be written.
    """
    folder = Path(folder)
    require_replaceable(folder)
    with storage_errors(folder, "out= (folder= in Python)"):
        return _write(folder, episodes, card)


def _write(folder: Path, episodes: Episodes, card: DatasetCard) -> DatasetCard:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*.unfinished"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(".unfinished", f".{folder.name}.", folder.parent))
    try:
        episodes.save(partial / DATA_FILE)
        returns = episodes.returns()
        card.transitions, card.episodes = episodes.steps, len(episodes)
        card.reward_mean = float(episodes.reward.mean(dtype=np.float64))
        card.reward_std = float(episodes.reward.astype(np.float64).std())
        card.behaviour_return = {"mean": float(returns.mean()), "std": float(returns.std())}
        card.data_sha256 = file_sha256(partial / DATA_FILE)
        (partial / CARD_FILE).write_text(card.to_json())
        partial.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return card


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that holds something else than a dataset.

    Raises:
        ValueError: it does.
    """
    if folder.exists() and not (folder / CARD_FILE).is_file() and any(folder.iterdir()):
        raise ValueError(
            f"write_recording: {folder} exists and holds no dataset; refusing to replace it. "
            "Give a new folder."
        )
