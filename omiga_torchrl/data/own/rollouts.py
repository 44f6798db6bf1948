"""TensorDicts of TorchRL's rollouts, collectors and buffers as own data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import ReplayBuffer

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import group_names
from omiga_torchrl.errors import DataError

Rollouts: TypeAlias = "TensorDictBase | ReplayBuffer | str | Path | Iterable[TensorDictBase]"
"""One or several TensorDicts `[T]` or `[B, T]`, a buffer of such, or the folder of a memory-mapped one."""

_TRAJECTORY = ("collector", "traj_ids")
_VALID = ("collector", "mask")
# Entries of a group, by our names: PettingZoo's wrapper calls the mask of agents "mask".
_AGENTS: Final = {
    "observation": ("observation",),
    "action": ("action",),
    "action_mask": ("action_mask",),
    "agent_mask": ("agent_mask", "mask"),
}


def tensordicts_of(rollouts: Rollouts, where: str) -> Iterable[TensorDictBase]:
    """The TensorDicts in ``rollouts``.

    Args:
        rollouts: see :data:`Rollouts`.
        where: for messages.

    Raises:
        DataError: something else, or a folder without a TensorDict.
    """
    if isinstance(rollouts, TensorDictBase):
        return [rollouts]
    if isinstance(rollouts, ReplayBuffer):
        return [rollouts[:]]
    if isinstance(rollouts, str | Path):
        folder = Path(rollouts)
        if not (folder / "meta.json").is_file():
            raise DataError(
                f"{where}: {folder} holds no memory-mapped TensorDict; expected its meta.json. Pass the "
                "folder that memmap_ wrote (of a buffer: its storage)."
            )
        return [TensorDict.load_memmap(folder)]
    return rollouts


def trajectories(tensordicts: Iterable[TensorDictBase], where: str) -> Iterator[TensorDictBase]:
    """Runs `[T]` of steps that follow each other.

    With TorchRL's numbers of trajectories, ``("collector", "traj_ids")``, a run is of whole trajectories,
    their pieces in several TensorDicts put together, in the order in which they end; else it is a row of a
    TensorDict.

    Args:
        tensordicts: `[T]` or `[B, T]`.
        where: for messages.

    Raises:
        DataError: something is no TensorDict, or has no or more than two batch dimensions.
    """
    unfinished: dict[int, list[TensorDictBase]] = {}
    for index, one in enumerate(tensordicts):
        if not isinstance(one, TensorDictBase) or one.batch_dims not in (1, 2):
            told = tuple(one.batch_size) if isinstance(one, TensorDictBase) else type(one).__name__
            raise DataError(
                f"{where}: rollout {index} is {told}; expected a TensorDict of the batch size [T] or [B, T]."
            )
        for row in one.unbind(0) if one.batch_dims == 2 else [one]:
            valid = row.get(_VALID, None)
            row = row if valid is None else row[valid]
            if not len(row):
                continue
            if row.get(_TRAJECTORY, None) is None:
                yield row
            else:
                yield from _finished(row, unfinished)
    for pieces in unfinished.values():
        yield torch.cat(pieces)


def _finished(row: TensorDictBase, unfinished: dict[int, list[TensorDictBase]]) -> Iterator[TensorDictBase]:
    """Runs of whole trajectories; pieces of those that go on are put into ``unfinished``."""
    numbers = row[_TRAJECTORY].reshape(len(row)).cpu().numpy()
    borders = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(row)]
    done = row.get(("next", keys.DONE), torch.zeros(len(row), 1, dtype=torch.bool))
    ended = done.reshape(len(row), -1).any(1).cpu().numpy()
    whole = 0  # where the trajectories begin that are whole in this row and not handed out yet
    for first, last in itertools.pairwise(borders):
        number = int(numbers[first])
        if ended[last - 1] and number not in unfinished:
            continue
        if whole < first:
            yield row[whole:first]
        whole = last
        unfinished.setdefault(number, []).append(row[first:last])
        if ended[last - 1]:
            yield torch.cat(unfinished.pop(number))
    if whole < len(row):
        yield row[whole:]


def to_given(run: TensorDictBase, where: str) -> dict[str, Any]:
    """Own data by the names of :data:`omiga_torchrl.data.own.runs.NAMES`, of a run `[T]`.

    Args:
        run: of a team with groups, or of one agent with all entries at the root.
        where: for messages.

    Raises:
        DataError: an entry is missing.
    """
    groups = group_names(run)
    following = run.get("next", TensorDict({}, run.batch_size))
    given: dict[str, Any] = {}
    for prefix, part in (("", run), ("next_", following)):
        for name, aliases in _AGENTS.items():
            if not groups:
                given[prefix + name] = part.get(name, None)
                continue
            found = _present({group: _first(part, group, aliases) for group in groups})
            given[prefix + name] = found or None
    if given["observation"] is None:
        raise DataError(
            f"{where}: there is no entry (group, 'observation') in the TensorDict, got "
            f"{sorted(map(str, run.keys(True, True)))}. Rename its entries with rename_key_."
        )
    given.pop("next_action")
    given["episode"] = run.get(_TRAJECTORY, None)
    given["state"], given["next_state"] = (part.get(keys.STATE, None) for part in (run, following))
    return _present({**given, **_of_team(following, groups, where)})


def _first(part: TensorDictBase, group: str, names: tuple[str, ...]) -> Any:
    found = (part.get((group, name), None) for name in names)
    return next((one for one in found if one is not None), None)


def _of_team(following: TensorDictBase, groups: list[str], where: str) -> dict[str, Any]:
    """Rewards and flags: those of the team, or else of every agent."""
    given: dict[str, Any] = {}
    for name in (keys.REWARD, keys.TERMINATED, keys.TRUNCATED):
        of_team = following.get(name, None)
        of_groups = _present({group: following.get((group, name), None) for group in groups})
        whole = of_groups if groups and len(of_groups) == len(groups) else None
        given[name] = whole if of_team is None else of_team
        if name == keys.REWARD and of_team is not None:
            given["agent_reward"] = whole
    if given[keys.TERMINATED] is None and following.get(keys.DONE, None) is not None:
        raise DataError(
            f"{where}: ('next', 'done') is there and ('next', 'terminated') is not, so that time-outs "
            "cannot be told from ends of the task. Set ('next', 'terminated') in the TensorDict."
        )
    return given


def _present(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if value is not None}
