"""Checkpoint files: atomic, and loadable without unpickling code."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map_only

from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import require_entries
from omiga_torchrl.files import atomic_write, load_plain
from omiga_torchrl.plain import plain

FORMAT = 1


def save_checkpoint(
    path: str | Path, trainer_state: Mapping[str, Any], *, step: int, metadata: Mapping[str, Any]
) -> Path:
    """Writes a checkpoint so that a crash leaves either the old file or the new one.

    Args:
        path: file to write.
        trainer_state: ``state_dict`` of the trainer.
        step: gradient steps done.
        metadata: plain values, tensors or containers of them; numpy's scalars and paths are converted.

    Returns:
        The path.

    Raises:
        TypeError: something in ``metadata`` could not be read back; nothing is written.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> file = save_checkpoint(f"{folder}/a.pt", {}, step=3, metadata={})
        >>> load_checkpoint(file)["step"]
        3
    """
    path = Path(path)
    state = tree_map_only(torch.Tensor, _own_memory, dict(trainer_state))
    state = tree_map_only(np.generic, np.generic.item, state)  # of numbers that a user gave, e.g. lr
    kept = plain("save_checkpoint", "metadata", dict(metadata))
    content = {"format": FORMAT, "step": step, "metadata": kept, "trainer": state}
    with atomic_write(path) as file:
        torch.save(content, file)
    return path


def _own_memory(tensor: torch.Tensor) -> torch.Tensor:
    """A view without the rest of its memory: of runs that train together, a file holds one only."""
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def load_checkpoint(path: str | Path, **kwargs: Any) -> dict[str, Any]:
    """The content of a checkpoint: ``format``, ``step``, ``metadata`` and ``trainer``.

    Args:
        path: file written by :func:`save_checkpoint`.
        kwargs: for :func:`torch.load`; ``weights_only=True`` and ``map_location="cpu"`` by default.

    Raises:
        FileNotFoundError: there is no such file; the message lists the checkpoints beside it.
        DataError: the file is no checkpoint of this library, or one of a newer format.
    """
    path = Path(path)
    if not path.exists():
        beside = sorted(other.name for other in path.parent.glob("*.pt")) if path.parent.is_dir() else []
        raise FileNotFoundError(
            f"load_checkpoint: no file {path}; found {', '.join(beside) or 'no *.pt'} in {path.parent}."
        )
    content = load_plain("load_checkpoint", path, **kwargs)
    require_entries(
        "load_checkpoint",
        path,
        content,
        {"format": FORMAT, "step": None, "metadata": None, "trainer": None},
        kind="a checkpoint",
        hint="Pass a file of OfflineTrainer.save, e.g. step_1000.pt; load_policy reads policies.",
    )
    return content


def latest_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint of the most steps in ``folder``, or ``None``.

    Args:
        folder: where a :class:`CheckpointHook` wrote.
    """
    found = checkpoints(folder)
    return found[-1] if found else None


def readable_checkpoint(folder: str | Path) -> Path | None:
    """The newest checkpoint in ``folder`` that can be read, or ``None``; warns of damaged ones.

    Args:
        folder: where a :class:`CheckpointHook` wrote.

    Raises:
        DataError: there are checkpoints, and all of them are damaged.
    """
    damaged: list[str] = []
    for path in reversed(checkpoints(folder)):
        try:
            load_checkpoint(path)
        except DataError as error:
            damaged.append(str(error))
            continue
        if damaged:
            warnings.warn(f"{damaged[0]} Going on from {path.name}, the one before.", stacklevel=2)
        return path
    if damaged:
        raise DataError(f"{damaged[0]} No other checkpoint is there: start anew with existing=overwrite.")
    return None


def checkpoints(folder: str | Path) -> list[Path]:
    """The checkpoints in ``folder``, by step."""
    files = {path: re.fullmatch(r"step_(\d+)\.pt", path.name) for path in Path(folder).glob("step_*.pt")}
    return sorted((path for path, match in files.items() if match), key=lambda path: int(path.stem[5:]))


def sampler_state(replay_buffer: Any) -> dict[str, Any]:
    """The state of a buffer's sampler and generator, without its data."""
    generator = getattr(replay_buffer, "_rng", None)
    return {
        "sampler": dict(replay_buffer.sampler.state_dict()),
        "generator": None if generator is None else generator.get_state(),
    }


def set_sampler_state(replay_buffer: Any, state: Mapping[str, Any]) -> None:
    """Restores :func:`sampler_state`."""
    if state["sampler"]:
        replay_buffer.sampler.load_state_dict(state["sampler"])
    generator = getattr(replay_buffer, "_rng", None)
    if generator is not None and state["generator"] is not None:
        generator.set_state(state["generator"].cpu())
