"""Numbers that users hand over: arrays of any kind, flags of any type, actions of any encoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.layouts.steps import whole_actions
from omiga_torchrl.errors import DataError


def to_array(value: Any, name: str, where: str) -> Array:
    """Numbers as a NumPy array; half precision becomes single, so that sums do not overflow.

    Args:
        value: NumPy array, tensor on any device, or whatever NumPy makes an array of.
        name: for the message.
        where: for the message.

    Raises:
        DataError: it is ragged or holds something else than numbers.

    Examples:
        >>> to_array(torch.ones(2, dtype=torch.bfloat16), "reward", "here")
        array([1., 1.], dtype=float32)
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().as_subclass(torch.Tensor)
        value = value.float() if value.dtype == torch.bfloat16 else value
        array = value.numpy()
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:  # a ragged list
            raise DataError(f"{where}: {name!r} is no array: {error}. Give arrays of one shape.") from error
    if array.dtype.kind not in "fiub":
        raise DataError(
            f"{where}: {name!r} has the type {array.dtype}; expected numbers or booleans. "
            "Give a list of episodes if their lengths differ."
        )
    return array.astype(np.float32) if array.dtype == np.float16 else array


def to_flags(values: Array, name: str, where: str) -> Array:
    """Booleans of 0 and 1 in any type.

    Args:
        values: the flags.
        name: for the message.
        where: for the message.

    Raises:
        DataError: there are other numbers.

    Examples:
        >>> to_flags(np.array([0.0, 1.0]), "terminated", "here")
        array([False,  True])
    """
    if values.dtype.kind == "b":
        return values
    other = values[(values != 0) & (values != 1)]
    if other.size:
        raise DataError(f"{where}: {name!r} has the value {other.flat[0]}; expected booleans, or 0 and 1.")
    return values != 0


def to_actions(
    values: Array, n_actions: int | None, present: Array | None, where: str
) -> tuple[Array, int | None]:
    """Actions as floats `[T, N, A]`, or as integers `[T, N]` with the number of actions if it is known.

    Args:
        values: `[T, N, A]` continuous; `[T, N]` or `[T, N, 1]` numbers of actions; `[T, N, K]` one-hot.
        n_actions: number of discrete actions K. Without it, floats are continuous.
        present: where an agent takes part `[T, N]`; the actions of others are set to 0.
        where: for the message.

    Raises:
        DataError: floats that are one-hot or have no features, with no ``n_actions``; numbers out of range;
            several integers an agent.

    Examples:
        >>> to_actions(np.array([[[0, 1, 0]]]), None, None, "here")
        (array([[1]]), 3)
        >>> to_actions(np.array([[1.0]]), 3, None, "here")
        (array([[1]]), 3)
    """
    is_float = values.dtype.kind == "f"
    one_hot = values.ndim == 3 and values.shape[-1] > 1 and _is_one_hot(values, present)
    if is_float and n_actions is None:
        if values.ndim == 2 or one_hot:
            kind = "one-hot" if one_hot else "one number an agent"
            raise DataError(
                f"{where}: 'action' has the type {values.dtype} and the shape {values.shape}, {kind}. Pass "
                "n_actions= if actions are discrete; continuous ones have the shape [T, N, A]."
            )
        return values, None
    if one_hot:
        if n_actions not in (None, values.shape[-1]):
            raise DataError(
                f"{where}: 'action' is one-hot of {values.shape[-1]} actions, n_actions is {n_actions}. "
                "Leave n_actions out."
            )
        return values.argmax(-1), values.shape[-1]
    if values.ndim == 3 and values.shape[-1] != 1:
        raise DataError(
            f"{where}: 'action' has the type {values.dtype} and the shape {values.shape}; expected floats, "
            "or discrete actions as whole numbers [T, N] or one-hot. Several discrete choices an agent have "
            "to be numbered through."
        )
    numbers = values.reshape(values.shape[:2])
    if present is not None:
        numbers = np.where(present, numbers, 0)
    return whole_actions(numbers, n_actions, where), n_actions


def _is_one_hot(values: Array, present: Array | None) -> bool:
    """Whether every row `[T, N, K]` of an agent that takes part is a single 1."""
    if not ((values == 0) | (values == 1)).all():
        return False
    one = (values == 1).sum(-1) == 1
    return bool((one if present is None else one | ~present).all())
