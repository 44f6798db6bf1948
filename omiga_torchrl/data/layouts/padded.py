"""Padded episodes as PyMARL's episode batches keep them: one array `[E, T1, ...]` per field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts.base import (
    BLOCK_BYTES,
    Reading,
    ReadOptions,
    block_spans,
    relabel_ends,
    to_floats,
    to_own_rewards,
    to_team_reward,
)
from omiga_torchrl.data.layouts.idle_rewards import leave_out_padded
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.padded_fields import (
    PADDED_FIELDS,
    Readable,
    checked_fields,
    find_filled,
    find_lengths,
    lack_choice,
    observation_rows,
    read_flags,
    with_choice,
)
from omiga_torchrl.data.layouts.presence import given_mask
from omiga_torchrl.data.layouts.steps import discrete_actions


def read_padded(
    arrays: Mapping[str, Readable], where: str, options: ReadOptions, left_out: LeftOut | None = None
) -> Reading:
    """Check the fields of padded episodes, then stream them.

    Args:
        arrays: at least ``REQUIRED_FIELDS``, see :func:`padded_to_episodes`. Only ``"filled"``
            and ``"terminated"`` are read whole.
        where: the file or folder, for messages.
        options: how it is read.
        left_out: takes in rewards of rows that are no steps.

    Raises:
        DataError: missing fields, wrong types or sizes; all of them in one message.
    """
    used = checked_fields(arrays, where)
    terminated = read_flags(used["terminated"][:], "terminated", where)
    filled = find_filled(used, terminated, where)
    episodes, rows = filled.shape
    length = find_lengths(filled, terminated, where)
    left_out = LeftOut() if left_out is None else left_out
    come_and_go = "agent_mask" in used or lack_choice(used["avail_actions"])
    per_episode = sum(rows * int(np.prod(a.shape[2:])) * a.dtype.itemsize for a in used.values())

    def blocks() -> Iterator[Episodes]:
        # Padding is read too, so every episode counts with all its rows.
        for first, last in block_spans(np.ones(episodes, np.int64), per_episode, BLOCK_BYTES):
            part = {name: a[first:last] for name, a in used.items()}
            if come_and_go and "agent_mask" not in part:
                part["agent_mask"] = with_choice(part["avail_actions"])
            at = f"{where}, episodes {first} to {last - 1}"
            block = padded_to_episodes(part, at, options, left_out)
            if len(block):
                yield block

    n_actions = used["avail_actions"].shape[-1]
    return Reading(blocks(), steps=int(length.sum()), n_actions=n_actions, left_out=left_out)


def padded_to_episodes(
    arrays: Mapping[str, Array],
    where: str = "padded episodes",
    options: ReadOptions | None = None,
    left_out: LeftOut | None = None,
) -> Episodes:
    """Padded episodes as whole episodes without padding.

    An episode that terminated in row t has t + 1 steps. One that did not ran out of time, and
    the last row that is filled holds what the team saw then. Episodes without a step are padding.

    Args:
        arrays: of E episodes padded to T1 rows: ``actions`` (whole numbers `[E, T1, N, 1]`),
            ``avail_actions`` `[E, T1, N, K]`, ``filled`` and ``terminated`` `[E, T1, 1]`, ``obs``
            `[E, T1, N, O]`, ``reward`` `[E, T1, 1]` or one per agent, ``state`` `[E, T1, S]`. Actions may be
            one-hot `[E, T1, N, K]`. Without ``filled`` rows in which no agent has a legal action are padding.
            ``agent_mask`` `[E, T1, N]`, where agents come and go.
        where: the file, for messages.
        options: how they are read; default is as they are.
        left_out: takes in the rewards of last rows of episodes that ran out of time, which are no steps.

    Raises:
        DataError: flags that are not 0 or 1, gaps between filled rows, or actions that are no
            whole numbers in [0, K).

    Examples:
        >>> arrays = {
        ...     "actions": np.array([[[[1]], [[0]], [[0]]]]),
        ...     "avail_actions": np.ones((1, 3, 1, 2)),
        ...     "filled": np.array([[[1], [1], [0]]]),
        ...     "obs": np.array([[[[5.0]], [[6.0]], [[0.0]]]]),
        ...     "reward": np.array([[[7.0], [0.0], [0.0]]]),
        ...     "state": np.array([[[8.0], [9.0], [0.0]]]),
        ...     "terminated": np.zeros((1, 3, 1)),
        ... }
        >>> episodes = padded_to_episodes(arrays)
        >>> episodes.length, episodes.reward, episodes.observation.ravel(), episodes.truncated
        (array([1]), array([7.]), array([5., 6.]), array([ True]))
    """
    options = options or ReadOptions()
    ended = read_flags(arrays["terminated"], "terminated", where)
    filled = find_filled(arrays, ended, where)
    length = find_lengths(filled, ended, where)
    whole = np.flatnonzero(length)
    row, step = observation_rows(filled, length, whole)
    length = length[whole]
    flat = {name: a.reshape(-1, *a.shape[2:]) for name, a in arrays.items() if name in PADDED_FIELDS}
    mask = flat["avail_actions"][row] != 0
    terminated = ended.reshape(-1)[step]
    truncated = np.zeros_like(terminated)
    truncated[np.cumsum(length) - 1] = True
    terminated, truncated = relabel_ends(terminated, truncated & ~terminated, length, options)
    if left_out is not None:
        leave_out_padded(arrays["reward"], filled, ended & filled, options, where, left_out)
    rewards = flat["reward"][step]
    own = to_own_rewards(rewards, options, where)
    agents = AgentArrays(
        to_floats(flat["obs"][row]),
        discrete_actions(flat["actions"][step], mask.shape[-1], where),
        mask,
        given_mask(flat["agent_mask"], where)[row] if "agent_mask" in flat else None,
        reward=None if own is None else to_floats(own),
    )
    return Episodes(
        groups={keys.GROUP: agents},
        reward=to_floats(to_team_reward(rewards, options, where)),
        terminated=terminated,
        truncated=truncated,
        length=length,
        state=to_floats(flat["state"][row]),
    )
