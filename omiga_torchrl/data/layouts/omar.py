"""OMAR's data: a folder of ``.npy`` files, one per agent and field, one row per transition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from omiga_torchrl.data.agent_arrays import AgentArrays, Array, to_flags
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts.base import (
    Layout,
    Reading,
    ReadOptions,
    block_spans,
    relabel_ends,
    to_own_rewards,
    to_team_reward,
)
from omiga_torchrl.data.layouts.breaks import find_breaks
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.npy import to_single
from omiga_torchrl.data.layouts.omar_files import (
    OmarFiles,
    find_seeds,
    is_seed,
    one_seed,
    open_seed,
    rows_at_once,
)
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.steps import foreign_final
from omiga_torchrl.errors import DataError


@register_layout("omar", priority=20)
class OmarLayout(Layout):
    """The particle and HalfCheetah data of OMAR (Pan et al., 2022): the folder of one seed.

    Boundaries of episodes are not stored: an episode ends where all agents are done, and where
    an agent's next observation is not the observation of the next row. The latter, and the end
    of the file, are time-outs; the observation after them is known.

    The state is that of the agents' files if they agree, otherwise theirs in a row.

    The team are agent 0 and those after it of the same sizes. Agents of other sizes behind them
    are the prey of tag and world: their policy is part of the environment, unless the option
    ``groups`` asks for them: ``"all"``, or names with the numbers of their agents.
    """

    summary: ClassVar[str] = "OMAR's folder seed_{k}_data with obs_0.npy, acs_0.npy, ..."
    ignores: ClassVar[tuple[str, ...]] = ("delimiter_rows",)

    def matches(self, path: Path) -> bool:
        """Whether there are the files of agent 0, or folders of seeds that have them."""
        try:
            return is_seed(path) or bool(find_seeds(path))
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check all files, find the episodes, then stream them.

        Args:
            path: the folder of a seed, or one with a single such folder.
            options: how it is read; where agents' rewards differ (spread) ``team_reward``.

        Raises:
            DataError: missing files, wrong types or sizes; or there are several seeds.
        """
        team = open_seed(one_seed(path), options)
        notes = EndNotes()
        done, foreign, length = _find_episodes(team, notes)
        truncated = np.zeros_like(done)
        truncated[np.cumsum(length) - 1] = True
        notes.cut.append(~done[truncated])
        ends = relabel_ends(done, truncated & ~done, length, options)
        if (foreign & ends[1]).any():
            raise foreign_final(int((foreign & ends[1]).sum()), int(ends[1].sum()), team.where)
        blocks = _blocks(team, length, *ends, options)
        return Reading(blocks, team.rows, is_grouped=options.groups != "unpadded", ends=notes)


def _find_episodes(team: OmarFiles, notes: EndNotes) -> tuple[Array, Array, Array]:
    """Where all agents are done, where the next observation is another episode's `[T]`, and lengths `[E]`."""
    flags = to_flags(team.read("dones", 0, team.rows).reshape(team.rows, -1))
    if flags.dtype != bool:
        bad = flags[~np.isin(flags, (0, 1))][0]
        raise DataError(f"{team.where}: dones hold {bad}; expected zeros and ones. Are they OMAR's?")
    done: Array = np.asarray(flags.all(1))
    ended = done.copy()
    ended[-1] = True
    pairs = zip(team.files["obs"], team.files["next_obs"], strict=True)
    breaks, moves = find_breaks(pairs, team.rows, rows_at_once(team.files))
    foreign = notes.foreign_ends(done, moves & ~breaks)
    return done, foreign, np.diff(np.flatnonzero(ended | breaks), prepend=-1)


def _blocks(
    team: OmarFiles, length: Array, terminated: Array, truncated: Array, options: ReadOptions
) -> Iterator[Episodes]:
    offset = np.concatenate([[0], np.cumsum(length)])
    for first, last in block_spans(length, team.row_bytes):
        start, stop = int(offset[first]), int(offset[last])
        part = length[first:last]
        state = _rows(team, "states", start, stop, part) if "states" in team.files else None
        rewards = team.read("rews", start, stop).reshape(stop - start, -1)
        at = f"{team.where}, rows {start} to {stop - 1}"
        own = to_own_rewards(rewards, options, at)
        yield Episodes(
            groups={
                name: AgentArrays(
                    _rows(team, "obs", start, stop, part, agents),
                    team.read("acs", start, stop, agents),
                    reward=None if own is None else own[:, agents],
                )
                for name, agents in team.groups.items()
            },
            reward=to_team_reward(rewards, options, at),
            terminated=terminated[start:stop],
            truncated=truncated[start:stop],
            length=part,
            state=state,
        )


def _rows(
    team: OmarFiles, name: str, start: int, stop: int, length: Array, agents: Sequence[int] | None = None
) -> Array:
    """The rows of a block, with the next row behind the last one of every episode.

    States of all agents are joined to one row: those of unequal agents have no common shape.
    """
    final = np.cumsum(length + 1) - 1
    inner = np.ones(stop - start + len(length), bool)
    inner[final] = False
    columns = []
    for agent in range(len(team.files[name])) if agents is None else agents:
        out = np.empty((len(inner), *team.files[name][agent].shape[1:]), np.float32)
        out[inner] = to_single(team.files[name][agent][start:stop])
        out[final] = to_single(team.files[f"next_{name}"][agent][start:stop][np.cumsum(length) - 1])
        columns.append(out)
    return np.concatenate(columns, 1) if agents is None else np.stack(columns, 1)
