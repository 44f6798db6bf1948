"""Own data whose episodes end with a row that is no step: delimiters, as in OMIGA's HDF5 files."""

from __future__ import annotations

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.layouts.delimiters import find_delimiters
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.own.runs import PER_ROW, Run
from omiga_torchrl.errors import DataError

_FLAGS = ("terminated", "truncated")


class DelimiterRows:
    """Takes the delimiters of own data out of their steps, and tells of rows that may be some.

    A delimiter has no action and no reward, only what was seen at last. Without them the arrays have one row
    more an episode than steps. Either all episodes of a run have one, or none. Rows of whole arrays are
    looked at by :func:`~omiga_torchrl.data.layouts.delimiters.find_delimiters`; of episodes that are given
    one by one only ``delimiter_rows=True`` makes the last row a delimiter, but it is said if all of them
    look like one.

    Args:
        options: ``delimiter_rows``.
        notes: takes in what is found.
    """

    def __init__(self, options: ReadOptions, notes: EndNotes) -> None:
        self._told, self._notes = options.delimiter_rows, notes
        self._episodes = self._idle_ends = self._idle_steps = 0

    def remove(self, run: Run, *, is_episode: bool) -> None:
        """Make the delimiters of a run the rows behind the last steps of its episodes.

        Args:
            run: its arrays are replaced.
            is_episode: whether it is one whole episode.

        Raises:
            DataError: ``delimiter_rows=True`` where what follows the last steps is given, or rows may be
                either.
        """
        if not _has_row_a_step(run) or run.steps < 2:
            if self._told:
                raise DataError(
                    f"{run.where}: delimiter_rows=True, but what follows the last steps is given "
                    "(next_observation, or a row more an episode than steps). Leave delimiter_rows out."
                )
            return
        idle, last = _idle(run), _last_rows(run)
        if is_episode and self._told is None:
            self._count(idle)
            return
        terminated = run.team["terminated"]
        late = run.team["truncated"] | (last & ~terminated)
        # Hardly any step has a continuous action of zero, and no one a one-hot vector of zeros.
        vectors = all(
            one.ndim == 3 and (one.dtype.kind == "f" or one.shape[-1] > 1)
            for one in run.groups["action"].values()
        )
        found = find_delimiters(terminated, late, idle, self._told, vectors, run.where)
        rest = _ends_without(found, terminated | late)
        if found.any() and rest:
            self._notes.note(
                f"{int(found.sum())} episodes end with a row that has neither action nor reward, like "
                f"delimiters that hold what was seen at last, and {rest} do not; they are taken for steps. "
                "Remove those that are none, or pass delimiter_rows=False."
            )
        elif found.any():
            _take_out(run, found)
            self._notes.drop("delimiter rows", int(found.sum()))

    def _count(self, idle: Array) -> None:
        self._episodes += 1
        self._idle_ends += int(idle[-1])
        self._idle_steps += int(idle[:-1].sum())

    def tell(self) -> None:
        """Note episodes given one by one whose last rows all look like delimiters."""
        if self._episodes > 1 and self._idle_ends == self._episodes and not self._idle_steps:
            self._notes.note(
                f"The last rows of all {self._episodes} episodes, and no others, have neither action nor "
                "reward, like delimiters that hold what was seen at last. Pass delimiter_rows=True if they "
                "are no steps, False if they are."
            )


def _has_row_a_step(run: Run) -> bool:
    """Whether nothing is given of what follows the last steps."""
    rows = [array for name in PER_ROW for array in run.groups.get(name, {}).values()]
    rows += [run.team["state"]] if "state" in run.team else []
    following = any(name.startswith("next_") for name in (*run.groups, *run.team))
    return not following and all(len(array) == run.steps for array in rows)


def _idle(run: Run) -> Array:
    """Rows without action and reward `[T]`."""
    idle = np.asarray(run.team["reward"] == 0)
    for action in run.groups["action"].values():
        idle = idle & ~action.reshape(run.steps, -1).any(1)
    return np.asarray(idle)


def _last_rows(run: Run) -> Array:
    """The last rows of episodes by their numbers `[T]`, in which no flag is set before."""
    last = np.zeros(run.steps, bool)
    if "episode" in run.team:
        numbers = run.team["episode"]
        last = np.append(numbers[1:] != numbers[:-1], True)
        flagged = run.team["terminated"] | run.team["truncated"]
        last &= ~np.append(False, flagged[:-1])
    return last


def _ends_without(found: Array, marked: Array) -> int:
    """How many episodes have no delimiter behind a step of their own."""
    followed = np.append(found[1:], False)
    alone = found & np.append(True, marked[:-1]) & marked
    unmarked_end = not found[-1] and not marked[-1]
    return int((marked & ~found & ~followed).sum() + alone.sum() + unmarked_end)


def _take_out(run: Run, found: Array) -> None:
    """Leave the rows out of all arrays with a row a step; a flag goes to the step before."""
    for name in _FLAGS:
        flag = run.team[name]
        run.team[name] = flag | np.append((found & flag)[1:], False)
    for name in ("reward", *_FLAGS, "episode"):
        if name in run.team:
            run.team[name] = run.team[name][~found]
    for name in ("action", "reward"):
        if name in run.groups:
            run.groups[name] = {group: array[~found] for group, array in run.groups[name].items()}
