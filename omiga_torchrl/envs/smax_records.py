"""Inputs and outputs of the compiled SMAX program, as tuples of arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

Array = Any  # a jax.Array: JAX is optional


class Seen(NamedTuple):
    """State of `B` games with `N` agents and `K` actions.

    Attributes:
        observation: `[B, N, O]`.
        state: `[B, S]`.
        action_mask: `[B, N, K]`.
        episode_return: sum of the rewards since the reset `[B]`.
        step_count: steps since the reset `[B]`.
        done: whether the game is over `[B]`, for one of two reasons:
        terminated: one side has lost all its units `[B]`, or
        truncated: the time is over `[B]`.
        win: whether the enemies lost all their units and the team did not `[B]`.
    """

    observation: Array
    state: Array
    action_mask: Array
    episode_return: Array
    step_count: Array
    done: Array
    terminated: Array
    truncated: Array
    win: Array


class Games(NamedTuple):
    """Everything that the next step depends on.

    Attributes:
        game: the states of SMAX.
        key: the games' random keys `[B, 2]`.
        seen: what is known now.
    """

    game: Any
    key: Array
    seen: Seen


class Shown(NamedTuple):
    """Arrays handed over to PyTorch: few, as each of them costs some microseconds.

    Attributes:
        observation: `[B, N, O]`.
        state: `[B, S]`.
        action_mask: `[B, N, K]`.
        numbers: reward, return so far and steps so far `[3, B, 1]`.
        flags: done, terminated, truncated and win `[4, B, 1]`.
    """

    observation: Array
    state: Array
    action_mask: Array
    numbers: Array
    flags: Array


class Outcome(NamedTuple):
    """A step, and what a reset of the games that it ended would give.

    Attributes:
        games: the games after the step.
        shown: what is seen of them.
        ready: which games are reset in what follows `[B]`; none if no game has just ended.
        next_games: the games with new ones in place of these.
        next_shown: what is seen of them.
    """

    games: Games
    shown: Shown
    ready: Array
    next_games: Games
    next_shown: Shown
