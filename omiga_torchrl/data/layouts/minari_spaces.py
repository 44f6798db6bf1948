"""The spaces in the description of a Minari dataset: what its numbers mean."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from omiga_torchrl.action_bounds import ActionBound, plain_bound
from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.base import to_floats
from omiga_torchrl.errors import DataError

Space = dict[str, Any]

_PART = re.compile(r"_index_(\d+)")
_VECTORS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary")
_NESTED = ("Dict", "Tuple")
_MOST_CATEGORIES = 2**16


def entry_order(name: str) -> tuple[int, str]:
    """Sorts the entries of a space: the parts of a tuple by number, those of a dictionary by text.

    Args:
        name: as the file has it, ``_index_10`` for the tenth part of a tuple.

    Examples:
        >>> sorted(["_index_10", "_index_9"], key=entry_order), sorted(["b", "a"], key=entry_order)
        (['_index_9', '_index_10'], ['a', 'b'])
    """
    part = _PART.fullmatch(name)
    return (int(part[1]) if part else -1, name)


def space_of(space: Any, leaf: str) -> Space:
    """The space of a field, ``{}`` where the description does not have it.

    Args:
        space: of all observations.
        leaf: the field, e.g. ``"observations/_index_0/goal"``.

    Examples:
        >>> space_of({"type": "Tuple", "subspaces": [{"type": "Discrete", "n": 4}]}, "observations/_index_0")
        {'type': 'Discrete', 'n': 4}
    """
    for name in leaf.split("/")[1:]:
        inner = space.get("subspaces") if isinstance(space, dict) else None
        part = _PART.fullmatch(name)
        if isinstance(inner, list) and part and int(part[1]) < len(inner):
            space = inner[int(part[1])]
        else:
            space = inner.get(name) if isinstance(inner, dict) else None
    return space if isinstance(space, dict) else {}


def unreadable_spaces(space: Any, where: str = "observations") -> list[str]:
    """Spaces that are no vectors of numbers, e.g. texts and graphs.

    Args:
        space: of observations.
        where: its name, for the message.

    Examples:
        >>> unreadable_spaces({"type": "Dict", "subspaces": {"mission": {"type": "Text"}}})
        ["observations/mission are of the space 'Text', expected Box, Discrete, MultiDiscrete or MultiBinary"]
    """
    if not isinstance(space, dict):
        return []
    inner = space.get("subspaces")
    names = inner if isinstance(inner, dict) else dict(enumerate(inner)) if isinstance(inner, list) else {}
    found = [one for name, part in names.items() for one in unreadable_spaces(part, f"{where}/{name}")]
    kind = space.get("type", "Box")
    if kind not in (*_VECTORS, *_NESTED):
        expected = f"{', '.join(_VECTORS[:-1])} or {_VECTORS[-1]}"
        found.append(f"{where} are of the space {kind!r}, expected {expected}")
    return found


def has_images(space: Any) -> bool:
    """Whether a part of a space is an image, ``uint8`` `[H, W, C]`.

    Args:
        space: of observations.

    Examples:
        >>> has_images({"type": "Box", "dtype": "uint8", "shape": [8, 8, 3]})
        True
    """
    if not isinstance(space, dict):
        return False
    inner = space.get("subspaces")
    parts = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else []
    if any(map(has_images, parts)):
        return True
    return space.get("dtype") == "uint8" and np.size(space.get("shape", [])) == 3


def to_vectors(values: Array, space: Space, where: str) -> Array:
    """Observations of a field as vectors of floats `[R, F]`; numbers of categories are one-hot.

    Args:
        values: as stored `[R, ...]`.
        space: of the field.
        where: the field, for the message.

    Raises:
        DataError: a number that is none of the space's categories.

    Examples:
        >>> to_vectors(np.array([101, 100]), {"type": "Discrete", "n": 2, "start": 100}, "file")
        array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    rows = values.reshape(len(values), -1)
    if space.get("type") not in ("Discrete", "MultiDiscrete"):
        return to_floats(rows)
    counts: Any = space.get("n", space.get("nvec", []))
    sizes = np.ravel(counts)
    starts = np.broadcast_to(np.ravel(space.get("start", 0)), sizes.shape)
    if len(sizes) != rows.shape[1] or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        raise DataError(
            f"{where}: the space has {len(sizes)} numbers of categories, the field {rows.shape[1]} features. "
            "Is the description that of another dataset?"
        )
    if sizes.sum() > _MOST_CATEGORIES:
        raise DataError(
            f"{where}: {int(sizes.sum())} categories are too many for one-hot vectors, expected at most "
            f"{_MOST_CATEGORIES}. Encode them before."
        )
    index = rows - starts
    wrong = ((index < 0) | (index >= sizes) | (index != np.floor(index))).any(1)
    if wrong.any():
        raise DataError(
            f"{where}: {rows[wrong][0].tolist()} in row {int(wrong.argmax())} is in none of the categories "
            f"of the space, {sizes.tolist()} counted from {starts.tolist()}. Is the file damaged?"
        )
    parts = [index[:, [one]] == np.arange(size) for one, size in enumerate(sizes)]
    return np.concatenate(parts, 1).astype(np.float32)


def box_bounds(space: Space) -> tuple[ActionBound | None, ActionBound | None]:
    """The bounds of a box, ``None`` where it has none or only infinite ones.

    Args:
        space: of actions.

    Examples:
        >>> box_bounds({"type": "Box", "low": [-2.0, -1.0], "high": [2.0, 1.0]})
        ((-2.0, -1.0), (2.0, 1.0))
        >>> box_bounds({"type": "Box", "low": [-float("inf")], "high": [1.0]})
        (None, None)
    """
    if space.get("type") != "Box":
        return None, None
    try:
        bounds = [np.ravel(np.asarray(space[name], np.float64)) for name in ("low", "high")]
    except (KeyError, TypeError, ValueError):
        return None, None
    sound = (
        bounds[0].shape == bounds[1].shape and np.isfinite(bounds).all() and (bounds[0] <= bounds[1]).all()
    )
    if not sound:
        return None, None
    low, high = (plain_bound("action space", bound) for bound in bounds)
    return low, high
