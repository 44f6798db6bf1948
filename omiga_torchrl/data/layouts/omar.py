"""OMAR's data: a folder of ``.npy`` files, one per agent and field, one row per transition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts.base import (
    Layout,
    Reading,
    ReadOptions,
    block_spans,
    relabel_ends,
    require,
    to_own_rewards,
    to_team_reward,
)
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.npy import NpyFile, to_single
from omiga_torchrl.data.layouts.omar_groups import find_groups
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.steps import foreign_final
from omiga_torchrl.data.spans import BLOCK_BYTES
from omiga_torchrl.errors import DataError

_FIELDS: Final = ("obs", "acs", "rews", "next_obs", "dones")
_FLAT: Final = ("rews", "dones")
_STATES: Final = ("states", "next_states")


@dataclass
class _Files:
    """The files of one seed: per field one per agent.

    Attributes:
        folder: where they are.
        groups: name of every group to the numbers of its agents in ``files``.
        files: per field one file per agent; a state that all agents share has one.
    """

    folder: Path
    groups: dict[str, list[int]]
    files: dict[str, list[NpyFile]]

    @property
    def where(self) -> str:
        return f"OfflineDataset: {self.folder}"

    @property
    def rows(self) -> int:
        return len(self.files["obs"][0])

    @property
    def row_bytes(self) -> int:
        """Bytes of one transition in the files."""
        return sum(file.row_bytes for files in self.files.values() for file in files)

    def read(self, name: str, first: int, last: int, agents: Sequence[int] | None = None) -> Array:
        """Rows of some agents `[rows, N, F]`, or `[rows, N]`; in single precision."""
        files = self.files[name] if agents is None else [self.files[name][agent] for agent in agents]
        rows = [to_single(file[first:last]) for file in files]
        return np.stack([one.reshape(len(one)) for one in rows] if name in _FLAT else rows, 1)


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

    def matches(self, path: Path) -> bool:
        """Whether there are the files of agent 0, or folders of seeds that have them."""
        try:
            return _is_seed(path) or bool(_seeds(path))
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
        team = _open(_one_seed(path), options)
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


def _is_seed(path: Path) -> bool:
    return all((path / f"{name}_0.npy").is_file() for name in ("obs", "acs", "next_obs"))


def _seeds(path: Path) -> list[Path]:
    return sorted(folder for folder in path.glob("seed_*_data") if _is_seed(folder)) if path.is_dir() else []


def _one_seed(path: Path) -> Path:
    if (path / "obs_0.npy").is_file():
        return path
    seeds = _seeds(path)
    if len(seeds) != 1:
        raise DataError(
            f"OfflineDataset: {path} holds OMAR's data of {len(seeds)} seeds "
            f"({', '.join(folder.name for folder in seeds)}); expected one: each is a dataset of its own. "
            f"Pass {seeds[0] if seeds else 'a folder with obs_0.npy, acs_0.npy, ...'}."
        )
    return seeds[0]


def _open(folder: Path, options: ReadOptions) -> _Files:
    """All files of the agents that are read, checked against each other."""
    n_agents = next(i for i in count() if not any((folder / f"{x}_{i}.npy").is_file() for x in _FIELDS))
    fields = _FIELDS + _STATES if (folder / "states_0.npy").is_file() else _FIELDS
    names = [f"{name}_{i}.npy" for i in range(n_agents) for name in fields]
    where = f"OfflineDataset: {folder}"
    require([f"{name} is missing" for name in names if not (folder / name).is_file()], where)
    agents = [{name: NpyFile.open(folder / f"{name}_{i}.npy") for name in fields} for i in range(n_agents)]
    sizes = [(agent["obs"].shape[1:], agent["acs"].shape[1:]) for agent in agents]
    numbers = find_groups(sizes, options, where)
    found = [
        problem
        for group in numbers.values()
        for i in group
        for problem in _problems(i, agents[i], agents[group[0]], len(agents[0]["obs"]))
    ]
    require(found, where)
    chosen = [i for group in numbers.values() for i in group]
    groups = {name: [chosen.index(i) for i in group] for name, group in numbers.items()}
    files = {name: [agents[i][name] for i in chosen] for name in fields}
    if fields != _FIELDS and _all_equal(files["states"], _chunk(files)):
        files |= {name: files[name][:1] for name in _STATES}
    return _Files(folder, groups, files)


def _chunk(files: dict[str, list[NpyFile]]) -> int:
    """Rows to read at a time."""
    return max(BLOCK_BYTES // sum(file.row_bytes for per_agent in files.values() for file in per_agent), 1)


def _all_equal(files: list[NpyFile], chunk: int) -> bool:
    spans = [slice(i, i + chunk) for i in range(0, len(files[0]), chunk)]
    return all(np.array_equal(files[0][span], file[span]) for span in spans for file in files[1:])


def _problems(index: int, agent: dict[str, NpyFile], first: dict[str, NpyFile], rows: int) -> Iterator[str]:
    if not rows:
        yield f"obs_{index}.npy is empty"
    for name, file in agent.items():
        flat = name in _FLAT
        expected = (rows,) if flat else (rows, *first[name.removeprefix("next_")].shape[1:])
        shape = file.shape[:1] if flat and file.shape[1:] == (1,) else file.shape
        if shape != expected or len(expected) != 2 - flat:
            yield f"{name}_{index}.npy has shape {file.shape}, expected {expected if flat else (rows, 'F')}"


def _find_episodes(team: _Files, notes: EndNotes) -> tuple[Array, Array, Array]:
    """Where all agents are done, where the next observation is another episode's `[T]`, and lengths `[E]`."""
    flags = team.read("dones", 0, team.rows).reshape(team.rows, -1)
    if not np.isin(flags, (0, 1)).all():
        bad = flags[~np.isin(flags, (0, 1))][0]
        raise DataError(f"{team.where}: dones hold {bad}; expected zeros and ones. Are they OMAR's?")
    done: Array = (flags == 1).all(1)
    ended = done.copy()
    ended[-1] = True
    step, moves = _chunk(team.files), np.zeros_like(done)
    breaks = moves.copy()
    for first in range(0, team.rows - 1, step):
        last = min(first + step, team.rows - 1)
        for now, after in zip(team.files["obs"], team.files["next_obs"], strict=True):
            # As they are read: files of one folder may differ in their precision.
            here = to_single(now[first : last + 1])
            breaks[first:last] |= (to_single(after[first:last]) != here[1:]).any(1)
            moves[first:last] |= (here[:-1] != here[1:]).any(1)
    foreign = notes.foreign_ends(done, moves & ~breaks)
    return done, foreign, np.diff(np.flatnonzero(ended | breaks), prepend=-1)


def _blocks(
    team: _Files, length: Array, terminated: Array, truncated: Array, options: ReadOptions
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
    team: _Files, name: str, start: int, stop: int, length: Array, agents: Sequence[int] | None = None
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
