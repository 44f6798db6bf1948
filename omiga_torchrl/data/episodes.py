"""`Episodes`: whole episodes as flat arrays, the form in which they are recorded and stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from omiga_torchrl.errors import DataError

Array = npt.NDArray[Any]

# Bytes of one block: large enough that Python costs nothing, small against any machine's memory.
BLOCK_BYTES: Final = 32 * 2**20

_ROWS = ("observation", "action_mask", "state")


@dataclass
class Episodes:
    """E whole episodes of T steps in all, one after the other.

    Observations have one row more per episode than steps: the last row is what the
    team saw after its last action. So there are R = T + E observation rows.

    Attributes:
        observation: `[R, N, O]`.
        action: `[T, N, A]`, or integers `[T, N]`.
        reward: the team's reward, raw `[T]`.
        terminated: `[T]`, true where the task ended.
        truncated: `[T]`, true where time ran out.
        length: steps of every episode `[E]`.
        action_mask: legal actions `[R, N, K]`, true = legal; or ``None``.
        state: `[R, S]`; ``None`` means the observations of all agents in a row.

    Raises:
        DataError: sizes that do not fit together; all of them in one message.

    Examples:
        >>> two = Episodes(
        ...     observation=np.zeros((5, 2, 4)),
        ...     action=np.zeros((3, 2, 1)),
        ...     reward=np.ones(3),
        ...     terminated=np.array([False, True, False]),
        ...     truncated=np.array([False, False, True]),
        ...     length=np.array([2, 1]),
        ... )
        >>> two.returns()
        array([2., 1.])
    """

    observation: Array
    action: Array
    reward: Array
    terminated: Array
    truncated: Array
    length: Array
    action_mask: Array | None = None
    state: Array | None = None

    def __post_init__(self) -> None:
        steps, episodes = int(self.length.sum()), len(self.length)
        rows = {"observation": steps + episodes, "action_mask": steps + episodes, "state": steps + episodes}
        found = [
            f"{name!r} has {len(value)} rows, expected {rows.get(name, steps)}"
            for name, value in self.arrays().items()
            if name != "length" and len(value) != rows.get(name, steps)
        ]
        if episodes and self.length.min() < 1:
            found.append("'length' has an episode without a step")
        if self.reward.ndim != 1:
            found.append(
                f"'reward' has shape {self.reward.shape}, expected [T]: one reward of the team per step"
            )
        if found:
            raise DataError(
                f"Episodes: {'; '.join(found)} ({steps} steps in {episodes} episodes; observation, "
                "state and action_mask have one more row per episode)."
            )

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return len(self.action)

    def __len__(self) -> int:
        return len(self.length)

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, without those that are ``None``."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in given.items() if value is not None}

    def starts(self) -> Array:
        """First step of every episode `[E]`."""
        return np.cumsum(self.length) - self.length

    def returns(self) -> Array:
        """Undiscounted return of every episode `[E]`, summed in double precision."""
        if not len(self):
            return np.zeros(0)
        return np.add.reduceat(self.reward.astype(np.float64), self.starts())

    def part(self, first: int, last: int) -> Episodes:
        """The episodes ``first`` to ``last``, the latter excluded; views, not copies."""
        offsets = np.concatenate([[0], np.cumsum(self.length)])
        steps = slice(int(offsets[first]), int(offsets[last]))
        rows = slice(steps.start + first, steps.stop + last)
        cut = {name: value[rows if name in _ROWS else steps] for name, value in self.arrays().items()}
        return Episodes(**{**cut, "length": self.length[first:last]})

    def first(self, episodes: int) -> Episodes:
        """The first `episodes` episodes."""
        return self.part(0, min(episodes, len(self)))

    def save(self, path: str | Path) -> None:
        """Write a compressed ``.npz`` file; floats in single precision."""
        arrays: dict[str, Any] = {
            name: value.astype(np.float32) if value.dtype == np.float64 else value
            for name, value in self.arrays().items()
        }
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Episodes:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: an array is missing or has no place here.
        """
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        known = {f.name for f in fields(cls)}
        missing = known - {"action_mask", "state"} - set(arrays)
        if missing or set(arrays) - known:
            raise DataError(
                f"Episodes: {path} lacks {sorted(missing)} and has unknown {sorted(set(arrays) - known)}; "
                f"expected {sorted(known)} (action_mask and state optional)."
            )
        return cls(**arrays)

    @classmethod
    def concatenate(cls, parts: Sequence[Episodes]) -> Episodes:
        """All episodes of `parts`, in order."""
        names = parts[0].arrays()
        return cls(**{name: np.concatenate([part.arrays()[name] for part in parts]) for name in names})


def block_spans(lengths: Array, row_bytes: int, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, int]]:
    """Split episodes into runs ``[first, last)`` of about :data:`BLOCK_BYTES` each.

    Args:
        lengths: steps of every episode `[E]`.
        row_bytes: bytes of one step.
        block_bytes: bytes of a run; a longer episode is a run of its own.

    Examples:
        >>> list(block_spans(np.array([10, 10, 10]), row_bytes=2**20))
        [(0, 3)]
        >>> list(block_spans(np.array([40, 10, 10]), row_bytes=2**20))
        [(0, 1), (1, 3)]
    """
    first, size = 0, 0
    for index, length in enumerate(lengths.tolist()):
        if size and size + length * row_bytes > block_bytes:
            yield first, index
            first, size = index, 0
        size += length * row_bytes
    if first < len(lengths):
        yield first, len(lengths)
