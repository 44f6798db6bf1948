"""RLlib's JSON files: one batch of experience a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.joining import gathered
from omiga_torchrl.data.layouts.base import (
    BLOCK_BYTES,
    Layout,
    Reading,
    ReadOptions,
    relabel_ends,
    split_ends,
    to_floats,
    to_own_rewards,
    to_team_reward,
)
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.rllib_lines import FLAGS, Rows, is_batch, json_files, read_episodes
from omiga_torchrl.data.layouts.steps import steps_to_episodes, whole_actions
from omiga_torchrl.errors import DataError


@register_layout("rllib", priority=15)
class RllibLayout(Layout):
    """A file of RLlib's ``JsonWriter``, or a folder of them; several agents of equal spaces are a team.

    An episode goes on from line to line under its ``eps_id``, to the step that has ``terminateds`` or
    ``truncateds`` (formerly ``dones``, which do not tell time-outs). What was seen after its last step is
    ``new_obs``; without it a last step that did not terminate is left out. Discrete actions are as many as
    ``action_dist_inputs`` has columns, or else as the largest one says. RLlib packs observations unless it is
    told ``compress_columns=[]``; packed ones are pickles, which are not read.
    """

    summary: ClassVar[str] = "RLlib's JSON: a file, or a folder of files, with a SampleBatch a line"
    ignores: ClassVar[tuple[str, ...]] = ("delimiter_rows",)

    def matches(self, path: Path) -> bool:
        """Whether the first line is a batch of RLlib's."""
        try:
            return any(is_batch(file) for file in json_files(path)[:1])
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Read all once to count discrete actions, or continuous ones to the first episode; then stream.

        Raises:
            DataError: columns that are missing, packed or do not fit, or an episode without an end.
        """
        n_actions = -1
        for rows in read_episodes(path):
            if rows.values["actions"].dtype.kind == "f":
                break
            inputs = rows.values.get("action_dist_inputs", np.zeros((1, 1, 0)))
            actions = whole_actions(_discrete(rows), None, rows.where)
            n_actions = max(n_actions, int(actions.max()) + 1, inputs.shape[-1])
        left_out, notes = LeftOut(), EndNotes()
        count = n_actions if n_actions > 0 else None
        parts = _episodes(path, count, options, left_out, notes)
        blocks = gathered(parts, f"OfflineDataset: {path}", BLOCK_BYTES)
        return Reading(blocks, n_actions=count, left_out=left_out, ends=notes)


def _episodes(
    path: Path, n_actions: int | None, options: ReadOptions, left_out: LeftOut, notes: EndNotes
) -> Iterator[Episodes]:
    for rows in read_episodes(path):
        terminated, cut = _ends(rows, options)
        following = rows.values.get("new_obs")
        known = np.array([following is not None])
        if following is not None:
            _require_in_order(rows, following)
        if terminated[-1] or known[0] or len(terminated) > 1:  # or nothing is left of it
            notes.cut.append(np.array([cut]))
        rewards = rows.values["rewards"]
        yield steps_to_episodes(
            to_floats(rows.values["obs"]),
            _actions(rows, n_actions),
            to_floats(to_team_reward(rewards, options, rows.where)),
            terminated[-1:],
            np.array([len(terminated)]),
            own_reward=to_own_rewards(rewards, options, rows.where),
            following=None if following is None else (to_floats(following[-1:]), known),
            left_out=left_out,
        )


def _actions(rows: Rows, n_actions: int | None) -> Array:
    """Floats `[T, N, A]` or integers `[T, N]`."""
    return (
        rows.values["actions"] if n_actions is None else whole_actions(_discrete(rows), n_actions, rows.where)
    )


def _discrete(rows: Rows) -> Array:
    actions = rows.values["actions"]
    if (actions.ndim > 2 and actions.shape[-1] != 1) or actions.dtype.kind == "f":
        raise DataError(
            f"{rows.where}: 'actions' are {actions.dtype} of shape {actions.shape[2:]} an agent; expected "
            "one whole number, as the first ones are. Actions of several parts cannot be read."
        )
    return actions.reshape(actions.shape[:2])


def _ends(rows: Rows, options: ReadOptions) -> tuple[Array, bool]:
    """Where the episode terminated `[T]`, and whether it just stops."""
    values = rows.values
    flags: dict[str, Array] = {
        name: np.asarray(rows.values[name].all(1)) for name in FLAGS if name in rows.values
    }
    steps = len(values["rewards"])
    length = np.array([steps])
    terminated = flags.get("terminateds", flags.get("dones", np.zeros(steps, bool)))
    truncated = flags.get("truncateds", np.zeros(steps, bool)) & ~terminated
    cut = not (terminated | truncated)[-1]
    if cut:
        if options.incomplete == "error":
            raise DataError(
                f"{rows.where} stops without an end after {steps} steps. Pass incomplete='truncated' to "
                "close it there."
            )
        truncated[-1] = True
    if "terminateds" in flags or cut:
        return relabel_ends(terminated, truncated, length, options)[0], cut
    return split_ends(terminated, length, options)[0], cut


def _require_in_order(rows: Rows, following: Array) -> None:
    """Raise where what was seen after a step is not what the next one has, or could not be."""
    seen = rows.values["obs"]
    if following.shape != seen.shape:
        shapes = f"{seen.shape[1:]}, got {following.shape[1:]}. Write both as the environment gives them."
        raise DataError(f"{rows.where}: 'new_obs' must have the shape of 'obs' in a step, {shapes}")
    jumps = (following[:-1] != seen[1:]).any((1, 2))
    if jumps.any():
        raise DataError(
            f"{rows.where}: 'new_obs' of step {int(jumps.argmax())} is not 'obs' of the next, in "
            f"{int(jumps.sum())} steps. Are the lines in the order of time, and whole episodes?"
        )
