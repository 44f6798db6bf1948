"""The files of OMAR's folders: per field one per agent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.layouts.base import ReadOptions, require
from omiga_torchrl.data.layouts.npy import NpyFile, to_single
from omiga_torchrl.data.layouts.omar_groups import find_groups
from omiga_torchrl.data.spans import BLOCK_BYTES
from omiga_torchrl.errors import DataError

_FIELDS: Final = ("obs", "acs", "rews", "next_obs", "dones")
_FLAT: Final = ("rews", "dones")
_STATES: Final = ("states", "next_states")


@dataclass
class OmarFiles:
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
        """The folder, for messages."""
        return f"OfflineDataset: {self.folder}"

    @property
    def rows(self) -> int:
        """Number of transitions."""
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


def is_seed(path: Path) -> bool:
    """Whether a folder has the files of agent 0."""
    return all((path / f"{name}_0.npy").is_file() for name in ("obs", "acs", "next_obs"))


def find_seeds(path: Path) -> list[Path]:
    """Folders of seeds in a folder."""
    return sorted(folder for folder in path.glob("seed_*_data") if is_seed(folder)) if path.is_dir() else []


def one_seed(path: Path) -> Path:
    """The folder of a seed, or the only one in ``path``; a DataError if there is none or several."""
    if (path / "obs_0.npy").is_file():
        return path
    seeds = find_seeds(path)
    if len(seeds) != 1:
        raise DataError(
            f"OfflineDataset: {path} holds OMAR's data of {len(seeds)} seeds "
            f"({', '.join(folder.name for folder in seeds)}); expected one: each is a dataset of its own. "
            f"Pass {seeds[0] if seeds else 'a folder with obs_0.npy, acs_0.npy, ...'}."
        )
    return seeds[0]


def open_seed(folder: Path, options: ReadOptions) -> OmarFiles:
    """All files of the agents that are read, checked against each other.

    Args:
        folder: of one seed.
        options: say which agents form which group.

    Raises:
        DataError: missing files, or wrong types or sizes.
    """
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
    if fields != _FIELDS and _all_equal(files["states"], rows_at_once(files)):
        files |= {name: files[name][:1] for name in _STATES}
    return OmarFiles(folder, groups, files)


def rows_at_once(files: dict[str, list[NpyFile]]) -> int:
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
