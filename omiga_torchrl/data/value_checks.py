"""Faults of the entries of a dataset, one function a kind."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.action_bounds import told_box
from omiga_torchrl.data.blocks import first_steps, group_names
from omiga_torchrl.data.padding import ROWS_AT_ONCE
from omiga_torchrl.data.totals import widened
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec


def find_sizes(data: TensorDictBase, spec: AnyTeamSpec) -> Iterator[str]:
    """Entries that are missing, of other sizes, or of groups that are not there."""
    expected: dict[NestedKey, tuple[int, ...]] = {}
    for name, group in spec.groups.items():
        agents, action = (group.n_agents,), () if group.discrete else (group.action_size,)
        seen = (*agents, group.observation_size)
        expected |= {(name, "observation"): seen, ("next", name, "observation"): seen}
        expected[name, "action"] = (*agents, *action)
        if group.masked:
            legal = (*agents, group.action_size)
            expected |= {(name, "action_mask"): legal, ("next", name, "action_mask"): legal}
        if data.get((name, "agent_mask"), None) is not None:
            expected |= {(name, "agent_mask"): agents, ("next", name, "agent_mask"): agents}
        if data.get(("next", name, "reward"), None) is not None:
            expected["next", name, "reward"] = (*agents, 1)
    expected |= {keys.STATE: (spec.state_size,), keys.next_key(keys.STATE): (spec.state_size,)}
    expected |= {("next", key): (1,) for key in (keys.REWARD, keys.DONE, keys.TERMINATED)}
    for key, shape in expected.items():
        value = data.get(key, None)
        if value is None:
            yield f"{key!r} is missing"
        elif tuple(value.shape[1:]) != shape:
            of_team = key == ("next", keys.REWARD)
            hint = ": one reward of the team is expected, not one per agent" if of_team else ""
            yield f"{key!r} has shape {('T', *value.shape[1:])}, expected {('T', *shape)}{hint}"
    extra = [name for name in group_names(data) if name not in spec.groups]
    if extra:
        yield f"there are the groups {', '.join(extra)} beside {', '.join(spec.groups)}"


def in_blocks(data: TensorDictBase, find: Callable[[TensorDictBase], Iterable[str]]) -> list[str]:
    """Faults that ``find`` names in the first block that has any."""
    for first in range(0, len(data), ROWS_AT_ONCE):
        found = [f"{one}{_offset(first)}" for one in find(data[first : first + ROWS_AT_ONCE])]
        if found:
            return found
    return []


def _offset(first: int) -> str:
    return f" (counted from row {first})" if first else ""


def find_not_finite(data: TensorDictBase) -> Iterator[str]:
    """Entries with NaN or infinity."""
    for key, value in data.items(True, True):
        if value.is_floating_point():
            bad = ~value.reshape(len(value), -1).isfinite().all(-1)
            if bad.any():
                yield f"{key!r} is NaN or infinite in {_rows(bad)}"


def find_actions(data: TensorDictBase, name: str, spec: TeamSpec, bounded: bool) -> Iterator[str]:
    """Actions of a group beyond their bounds or against their mask; absent agents' mean nothing."""
    key = (name, "action")
    action, present = data.get(key), data.get((name, "agent_mask"), None)
    low, high = map(torch.as_tensor, widened(np.array(spec.action_low), np.array(spec.action_high)))
    if spec.discrete:
        low, high = torch.tensor(0.0), torch.tensor(spec.action_size - 1.0)
    elif not bounded:
        low, high = torch.tensor(-math.inf), torch.tensor(math.inf)
    # NaN is reported as such, not as out of bounds.
    outside = (action < low) | (action > high)
    outside = outside.reshape(*action.shape[:2], -1).any(-1)
    bad = (outside if present is None else outside & present).any(-1)
    if bad.any():
        if spec.discrete:
            yield f"{key!r} is outside [0, {spec.action_size - 1}] in {_rows(bad)}"
        else:
            box = told_box(spec.action_low, spec.action_high)
            yield f"{key!r} is outside {box} in {_rows(bad)}; action_low= and action_high= say other bounds"
    elif spec.masked:
        mask = data.get((name, "action_mask"))
        # An agent without any legal action is dead, and its action means nothing.
        legal = mask.gather(-1, action.long().clamp(0, spec.action_size - 1).unsqueeze(-1)).squeeze(-1)
        legal = legal | ~mask.any(-1)
        bad = ~(legal if present is None else legal | ~present).all(-1)
        if bad.any():
            yield f"{key!r} is illegal under the mask in {_rows(bad)}"


def find_ends(data: TensorDictBase) -> Iterator[str]:
    """Episodes that end nowhere, or that go on."""
    ends = {name: data.get(("next", name), None) for name in (keys.DONE, keys.TERMINATED, keys.TRUNCATED)}
    done, terminated = ends[keys.DONE].squeeze(-1), ends[keys.TERMINATED].squeeze(-1)
    either = terminated if ends[keys.TRUNCATED] is None else terminated | ends[keys.TRUNCATED].squeeze(-1)
    if (done != either).any():
        yield f"('next', 'done') is not terminated or truncated in {_rows(done != either)}"
    episode = data.get(keys.EPISODE, None)
    if episode is None:
        return
    last = first_steps(episode).roll(-1)  # the first row is a first step
    if (last & ~done).any():
        yield f"an episode stops without done in {_rows(last & ~done)}"
    if (done & ~last).any():
        yield f"('next', 'done') is true before the end of its episode in {_rows(done & ~last)}"


def find_copies(data: TensorDictBase) -> list[str]:
    """Episodes that repeat an earlier one action by action, discrete ones observation by observation too."""
    episode = data.get(keys.EPISODE, None)
    if episode is None:
        return []
    starts = first_steps(episode).nonzero().flatten()
    stops = [*starts[1:].tolist(), len(data)]
    seen, copies, names = dict[bytes, int](), [], group_names(data)
    compared = [data[name, "action"] for name in names]
    # A few discrete actions may be the same by chance, which continuous ones are not.
    if not any(action.dtype.is_floating_point for action in compared):
        compared += [data[name, "observation"] for name in names]
    for number, (first, last) in enumerate(zip(starts.tolist(), stops, strict=True)):
        # One action says little; of a longer episode the bytes of all are its fingerprint.
        content = b"".join(values[first:last].numpy().tobytes() for values in compared)
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if last - first > 1 and seen.setdefault(digest, number) != number:
            copies.append((number, seen[digest]))
    if not copies:
        return []
    return [
        f"{len(copies)} of {len(stops)} episodes repeat the actions of another one (first: {copies[0][0]} "
        f"repeats {copies[0][1]}); is a file in it twice? If that is meant, pass allow_duplicates=True"
    ]


def _rows(bad: Tensor) -> str:
    return f"{int(bad.sum())} rows, first in row {int(bad.nonzero()[0, 0])}"
