"""`DatasetEnds`: how the episodes of a dataset end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from tensordict import TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.horizon import recorded_lengths
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.plain_files import open_npz

_FILE: Final = "ends.npz"
_DAMAGED: Final = "Remove the folder: it is converted again."
KINDS: Final = ("terminated", "timed out", "cut")
"""The task ended; time ran out, as a mark says; no mark, but the file stops or does not go on there."""
LAST_STEPS: Final = "last steps, as what was seen after them is unknown"

# So many terminations at the longest length are no chance.
_MANY, _SHARE = 10, 0.1


@dataclass(frozen=True, repr=False, eq=False)
class DatasetEnds:
    """How the episodes of a dataset end, and which rows of its files are no steps.

    Attributes:
        length: steps of every episode `[E]`.
        kind: index of every episode's end in :data:`KINDS` `[E]`.
        dropped: how many rows of the files are no steps, by what they are.
        notes: what is to be known of these ends, such as terminations that look like a time limit.

    Examples:
        >>> ends = DatasetEnds(np.array([3, 5, 5]), np.array([0, 1, 1]), {"delimiter rows": 3})
        >>> ends
        3 episodes, 13 steps
          steps per episode: 3 to 5, median 5
          terminated: 1 (33.3 %), 3 to 3 steps, median 3
          timed out: 2 (66.7 %), 5 to 5 steps, median 5
          cut: 0
          rows that are no steps: 3 delimiter rows
        >>> ends.share("timed out").__round__(2)
        0.67
    """

    length: Array
    kind: Array
    dropped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, length: Array, terminated: Array, notes: EndNotes, left_out: int) -> DatasetEnds:
        """The ends of a dataset that has been read.

        Args:
            length: steps of every episode `[E]`.
            terminated: whether it terminated `[E]`.
            notes: what its reader found out.
            left_out: last steps that were left out.
        """
        cut = notes.is_cut(len(length)) & ~terminated
        dropped = dict(notes.dropped)
        if left_out:
            dropped[LAST_STEPS] = left_out
        told = list(notes.notes)
        limit, count = suspected_limit(length[terminated])
        if limit is not None:
            told.append(
                f"{count} of {int(terminated.sum())} terminations come after exactly {limit} steps, as time "
                f"limits do. If {limit} is one, pass timeout_is_terminal=False and max_steps={limit}."
            )
        kind = np.where(terminated, 0, np.where(cut, 2, 1)).astype(np.uint8)
        return cls(length, kind, dropped, tuple(told))

    @classmethod
    def of_data(cls, data: TensorDictBase) -> DatasetEnds:
        """The ends that transitions tell by themselves; those of episodes without a mark are cut.

        Args:
            data: transitions in order `[T]`.
        """
        length, late = (one.numpy() for one in recorded_lengths(data))
        done = data.get(("next", keys.DONE), None)
        notes = EndNotes()
        if done is not None:
            notes.cut.append(~done.reshape(-1).numpy()[np.cumsum(length) - 1])
        return cls.of(length, ~late, notes, 0)

    def __len__(self) -> int:
        return len(self.length)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DatasetEnds):
            return NotImplemented
        same = np.array_equal(self.length, other.length) and np.array_equal(self.kind, other.kind)
        return same and (self.dropped, self.notes) == (other.dropped, other.notes)

    def lengths(self, kind: str | None = None) -> Array:
        """Steps of every episode, or of those that end in one way `[E]`.

        Args:
            kind: one of :data:`KINDS`.
        """
        return self.length if kind is None else self.length[self.kind == KINDS.index(kind)]

    def share(self, kind: str) -> float:
        """Share of the episodes that end in one way.

        Args:
            kind: one of :data:`KINDS`.
        """
        return len(self.lengths(kind)) / max(len(self), 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: of all episodes and of every kind their number, and their lengths in short."""
        kinds = {kind: self._short(self.lengths(kind)) for kind in KINDS}
        return {
            "episodes": self._short(self.length),
            **kinds,
            "dropped": dict(self.dropped),
            "notes": list(self.notes),
        }

    @staticmethod
    def _short(length: Array) -> dict[str, float]:
        if not len(length):
            return {"count": 0}
        spread = {"shortest": int(length.min()), "median": float(np.median(length))}
        return {"count": len(length), **spread, "longest": int(length.max())}

    def __repr__(self) -> str:
        lines = [f"{len(self)} episodes, {int(self.length.sum())} steps"]
        if len(self):
            lines.append(f"steps per episode: {_range(self.length)}")
        for kind in KINDS:
            length = self.lengths(kind)
            told = f" ({100 * self.share(kind):.1f} %), {_range(length, ' steps')}" if len(length) else ""
            lines.append(f"{kind}: {len(length)}{told}")
        dropped = ", ".join(f"{rows} {what}" for what, rows in self.dropped.items())
        lines.append(f"rows that are no steps: {dropped or 'none'}")
        return "\n  ".join([*lines, *self.notes])

    def save(self, folder: Path) -> None:
        """Keep it beside a converted dataset.

        Args:
            folder: the dataset's.
        """
        told = json.dumps({"dropped": self.dropped, "notes": self.notes})
        np.savez_compressed(folder / _FILE, length=self.length, kind=self.kind, told=np.array(told))

    @classmethod
    def load(cls, folder: Path) -> DatasetEnds | None:
        """The ends of a converted dataset; ``None`` of one that was converted by a former version.

        Args:
            folder: its folder.
        """
        if not (folder / _FILE).is_file():
            return None
        with open_npz("OfflineDataset", folder / _FILE, _DAMAGED) as file:
            told = json.loads(str(file["told"]))
            return cls(file["length"], file["kind"], told["dropped"], tuple(told["notes"]))


def suspected_limit(length: Array) -> tuple[int | None, int]:
    """The time limit that terminations look like, and how many of them do.

    Tasks hardly end again and again after exactly the longest time.

    Args:
        length: steps of the episodes that terminated `[E]`.

    Examples:
        >>> suspected_limit(np.array([7, 30, 12] + 10 * [50])), suspected_limit(np.arange(50))
        ((50, 10), (None, 0))
    """
    if not len(length):
        return None, 0
    longest = int(length.max())
    count = int((length == longest).sum())
    # Episodes of one step are no matter of time.
    found = longest > 1 and count >= _MANY and count >= _SHARE * len(length)
    return (longest, count) if found else (None, 0)


def _range(length: Array, unit: str = "") -> str:
    return f"{int(length.min())} to {int(length.max())}{unit}, median {np.median(length):g}"
