"""`Run`: consecutive steps of one or several episodes, in one form whatever they were given in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.layouts.base import to_floats, to_own_rewards, to_team_reward
from omiga_torchrl.data.own.ends import team_ends
from omiga_torchrl.data.own.facts import Facts
from omiga_torchrl.data.own.forms import Form, find_form
from omiga_torchrl.data.own.stacking import stack_steps
from omiga_torchrl.data.own.step_dicts import is_step_dicts
from omiga_torchrl.data.own.values import to_actions, to_array, to_flags
from omiga_torchrl.errors import DataError, unknown_name

PER_ROW: Final = ("observation", "action_mask", "agent_mask")
_FOLLOWING: Final = tuple(f"next_{name}" for name in PER_ROW)
_NEEDED: Final = ("observation", "action", "reward", "terminated")
NAMES: Final = (
    *_NEEDED,
    "truncated",
    "episode",
    "agent_reward",
    "state",
    "next_state",
    *PER_ROW[1:],
    *_FOLLOWING,
)
"""Entries of own data, by the names of the arguments of ``OfflineDataset.from_arrays``."""

# Number of dimensions of what is given of the agents of a group.
_DIMS: Final = {"observation": (3,), "action": (2, 3), "action_mask": (3,), "agent_mask": (2,)}
_SHAPES: Final = {
    "observation": "[T, N, O]",
    "action": "[T, N, A], or [T, N] of whole numbers",
    "action_mask": "[T, N, K]",
    "agent_mask": "[T, N]",
}

ByGroup = dict[str, Array]


@dataclass
class Run:
    """T steps in a row.

    Attributes:
        form: how they were given.
        groups: ``"observation"``, ``"next_observation"``, ... to the arrays of the groups, `[T, N, ...]`, or
            `[T + E, N, ...]` with the row after the last step of every episode.
        team: ``"reward"``, ``"terminated"``, ``"truncated"`` and perhaps ``"episode"`` `[T]`, ``"state"`` and
            ``"next_state"``.
        n_actions: number of discrete actions of every group, where it is known.
        where: for messages.
    """

    form: Form
    groups: dict[str, ByGroup]
    team: dict[str, Array]
    n_actions: dict[str, int]
    where: str

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return len(self.team["reward"])


def read_run(given: Mapping[str, Any], facts: Facts, where: str) -> Run:
    """Own data of one run in the one form.

    Args:
        given: by the names in :data:`NAMES`; ``None`` is not given.
        facts: of all runs.
        where: for messages.

    Raises:
        DataError: names the array, what it is, what was expected and the likely fix.
    """
    for name in given:
        if name not in NAMES:
            raise unknown_name(where, "array", name, NAMES)
    arrays = {name: value for name, value in given.items() if value is not None}
    missing = [name for name in _NEEDED if name not in arrays]
    if missing:
        raise DataError(
            f"{where}: {missing} are missing; got {sorted(arrays)}. Give at least {list(_NEEDED)}."
        )
    if is_step_dicts(arrays["observation"]):
        arrays = stack_steps(arrays, facts, where)
    form = find_form(arrays["observation"], facts.team, where)
    groups = {
        name: _of_agents(form, name, arrays[name], where)
        for name in ("action", *PER_ROW, *_FOLLOWING)
        if name in arrays
    }
    run = Run(form, groups, {}, {}, where)
    steps = len(next(iter(groups["action"].values())))
    _add_team(run, arrays, facts, steps)
    _require_rows(run, steps)
    return run


def _of_agents(form: Form, name: str, value: Any, where: str) -> ByGroup:
    plain = name.removeprefix("next_")
    found = form.arrays(name, value, where)
    for group, array in found.items():
        if name == "action" and form.kind in ("single", "agents") and array.dtype.kind == "f":
            # One continuous feature may be given without its dimension.
            found[group] = array = array[..., None] if array.ndim == 2 else array
        if array.ndim not in _DIMS[plain]:
            told = f" of group {group!r}" if form.kind == "groups" else ""
            raise DataError(
                f"{where}: {name!r}{told} has the shape {array.shape} (the axis of agents included); "
                f"expected {_SHAPES[plain]}."
            )
        if plain.endswith("mask"):
            found[group] = to_flags(array, name, where)
        elif plain == "observation":
            found[group] = to_floats(array)
    return found


def _add_team(run: Run, arrays: Mapping[str, Any], facts: Facts, steps: int) -> None:
    """Rewards, ends, numbers of episodes and the state."""
    where = run.where
    reward = _of_team(run, "reward", arrays["reward"], steps)
    own = to_own_rewards(reward, facts.options, where) if reward.shape[1] > 1 else None
    run.team["reward"] = to_team_reward(to_floats(reward), facts.options, where)
    if "agent_reward" in arrays:
        own = to_floats(_of_team(run, "agent_reward", arrays["agent_reward"], steps))
    if own is not None:
        sizes = np.cumsum([one.shape[1] for one in run.groups["observation"].values()])
        run.groups["reward"] = dict(zip(run.groups["observation"], np.split(own, sizes[:-1], 1), strict=True))
    ends = {
        name: to_flags(_of_team(run, name, arrays[name], steps), name, where)
        for name in ("terminated", "truncated")
        if name in arrays
    }
    width = max(one.shape[1] for one in ends.values())
    none = np.zeros((steps, 1), bool)
    terminated, truncated = (
        np.broadcast_to(ends.get(name, none), (steps, width)) for name in ("terminated", "truncated")
    )
    if width == 1:
        run.team |= {"terminated": terminated[:, 0], "truncated": truncated[:, 0]}
    else:
        of_team = team_ends(terminated, truncated, _present(run, steps), where)
        run.team |= dict(zip(("terminated", "truncated"), of_team, strict=True))
    for name in ("state", "next_state"):
        if name in arrays:
            state = to_floats(to_array(arrays[name], name, where))
            if state.ndim != 2:
                raise DataError(f"{where}: {name!r} has the shape {state.shape}; expected [T, S].")
            run.team[name] = state
    if "episode" in arrays:
        run.team["episode"] = _of_team(run, "episode", arrays["episode"], steps)[:, 0]


def _of_team(run: Run, name: str, value: Any, steps: int) -> Array:
    """Of the team `[T, 1]`, or of every agent in the order of the groups `[T, N]`."""
    sizes = {group: one.shape[1] for group, one in run.groups["observation"].items()}
    if isinstance(value, Mapping):
        parts = run.form.arrays(name, value, run.where)
        columns = [
            np.repeat(one.reshape(len(one), 1), sizes[group], 1) if one.size == len(one) else one
            for group, one in parts.items()
        ]
        array = np.concatenate(columns, 1)
    else:
        array = to_array(value, name, run.where)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) != steps or array.shape[1] not in (1, sum(sizes.values())):
        raise DataError(
            f"{run.where}: {name!r} has the shape "
            f"{np.shape(value) if not isinstance(value, Mapping) else array.shape}"
            f"; expected [T] = ({steps},), or [T, N] = ({steps}, {sum(sizes.values())}) of every agent."
        )
    return array


def _present(run: Run, steps: int) -> Array | None:
    """Where the agents of all groups take part `[T, N]`, if that is known of any."""
    masks = run.groups.get("agent_mask")
    # With more rows, the ends would have to be known to say which are steps.
    if masks is None or any(len(one) > steps + 1 for one in masks.values()):
        return None
    every = [
        masks.get(group, np.ones((steps, one.shape[1]), bool))[:steps]
        for group, one in run.groups["observation"].items()
    ]
    return np.concatenate(every, 1)


def _require_rows(run: Run, steps: int) -> None:
    """Raise unless all arrays have as many rows and agents as the actions and observations."""
    found = []
    for name, by_group in run.groups.items():
        for group, array in by_group.items():
            agents = run.groups["observation"][group].shape[1]
            if array.shape[1] != agents:
                found.append(f"{name!r} is of {array.shape[1]} agents, 'observation' of {agents}")
            if len(array) < steps or (len(array) > steps and name not in PER_ROW):
                found.append(f"{name!r} has {len(array)} rows, 'action' {steps}")
    for name in ("state", "next_state"):
        rows = len(run.team.get(name, np.zeros(steps)))
        if rows < steps or (rows > steps and name == "next_state"):
            found.append(f"{name!r} has {rows} rows, 'action' {steps}")
    if not steps:
        found.append("'action' has no rows")
    if found:
        raise DataError(f"{run.where}: {'; '.join(found)}. All have to have one row for every step.")


def encode_actions(run: Run, facts: Facts, length: Array) -> None:
    """Make the actions floats `[T, N, A]` or integers `[T, N]`, and learn how many there are.

    Args:
        run: the steps; its actions and ``n_actions`` are set.
        facts: the number of actions, if it is known.
        length: steps of every episode `[E]`.

    Raises:
        DataError: actions of no known encoding.
    """
    is_step = np.ones(run.steps + len(length), bool)
    is_step[np.cumsum(length + 1) - 1] = False
    masks, present = run.groups.get("action_mask", {}), run.groups.get("agent_mask", {})
    for group, actions in run.groups["action"].items():
        where = run.where if len(run.groups["action"]) == 1 else f"{run.where}, group {group!r}"
        mask, there = masks.get(group), present.get(group)
        known = facts.actions_of(group)
        if mask is not None and known not in (None, mask.shape[-1]):
            raise DataError(
                f"{where}: 'action_mask' has {mask.shape[-1]} actions, n_actions is {known}. Leave "
                "n_actions out."
            )
        known = known if mask is None else mask.shape[-1]
        there = there if there is None or len(there) == run.steps else there[is_step]
        run.groups["action"][group], found = to_actions(actions, known, there, where)
        if found is not None:
            run.n_actions[group] = found
