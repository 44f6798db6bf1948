"""Plain values: what a file of :func:`torch.save` can be read back from without running code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

_PLAIN = (bool, int, float, complex, str, bytes, torch.Tensor, torch.dtype, torch.device)


def plain(component: str, name: str, value: Any) -> Any:
    """A value without numpy's scalars and arrays and without paths, which files cannot be read back with.

    Args:
        component: who writes it, for the message.
        name: of the value, for the message.
        value: plain values, tensors, numpy values, paths, or mappings, lists and tuples of them.

    Returns:
        The same in Python's numbers, lists and text.

    Raises:
        TypeError: something else is in it; says where.

    Examples:
        >>> plain("save_policy", "metadata", {"return": np.float64(1.5), "steps": (np.int64(3), None)})
        {'return': 1.5, 'steps': (3, None)}
        >>> plain("save_policy", "metadata", {"task": {"env": object}})
        Traceback (most recent call last):
            ...
        TypeError: save_policy: metadata['task']['env'] is a type; expected plain values, ...
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(component, f"{name}[{key!r}]", one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(component, f"{name}[{number}]", one) for number, one in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    raise TypeError(
        f"{component}: {name} is a {type(value).__name__}; expected plain values, tensors, or mappings and "
        f"lists of them, which can be read back without running code. Convert it, e.g. by str()."
    )
