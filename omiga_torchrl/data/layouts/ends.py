"""Terminations and time-outs of files that tell them apart, or not."""

from __future__ import annotations

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.options import ReadOptions


def required_limit(options: ReadOptions) -> int:
    """The option ``max_steps``, where nothing else tells time-outs.

    Raises:
        ValueError: it is not given.

    Examples:
        >>> required_limit(ReadOptions(timeout_is_terminal=False, max_steps=2))
        2
    """
    if options.max_steps is None:
        raise ValueError(
            "OfflineDataset: timeout_is_terminal=False, but this layout does not tell time-outs "
            "apart; pass max_steps=, the length of an episode that ran out of time."
        )
    return options.max_steps


def split_ends(ended: Array, lengths: Array, options: ReadOptions) -> tuple[Array, Array]:
    """``terminated`` and ``truncated`` `[T]` for files that only mark that an episode ended.

    With ``timeout_is_terminal=False`` an episode of exactly ``max_steps`` steps was truncated.

    Args:
        ended: true at the last step of every episode `[T]`.
        lengths: steps of every episode `[E]`.
        options: ``timeout_is_terminal`` and ``max_steps``.

    Raises:
        ValueError: ``timeout_is_terminal=False`` without ``max_steps``.

    Examples:
        >>> ended, options = np.array([True, False, True]), ReadOptions(None, False, max_steps=2)
        >>> [x.tolist() for x in split_ends(ended, np.array([1, 2]), options)]
        [[True, False, False], [False, False, True]]
    """
    truncated = np.zeros_like(ended)
    if options.timeout_is_terminal is False:
        truncated[np.cumsum(lengths)[lengths == required_limit(options)] - 1] = True
    return ended & ~truncated, truncated


def relabel_ends(
    terminated: Array, truncated: Array, lengths: Array, options: ReadOptions
) -> tuple[Array, Array]:
    """``terminated`` and ``truncated`` `[T]` of files that tell time-outs apart, as the user wants them.

    With ``timeout_is_terminal=True`` time-outs become terminations; with ``False`` and
    ``max_steps`` every episode of exactly that many steps ran out of time.

    Args:
        terminated: as the file has it `[T]`.
        truncated: as the file has it `[T]`.
        lengths: steps of every episode `[E]`.
        options: ``timeout_is_terminal`` and ``max_steps``.

    Examples:
        >>> ends = np.array([False, True]), np.array([True, False])
        >>> [x.tolist() for x in relabel_ends(*ends, np.array([1, 1]), ReadOptions())]
        [[False, True], [True, False]]
        >>> [x.tolist() for x in relabel_ends(*ends, np.array([1, 1]), ReadOptions(timeout_is_terminal=True))]
        [[True, True], [False, False]]
    """
    if options.timeout_is_terminal:
        return terminated | truncated, np.zeros_like(truncated)
    if options.timeout_is_terminal is False and options.max_steps is not None:
        late = np.zeros_like(terminated)
        late[np.cumsum(lengths)[lengths == options.max_steps] - 1] = True
        return terminated & ~late, truncated | late
    return terminated, truncated
