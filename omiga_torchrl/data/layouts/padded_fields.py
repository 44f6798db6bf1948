"""The fields of PyMARL's episode batches, and what their flags say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import numpy as np

from omiga_torchrl.data.agent_arrays import Array, to_flags
from omiga_torchrl.data.layouts.base import block_spans, count_within, require
from omiga_torchrl.data.layouts.presence import without_choice
from omiga_torchrl.errors import DataError

PADDED_FIELDS: Final = (
    "actions", "agent_mask", "avail_actions", "filled", "obs", "reward", "state", "terminated",
)  # fmt: skip
# Rows without a legal action are padding, where the files do not say which are filled.
OPTIONAL_FIELDS: Final = ("agent_mask", "filled")
REQUIRED_FIELDS: Final = tuple(name for name in PADDED_FIELDS if name not in OPTIONAL_FIELDS)


class Readable(Protocol):
    """An array in memory or in a file; slices of it are arrays in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values."""
        ...

    def __getitem__(self, index: slice, /) -> Array:
        """Episodes ``index`` of it."""
        ...


def checked_fields(arrays: Mapping[str, Readable], where: str) -> dict[str, Readable]:
    """The fields that are read.

    Args:
        arrays: whatever there is.
        where: the file, for messages.

    Raises:
        DataError: missing fields, wrong types or sizes; all of them in one message.
    """
    missing = [name for name in REQUIRED_FIELDS if name not in arrays]
    require([f"{missing} are missing, found {sorted(arrays)}"] if missing else [], where)
    used = {name: arrays[name] for name in PADDED_FIELDS if name in arrays}
    require(list(_problems(used)), where, "Are these the fields of PyMARL's episode batches?")
    return used


def _problems(arrays: Mapping[str, Readable]) -> Iterator[str]:
    """Fields of wrong types or sizes.

    Args:
        arrays: the fields by name.
    """
    ndim = {"obs": (4,), "avail_actions": (4,), "state": (3,), "actions": (3, 4), "agent_mask": (3, 4)}
    lead = arrays["obs"].shape[:2]
    agents = arrays["obs"].shape[2:3]
    ends: dict[str, tuple[tuple[int, ...], ...]] = {
        **dict.fromkeys(("filled", "terminated"), ((), (1,))),
        "agent_mask": (agents, (*agents, 1)),
        "actions": (agents, (*agents, 1), tuple(arrays["avail_actions"].shape[2:])),
        "reward": ((), (1,), agents),
    }
    for name, a in arrays.items():
        shape = tuple(a.shape)
        if a.dtype.kind not in "biuf":
            yield f"{name!r} has type {a.dtype}, expected numbers"
        if len(shape) not in ndim.get(name, (2, 3)):
            yield f"{name!r} has shape {shape}, expected {max(ndim.get(name, (2, 3)))} dimensions"
        elif 0 in shape:
            yield f"{name!r} has shape {shape}, which holds nothing"
        elif shape[:2] != lead or (name == "avail_actions" and shape[2:3] != agents):
            yield f"{name!r} has shape {shape}, 'obs' has {tuple(arrays['obs'].shape)}"
        elif name in ends and shape[2:] not in ends[name]:
            yield f"{name!r} has shape {shape}, expected {(*lead, *ends[name][1])}"


def find_filled(arrays: Mapping[str, Readable], terminated: Array, where: str) -> Array:
    """Which rows are no padding `[E, T1]`.

    Args:
        arrays: the fields by name.
        terminated: whether an episode has ended there `[E, T1]`.
        where: the file, for messages.

    Raises:
        DataError: nothing tells padding.
    """
    if "filled" in arrays:
        return read_flags(arrays["filled"][:], "filled", where)
    legal = arrays["avail_actions"]
    size = int(np.prod(legal.shape[1:])) * legal.dtype.itemsize
    spans = block_spans(np.ones(legal.shape[0], np.int64), size)
    filled: Array = np.concatenate([(legal[first:last] != 0).any((2, 3)) for first, last in spans])
    # Behind the last observation of an episode that has ended there is padding for certain.
    behind = np.cumsum(terminated, 1)[:, :-2] > 0
    if (filled[:, 2:] & behind).any():
        raise DataError(
            f"{where}: 'filled' is missing, and 'avail_actions' does not tell padding either: actions are "
            "legal behind the end of an episode. Add 'filled', 1 for rows that are no padding."
        )
    return filled


def find_lengths(filled: Array, terminated: Array, where: str) -> Array:
    """Steps of every episode `[E]`; 0 for padding.

    Args:
        filled: which rows are no padding `[E, T1]`.
        terminated: whether an episode has ended there `[E, T1]`.
        where: the file, for messages.

    Raises:
        DataError: there are gaps between filled rows.
    """
    rows = filled.sum(1)
    gaps = np.flatnonzero((filled[:, 1:] & ~filled[:, :-1]).any(1))
    # Whatever is behind the first end, or not filled, is padding.
    terminated = terminated & filled
    ended = terminated.any(1)
    if len(gaps):
        raise DataError(
            f"{where}: 'filled' has gaps in {len(gaps)} episodes, first in episode {gaps[0]}; expected ones "
            "followed by zeros. Is it PyMARL's field?"
        )
    return np.where(ended, terminated.argmax(1) + 1, np.maximum(rows - 1, 0))


def lack_choice(legal: Readable) -> bool:
    """Whether agents have no legal action while others do: they do not take part.

    Args:
        legal: legal actions `[E, T1, N, K]`.
    """
    size = int(np.prod(legal.shape[1:])) * legal.dtype.itemsize
    spans = block_spans(np.ones(legal.shape[0], np.int64), size)
    parts = (legal[first:last] for first, last in spans)
    return not all(with_choice(part).all() for part in parts)


def with_choice(legal: Array) -> Array:
    """Where an agent has a legal action, or nobody has `[E, T1, N]`.

    Args:
        legal: legal actions `[E, T1, N, K]`.
    """
    absent = without_choice(legal.reshape(-1, *legal.shape[2:]))
    return ~absent.reshape(legal.shape[:3])


def observation_rows(filled: Array, length: Array, whole: Array) -> tuple[Array, Array]:
    """Flat indices of all observation rows and of all steps of the episodes ``whole``.

    Args:
        filled: which rows are no padding `[E, T1]`.
        length: steps of every episode `[E]`.
        whole: numbers of the episodes that have steps.
    """
    rows = filled.shape[1]
    final = length[whole]
    # A last observation that was not kept is replaced by the one before; it is never used.
    kept = (final < rows) & filled[whole, np.minimum(final, rows - 1)]
    row = np.repeat(whole * rows, final + 1) + count_within(final + 1)
    last = np.cumsum(final + 1) - 1
    step = np.delete(row, last)
    row[last] -= ~kept
    return row, step


def read_flags(values: Array, name: str, where: str) -> Array:
    """Booleans `[E, T1]` of zeros and ones.

    Args:
        values: `[E, T1]` or `[E, T1, 1]`.
        name: of the field, for messages.
        where: the file, for messages.

    Raises:
        DataError: other values.
    """
    flags = to_flags(values.reshape(values.shape[:2]))
    if flags.dtype != bool:
        bad = values[values != values.astype(bool)][0]
        raise DataError(f"{where}: {name!r} holds {bad}; expected zeros and ones. Is it PyMARL's field?")
    return flags
