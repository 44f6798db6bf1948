"""From a run of steps to whole episodes, with what was seen after their last steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts.base import relabel_ends
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.layouts.steps import StepRows, find_step_rows
from omiga_torchrl.data.own.ends import find_lengths
from omiga_torchrl.data.own.runs import PER_ROW, Run
from omiga_torchrl.data.spans import block_spans
from omiga_torchrl.errors import DataError

# Rows that are compared at once.
_PIECE_ROWS = 2**14
# Time-outs followed by what the next episode begins with, which are no chance where few things can be seen.
_TIMES = 3


@dataclass(frozen=True)
class _Rows:
    """One array with a row per observation, as it was given.

    Attributes:
        values: `[T, ...]`, or `[T + E, ...]`.
        following: one step later `[T, ...]`.
        steps: number of steps T.
    """

    values: Array
    following: Array | None
    steps: int

    @property
    def is_complete(self) -> bool:
        """Whether the rows after the last steps are known."""
        return self.following is not None or len(self.values) > self.steps

    def take(self, steps: slice, rows: slice, plan: StepRows, last: Array) -> Array:
        """The rows `[T + E, ...]` of the episodes in ``steps``.

        Args:
            steps: of some episodes.
            rows: the same with one more for every episode, where there is one.
            plan: which rows become observations.
            last: the last one of every episode, counted in ``steps`` `[E]`.
        """
        if len(self.values) > self.steps:
            return self.values[rows]
        taken = self.values[steps][plan.row]
        if self.following is not None:
            taken[np.cumsum(plan.length + 1) - 1] = self.following[steps][last]
        return taken


def cut_run(run: Run, length: Array, options: ReadOptions, left_out: LeftOut) -> Iterator[Episodes]:
    """The whole episodes of a run, some at a time.

    An episode that stops without a flag, at the end of the data or where ``"episode"`` changes, counts as
    truncated. What was seen after the last step is the row behind it, or ``next_observation``. Where neither
    is given, a terminated step needs none, and a truncated one is left out.

    Args:
        run: the steps.
        length: steps of every episode, see :func:`find_episodes`.
        options: how they are read.
        left_out: takes in the steps that are left out.

    Raises:
        DataError: what follows is known of some arrays only.
    """
    entries = _entries(run)
    last = np.cumsum(length) - 1
    marked = np.zeros((2, run.steps), bool)
    marked[0, last] = run.team["terminated"][last]
    marked[1, last] = ~marked[0, last]
    terminated = relabel_ends(marked[0], marked[1], length, options)[0][last]
    is_complete = _require_same_ends(run, entries, ~terminated)
    size = sum(one.values[:1].nbytes for one in entries.values())
    offset = np.concatenate([[0], np.cumsum(length)])
    for first, stop in block_spans(length, size):
        steps = slice(int(offset[first]), int(offset[stop]))
        span = length[first:stop]
        known = terminated[first:stop] | is_complete
        left_out.add(run.team["reward"][steps], span, ~known)
        plan = find_step_rows(terminated[first:stop], span, known)
        if len(plan.length):
            rows = slice(steps.start + first, steps.stop + stop)
            inside = {key: one.take(steps, rows, plan, np.cumsum(span) - 1) for key, one in entries.items()}
            yield _episodes(run, inside, steps, plan)


def _entries(run: Run) -> dict[tuple[str, str], _Rows]:
    """All arrays with a row per observation, by group and name; the state's group is ``""``."""
    entries = {
        (group, name): _Rows(array, run.groups.get(f"next_{name}", {}).get(group), run.steps)
        for name in PER_ROW
        for group, array in run.groups.get(name, {}).items()
    }
    if "state" in run.team:
        entries["", "state"] = _Rows(run.team["state"], run.team.get("next_state"), run.steps)
    return entries


def find_episodes(run: Run, options: ReadOptions) -> Array:
    """Steps of every episode of a run `[E]`.

    Args:
        run: the steps.
        options: how they are read; ``incomplete="truncated"`` ends episodes where observations jump.

    Raises:
        DataError: rows that are not in order, or not as many as there have to be.
    """
    observations = run.groups["observation"]
    rows = {len(one) for one in observations.values()}
    if len(rows) > 1:
        raise DataError(
            f"{run.where}: 'observation' must have the same number of rows in every group, got "
            f"{sorted(rows)}. Give one row a step for all of them."
        )
    jumps = _find_jumps(run)
    team = run.team
    own = jumps if options.incomplete == "truncated" else None if jumps is None else jumps & False
    length = find_lengths(
        team["terminated"], team["truncated"], team.get("episode"), own, rows.copy().pop(), run.where
    )
    _require_count(run, len(length))
    if jumps is not None:
        _require_own_ends(run, jumps, np.cumsum(length)[:-1] - 1)
        jumps[np.cumsum(length) - 1] = False
        if jumps.any():
            raise DataError(
                f"{run.where}: 'next_observation' of row {int(jumps.argmax())} is not the 'observation' of "
                f"the next row, in {int(jumps.sum())} of {run.steps} rows, where no episode ends. Sort the "
                "rows by time, mark the ends, or pass incomplete='truncated', which ends an episode there."
            )
    return length


