"""Files with one row per step that do not keep what the team saw after the last one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.errors import DataError


def count_steps(terminated: Array, length: Array, delimited: Array) -> int:
    """The steps that :func:`steps_to_episodes` keeps.

    Args:
        terminated: whether an episode terminated `[E]`.
        length: rows of every episode `[E]`.
        delimited: whether its last row is no step, but what was seen after the last one `[E]`.

    Examples:
        >>> count_steps(np.array([True, False]), np.array([2, 2]), np.array([False, False]))
        3
    """
    return int(length.sum() - (~terminated | delimited).sum())


@dataclass(frozen=True)
class StepRows:
    """Which of the rows of whole episodes are steps, and which are observations.

    Attributes:
        row: the row of every observation, T + E of them; the last one of an episode stands for what is
            unknown or given elsewhere.
        is_step: which rows are steps `[rows]`.
        length: steps of every episode that is left `[E]`.
        terminated: true where the task ended `[T]`.
        truncated: true where an episode ended otherwise `[T]`.
    """

    row: Array
    is_step: Array
    length: Array
    terminated: Array
    truncated: Array


def find_step_rows(terminated: Array, length: Array, known: Array) -> StepRows:
    """Which rows of whole episodes are steps, if there is one row a step.

    Args:
        terminated: whether an episode terminated `[E]`.
        length: rows of every episode `[E]`.
        known: whether what was seen after an episode's last row is known or of no use `[E]`. The last row
            of the others only serves as the observation after the step before it.

    Examples:
        >>> rows = find_step_rows(np.array([True, False]), np.array([2, 2]), np.array([True, False]))
        >>> rows.row, rows.is_step, rows.truncated
        (array([0, 1, 1, 2, 3]), array([ True,  True,  True, False]), array([False, False,  True]))
    """
    last, steps = np.cumsum(length) - 1, int(length.sum())
    is_step = np.ones(steps, bool)
    is_step[last[~known]] = False
    times = np.ones(steps, np.int64)
    times[last[known]] = 2
    times[last[~known & (length == 1)]] = 0
    kept = length - ~known
    whole, kept = kept > 0, kept[kept > 0]
    ends = np.zeros((2, int(kept.sum())), bool)
    ends[0, np.cumsum(kept) - 1] = terminated[whole]
    ends[1, np.cumsum(kept) - 1] = ~terminated[whole]
    return StepRows(np.repeat(np.arange(steps), times), is_step, kept, ends[0], ends[1])


def steps_to_episodes(
    observation: Array,
    action: Array,
    reward: Array,
    terminated: Array,
    length: Array,
    *,
    action_mask: Array | None = None,
    state: Array | None = None,
    own_reward: Array | None = None,
    agent_mask: Array | None = None,
    delimited: Array | None = None,
    following: tuple[Array, Array] | None = None,
    left_out: LeftOut | None = None,
) -> Episodes:
    """Rows of whole episodes as :class:`~omiga_torchrl.data.Episodes`.

    The observation after the last step is unknown. Where the task ended it is never used, and
    the last row's own stands in for it. Otherwise the last row only serves as the observation
    after the step before it, where the episode counts as truncated; episodes of a single row
    that did not terminate are dropped.

    Args:
        observation: `[T, N, O]`.
        action: `[T, N, A]` or `[T, N]`.
        reward: `[T]`.
        terminated: whether an episode terminated `[E]`.
        length: rows of every episode `[E]`.
        action_mask: `[T, N, K]`.
        state: `[T, S]`.
        own_reward: every agent's `[T, N]`.
        agent_mask: where an agent takes part `[T, N]`.
        delimited: whether the last row is no step, but holds what was seen after the last one `[E]`.
        following: what was seen after the last row of every episode `[E, N, O]`, and where it is known `[E]`.
        left_out: takes in the steps that are dropped.

    Examples:
        >>> rows = np.arange(4.0)
        >>> episodes = steps_to_episodes(
        ...     rows.reshape(4, 1, 1), rows.reshape(4, 1, 1), rows, np.array([True, False]), np.array([2, 2])
        ... )
        >>> episodes.observation.ravel(), episodes.reward, episodes.truncated
        (array([0., 1., 1., 2., 3.]), array([0., 1., 2.]), array([False, False,  True]))
    """
    delimited = np.zeros_like(terminated) if delimited is None else delimited
    known = terminated if following is None else terminated | following[1]
    rows = find_step_rows(terminated, length, known=known & ~delimited)
    # Of delimited episodes every row is an observation: nothing has to be copied.
    row = slice(None) if delimited.all() and length.min(initial=2) > 1 else rows.row
    is_step = rows.is_step
    if left_out is not None:
        left_out.add(reward, length, ~known & ~delimited)
    seen = observation[row]
    if following is not None:
        whole = length > (delimited | ~known)
        final, there = following[0][whole], (following[1] & ~delimited)[whole]
        seen[(np.cumsum(rows.length + 1) - 1)[there]] = final[there]
    agents = AgentArrays(
        seen,
        action[is_step],
        None if action_mask is None else action_mask[row],
        None if agent_mask is None else agent_mask[row],
        reward=None if own_reward is None else own_reward[is_step],
    )
    return Episodes(
        groups={keys.GROUP: agents},
        reward=reward[is_step],
        terminated=rows.terminated,
        truncated=rows.truncated,
        length=rows.length,
        state=None if state is None else state[row],
    )


def require_own_final(observation: Array, length: Array, truncated: Array, where: str) -> None:
    """Raise where what was seen after truncated episodes is the first observation of the next one.

    Environments that reset by themselves return it; learners would bootstrap from the wrong place.

    Args:
        observation: rows of episodes with what was seen after the last step `[R, ...]`.
        length: rows of every episode `[E]`.
        truncated: whether it was truncated `[E]`.
        where: the file, for the message.

    Raises:
        DataError: most of them are, and more than one.
    """
    last = (np.cumsum(length) - 1)[:-1]
    last = last[truncated[:-1]]
    final, features = observation[last], tuple(range(1, observation.ndim))
    goes_on = (final == observation[last + 1]).all(features) & (final != observation[last - 1]).any(features)
    found = int(goes_on.sum())
    if found > 1 and 2 * found >= len(last):
        raise foreign_final(found, len(last), where)


def foreign_final(found: int, truncated: int, where: str) -> DataError:
    """The error for last observations that belong to the next episode.

    Args:
        found: how many.
        truncated: of how many.
        where: the file.
    """
    return DataError(
        f"{where}: what was seen after {found} of {truncated} truncated episodes is the first observation of "
        "the next one, as from environments that reset by themselves; learners would bootstrap from it. "
        "Leave timeout_is_terminal=False out, or pass timeout_is_terminal=True."
    )


def whole_actions(actions: Array, n_actions: int | None, where: str) -> Array:
    """Discrete actions as integers, after a look at their range.

    Args:
        actions: whole numbers `[T, N]`, of any type.
        n_actions: number of actions K, if it is known.
        where: the file, for the message.

    Raises:
        DataError: some are no whole numbers in [0, K).

    Examples:
        >>> whole_actions(np.array([[1.0, 0.0]]), 2, "file")
        array([[1, 0]])
    """
    with np.errstate(invalid="ignore"):  # NaN is found below
        found = actions.astype(np.int64)
    wrong = ((found != actions) | (found < 0)).any(1)
    if n_actions is not None:
        wrong |= (found >= n_actions).any(1)
    if wrong.any():
        last = "K - 1" if n_actions is None else n_actions - 1
        raise DataError(
            f"{where}: actions are {actions[wrong][0].tolist()} in {int(wrong.sum())} steps, first in step "
            f"{int(wrong.argmax())}; expected whole numbers from 0 to {last}. Are they discrete?"
        )
    return found


def discrete_actions(actions: Array, n_actions: int | None, where: str) -> Array:
    """Discrete actions as integers `[T, N]`: of indices or of one-hot vectors, of any type.

    Args:
        actions: indices `[T, N]` or `[T, N, 1]`, or one-hot `[T, N, K]`; whole numbers, floats or booleans.
        n_actions: number of actions K, if it is known.
        where: the file, for the message.

    Raises:
        DataError: indices that are no whole numbers in [0, K), or vectors that are not one-hot.

    Examples:
        >>> discrete_actions(np.array([[[0.0, 1.0], [1.0, 0.0]]]), 2, "file")
        array([[1, 0]])
    """
    if actions.ndim < 3 or actions.shape[-1] == 1:
        return whole_actions(actions.reshape(actions.shape[:2]), n_actions, where)
    is_one_hot = ((actions == 1).sum(-1) == 1) & ((actions == 0).sum(-1) == actions.shape[-1] - 1)
    wrong = ~is_one_hot.all(1)
    if wrong.any() or actions.shape[-1] != (n_actions or actions.shape[-1]):
        told = f"{actions[wrong][0].tolist()} in {int(wrong.sum())} steps" if wrong.any() else actions.shape
        raise DataError(
            f"{where}: actions are {told}; expected an index or a one-hot vector of {n_actions or 'the'} "
            "actions for each agent. Are they continuous?"
        )
    index: Array = (actions == 1).argmax(-1)
    return index
