"""The lines of RLlib's JSON files, put together to episodes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.errors import DataError

_NEEDED: Final = ("obs", "actions", "rewards")
FLAGS: Final = ("terminateds", "truncateds", "dones")
_READ: Final = (*_NEEDED, *FLAGS, "new_obs", "action_dist_inputs", "t")
_TYPES: Final = ("SampleBatch", "MultiAgentBatch")
_TYPE: Final = re.compile(rb'"type":\s*"(SampleBatch|MultiAgentBatch)"')
_FIRST_BYTES: Final = 4096
_UNKNOWN: Final = -1  # number of all episodes where none is given

# Of one agent, by the names of columns.
Columns = dict[str, Array]
# An agent is the name of its policy, and its number.
Agents = dict[tuple[str, int], Columns]


@dataclass(frozen=True)
class Rows:
    """One episode.

    Attributes:
        values: columns `[T, N, ...]`, all agents in order.
        where: its file and number, for messages.
    """

    values: Columns
    where: str


def json_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder in the order of their names."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in (".json", ".jsonl"))
    return [path] if path.suffix in (".json", ".jsonl") else []


def is_batch(file: Path) -> bool:
    """Whether a file begins as a batch does."""
    with file.open("rb") as opened:
        first = opened.read(_FIRST_BYTES)
    return first.lstrip()[:1] == b"{" and _TYPE.search(first) is not None


def read_episodes(path: Path) -> Iterator[Rows]:
    """All episodes of a file or folder; those of one file in the order in which they end.

    Args:
        path: the file or folder.

    Raises:
        DataError: lines that are damaged, or columns that are missing, packed or do not fit.
    """
    for file in json_files(path):
        # Pieces of the episodes that go on, by their ids.
        waiting: dict[Any, list[Agents]] = {}
        over: set[Any] = set()
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                where = f"OfflineDataset: {file}, line {number}"
                for episode, piece, has_ended in _pieces(_parse(line, where), where):
                    if episode in over:
                        raise DataError(
                            f"{where}: episode {episode} goes on after its end. Is the number that of one?"
                        )
                    waiting.setdefault(episode, []).append(piece)
                    if has_ended:
                        over.update({episode} - {_UNKNOWN})
                        yield _joined(waiting.pop(episode), f"{where}, episode {episode}")
        for episode, pieces in waiting.items():
            yield _joined(pieces, f"OfflineDataset: {file}, episode {episode}")


def _parse(line: str, where: str) -> Agents:
    """The columns of all agents of a line."""
    if not line.strip():
        return {}
    try:
        batch = json.loads(line)
        policies = {"": batch} if batch["type"] == _TYPES[0] else batch["policy_batches"]
        if batch["type"] not in _TYPES:
            raise ValueError(f"its type is {batch['type']!r}")
        found: Agents = {}
        for policy, columns in policies.items():
            arrays = _columns(columns, where)
            agents = arrays.pop("agent_index", np.zeros(len(arrays["rewards"]), np.int64))
            for agent in np.unique(agents).tolist():
                found[policy, agent] = {name: values[agents == agent] for name, values in arrays.items()}
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{where} is no batch of RLlib's: {error!r:.100}. Is the file complete?") from error
    return found


def _columns(columns: dict[str, Any], where: str) -> Columns:
    """The columns that are read, as arrays of as many rows."""
    packed = [name for name in _READ if isinstance(columns.get(name), str)]
    if packed:
        raise DataError(
            f"{where}: {packed} are packed: compressed pickles, which may do anything when they are loaded, "
            "and are not read. Write them plainly, JsonWriter(path, compress_columns=[]) (or "
            "output_compress_columns=[] in the configuration); RLlib's JsonReader reads the packed ones."
        )
    missing = [name for name in _NEEDED if name not in columns]
    if missing or not any(name in columns for name in FLAGS):
        raise DataError(f"{where}: {missing or list(FLAGS)} are missing; there are {sorted(columns)}.")
    names = [name for name in (*_READ, "eps_id", "agent_index") if columns.get(name) is not None]
    arrays = {name: np.asarray(columns[name]) for name in names}
    rows = len(arrays["rewards"])
    for name, values in arrays.items():
        if values.dtype.kind not in "biuf" or values.shape[:1] != (rows,):
            raise DataError(
                f"{where}: {name!r} is {values.dtype} of shape {values.shape}, expected {rows} rows of "
                "numbers."
            )
    vectors = ("obs", "new_obs", "actions", "action_dist_inputs")
    found = [name for name, values in arrays.items() if values.ndim > 1 + (name in vectors)]
    if found:
        raise DataError(f"{where}: {found} have too many dimensions; images, for one, cannot be read.")
    for name in FLAGS:
        if name in arrays and not np.isin(arrays[name], (0, 1)).all():
            raise DataError(f"{where}: {name!r} holds other values than true and false.")
    return arrays | {name: arrays[name] != 0 for name in FLAGS if name in arrays}


def _pieces(agents: Agents, where: str) -> Iterator[tuple[Any, Agents, bool]]:
    """The pieces of episodes in a line: id, columns of all agents, and whether it ends there."""
    cut: dict[tuple[Any, int], Agents] = {}
    for agent, columns in agents.items():
        numbers = columns.get("eps_id", np.full(len(columns["rewards"]), _UNKNOWN))
        ended = np.logical_or.reduce([columns[name] for name in FLAGS if name in columns])
        last = ended | np.append(numbers[1:] != numbers[:-1], True)
        for index, (start, stop) in enumerate(_spans(last)):
            piece = {name: values[start:stop] for name, values in columns.items() if name != "eps_id"}
            cut.setdefault((numbers[start].item(), index), {})[agent] = piece
    for (episode, _), shared in sorted(cut.items(), key=lambda one: one[0][1]):
        if len(shared) != len(agents) or len({len(columns["rewards"]) for columns in shared.values()}) > 1:
            raise DataError(
                f"{where}: the agents {sorted(agents)} do not take part in the same steps of episode "
                f"{episode}; agents that come and go cannot be read from RLlib's files."
            )
        flags = next(iter(shared.values()))
        yield episode, shared, bool(any(flags[name][-1] for name in FLAGS if name in flags))


def _spans(last: Array) -> Iterator[tuple[int, int]]:
    stops = np.flatnonzero(last) + 1
    yield from zip(np.append(0, stops[:-1]).tolist(), stops.tolist(), strict=True)


def _joined(pieces: list[Agents], where: str) -> Rows:
    """One episode of its pieces."""
    agents = sorted(pieces[0])
    kinds = [
        {name: (values.dtype.kind, values.shape[1:]) for name, values in columns.items()}
        for piece in pieces
        for columns in piece.values()
    ]
    if any(sorted(piece) != agents for piece in pieces) or any(kind != kinds[0] for kind in kinds):
        raise DataError(
            f"{where}: agents or columns change within it, or agents {agents} have other spaces; expected "
            "one team of equal agents. Bring others in by OfflineDataset.from_episodes."
        )
    columns = [
        {name: np.concatenate([piece[agent][name] for piece in pieces]) for name in kinds[0]}
        for agent in agents
    ]
    values = {name: np.stack([one[name] for one in columns], 1) for name in kinds[0]}
    steps = values.pop("t", None)
    if steps is not None and (np.diff(steps, axis=0) != 1).any():
        raise DataError(f"{where}: its steps 't' do not follow each other; are lines missing?")
    flags = [name for name in FLAGS if name in values]
    if any((values[name].any(1) != values[name].all(1)).any() for name in flags):
        raise DataError(f"{where}: some agents end before others, which cannot be read from RLlib's files.")
    vectors = ["obs", "new_obs", *(["actions"] if values["actions"].dtype.kind == "f" else [])]
    for name in vectors:
        if name in values and values[name].ndim == 2:
            values[name] = values[name][..., None]
    return Rows(values, where)
