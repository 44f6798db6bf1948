"""Finished parts of a recording on disk: what a killed recording leaves, and goes on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.files import atomic_write, remove_unfinished
from omiga_torchrl.plain_files import open_npz, read_json

PLAN_FILE = "plan.json"
_DAMAGED = "Remove the folder to start the recording anew."


class ShardFolder:
    """The shards of an unfinished recording, beside the folder that it will become.

    A shard holds whole episodes and is written atomically, so that there are only finished
    ones. The plan says what is being recorded; a recording goes on only under the same plan.

    Args:
        folder: the folder of the dataset; the shards are in ``<folder>.partial``.
        plan: all that the data depend on, as JSON can hold it.

    Raises:
        ValueError: an unfinished recording of another plan is there; the message names the
            fields that differ.

    Examples:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "data"
        >>> shards = ShardFolder(target, {"task": "vmas/navigation", "seed": 0})
        >>> shards.path.name, shards.count(0)
        ('data.partial', 0)
        >>> ShardFolder(target, {"task": "vmas/navigation", "seed": 1})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: record_dataset: ...data.partial holds an unfinished recording with seed=0, not 1. ...
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.path = folder.with_name(f"{folder.name}.partial")
        wanted = json.loads(json.dumps(plan))
        file = self.path / PLAN_FILE
        remove_unfinished(self.path)
        if file.exists():
            _require_same(self.path, read_json("record_dataset", file, _DAMAGED), wanted)
        else:
            with atomic_write(file) as stream:
                stream.write(json.dumps(wanted, indent=2).encode())

    def count(self, part: int) -> int:
        """How many shards of a part are finished.

        Args:
            part: number of the policy.
        """
        return len(list(self.path.glob(f"{part:03d}-*.npz")))

    def steps(self, part: int) -> int:
        """How many transitions the finished shards of a part hold."""
        total = 0
        for shard in range(self.count(part)):
            with open_npz("record_dataset", self._file(part, shard), _DAMAGED) as arrays:
                total += int(arrays["length"].sum())
        return total

    def write(self, part: int, episodes: Episodes) -> None:
        """Add the next shard of a part."""
        arrays: dict[str, Any] = episodes.arrays()
        with atomic_write(self._file(part, self.count(part))) as file:
            # Not compressed: it is read once more and thrown away.
            np.savez(file, **arrays)

    def read(self, part: int) -> Episodes:
        """All finished episodes of a part, in the order of their recording."""
        shards = range(self.count(part))
        return Episodes.concatenate([Episodes.load(self._file(part, shard)) for shard in shards])

    def remove(self) -> None:
        """Throw the shards away."""
        shutil.rmtree(self.path)

    def _file(self, part: int, shard: int) -> Path:
        return self.path / f"{part:03d}-{shard:05d}.npz"


def _require_same(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    differing = [
        f"{name}={found.get(name)!r}, not {wanted.get(name)!r}"
        if len(f"{found.get(name)}{wanted.get(name)}") < 100
        else f"other {name}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise ValueError(
            f"record_dataset: {path} holds an unfinished recording with {'; '.join(differing)}. "
            "Repeat its arguments to go on with it, or delete the folder."
        )