def _require_own_ends(run: Run, jumps: Array, last: Array) -> None:
    """Raise where what follows a time-out is the first observation of the next episode.

    Environments that reset by themselves return it; a value learner would bootstrap from the wrong place.
    """
    late = last[run.team["truncated"][last] & ~run.team["terminated"][last]]
    observations = run.groups["observation"].values()
    moves = np.array([any((one[row] != one[row + 1]).any() for one in observations) for row in late], bool)
    found = late[~jumps[late] & moves]
    if len(found) and (not _repeats(run) or len(found) == moves.sum() >= _TIMES):
        raise DataError(
            f"{run.where}: 'next_observation' of the truncated row {int(found[0])} is the first "
            f"'observation' of the next episode, as in {len(found)} of {len(late)} such rows: the "
            "environment was reset there. Give what was seen before the reset (info['final_observation'] or "
            "the like), or leave next_observation= out."
        )


def _repeats(run: Run) -> bool:
    """Whether the team sees the same twice, so that two episodes may well meet in one observation."""
    seen = np.concatenate(
        [one[: run.steps].reshape(run.steps, -1) for one in run.groups["observation"].values()], 1
    )
    return len(np.unique(seen, axis=0)) < run.steps


def _require_count(run: Run, episodes: int) -> None:
    found = [
        f"{name!r} has {len(one.values)} rows"
        for (_, name), one in _entries(run).items()
        if len(one.values) not in (run.steps, run.steps + episodes)
    ]
    if found:
        raise DataError(
            f"{run.where}: {'; '.join(found)}; expected one for each of {run.steps} steps, or one more for "
            f"each of {episodes} episodes, {run.steps + episodes}. Are all ends marked?"
        )


def _find_jumps(run: Run) -> Array | None:
    """Rows `[T]` whose next observation is not that of the next row; ``None`` if there are none."""
    following, jumps = run.groups.get("next_observation"), np.zeros(run.steps, bool)
    if following is None:
        return None
    for group, after in following.items():
        here, present = run.groups["observation"][group], run.groups.get("agent_mask", {}).get(group)
        for start in range(0, run.steps - 1, _PIECE_ROWS):
            stop = min(start + _PIECE_ROWS, run.steps - 1)
            differs = after[start:stop].astype(np.float32) != here[start + 1 : stop + 1].astype(np.float32)
            if present is not None:
                differs &= present[start + 1 : stop + 1, :, None]
            jumps[start:stop] |= differs.any((1, 2))
    return jumps


def _require_same_ends(run: Run, entries: dict[tuple[str, str], _Rows], cut: Array) -> bool:
    """Whether the rows after last steps are known; raise if truncated episodes lack some of them."""
    complete = {key: one.is_complete for key, one in entries.items()}
    if cut.any() and len(set(complete.values())) > 1:
        without = sorted({name for (_, name), known in complete.items() if not known})
        known = sorted({name for (_, name), known in complete.items() if known})
        raise DataError(
            f"{run.where}: after the last step of {int(cut.sum())} truncated episodes {known} are known and "
            f"{without} are not. Pass {', '.join(f'next_{name}=' for name in without)} too, or give all "
            "arrays with one row more per episode."
        )
    return all(complete.values())


def _episodes(run: Run, rows: dict[tuple[str, str], Array], steps: slice, plan: StepRows) -> Episodes:
    def of_group(group: str) -> AgentArrays:
        arrays = {name: value for (of, name), value in rows.items() if of == group}
        own = run.groups.get("reward")
        return AgentArrays(
            **arrays,
            action=run.groups["action"][group][steps][plan.is_step],
            reward=None if own is None else own[group][steps][plan.is_step],
        )

    return Episodes(
        groups={group: of_group(group) for group in run.groups["observation"]},
        reward=run.team["reward"][steps][plan.is_step],
        terminated=plan.terminated,
        truncated=plan.truncated,
        length=plan.length,
        state=rows.get(("", "state")),
    )
