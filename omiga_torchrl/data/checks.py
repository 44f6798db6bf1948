"""Checks before training: is the data sound, and does it fit the environment?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tensordict import NestedKey, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import first_steps
from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.data.observation_checks import find_observation_differences
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.team_env import team_env

# Single precision of a bound such as 0.6 may lie a rounding error outside it.
_TOLERANCE = 1e-5
# Rows that are looked at together.
_BLOCK = 100_000


def check_dataset(
    dataset: OfflineDataset | TensorDictBase,
    spec: TeamSpec | None = None,
    *,
    allow_duplicates: bool = False,
) -> None:
    """Raise one error that lists everything wrong with the data.

    Looked at: missing entries, sizes, NaN and infinity, actions outside their bounds or
    against their mask, a reward that is not the team's, the ends of episodes, and episodes
    that are exact copies of others. The data are read block by block.

    Args:
        dataset: the dataset, or its transitions in order `[T]`.
        spec: sizes to hold it to; default is the dataset's own.
        allow_duplicates: accept copies, as deterministic policies in a task that always
            starts the same make them.

    Raises:
        DataError: at least one finding.

    Examples:
        >>> check_dataset(OfflineDataset("vmas/navigation/mixed"))
    """
    bounded = True
    if isinstance(dataset, TensorDictBase):
        data, name = dataset, "data"
        spec = spec or TeamSpec.from_batch(data)
    else:
        data, name = dataset.data, dataset.card.name
        spec = spec or dataset.spec
        bounded = dataset.card.action_convention != "raw"
    found = list(_find_sizes(data, spec))
    # Values are only looked at where the sizes are right.
    if not found:
        found += _in_blocks(data, _find_not_finite)
        found += _in_blocks(data, lambda part: _find_actions(part, spec, bounded))
        found += _find_ends(data)
        found += [] if allow_duplicates else _find_copies(data)
    if isinstance(dataset, OfflineDataset) and len(data) != dataset.card.transitions:
        found.append(f"{len(data)} transitions, the card says {dataset.card.transitions}")
    if found:
        raise DataError(f"check_dataset: {name}: {'; '.join(found)}. Repair or record the dataset again.")


def check_dataset_fits(dataset: OfflineDataset, env: EnvBase) -> None:
    """Raise one error that lists everything in which the dataset and the environment differ.

    Beyond sizes, two things are compared that tell a wrong preprocessing of observations: the
    first observations of the recorded episodes with those of fresh resets, and, where the
    simulator can be put into a recorded state, what recorded actions lead to.

    Args:
        dataset: the dataset.
        env: an environment of :func:`omiga_torchrl.envs.make_env`. It is reset.

    Raises:
        DataError: at least one difference: number of agents, sizes, bounds of the actions,
            the task itself, or the observations.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> check_dataset_fits(OfflineDataset("vmas/navigation/mixed"), make_env("vmas/navigation"))
    """
    recorded, given = dataset.spec.to_dict(), TeamSpec.from_env(env).to_dict()
    found = [
        f"{name} is {recorded[name]} in the data and {given[name]} in the environment"
        for name in recorded
        if recorded[name] != given[name]
    ]
    task = team_env(env).task_name or dataset.card.task
    if dataset.card.task and task != dataset.card.task:
        found.insert(0, f"the data were recorded on {dataset.card.task!r} and the environment is {task!r}")
    found = found or find_observation_differences(dataset, env)
    if found:
        task = dataset.card.task or task
        raise DataError(
            f"check_dataset_fits: {dataset.card.name}: {'; '.join(found)}. Make the environment with "
            f"make_env({task!r}, **{dataset.card.task_kwargs}){_fitting_layout(task, dataset.spec)}."
        )


def _fitting_layout(task: str, spec: TeamSpec) -> str:
    """Which layout of a MuJoCo task's observations has the data's sizes, as the end of a message."""
    if not task.startswith("mujoco/"):
        return ""
    # Here, so that checking the data alone imports no environment.
    from omiga_torchrl.envs import make_env

    choices: list[dict[str, Any]] = [{"layout": "omiga"}, {"layout": "state"}]
    choices += [{"layout": "local", "obsk": distance} for distance in range(3)]
    for options in choices:
        try:
            env = make_env(task, **options)
        except ValueError:  # the task does not have this layout
            continue
        found = TeamSpec.from_env(env)
        env.close()
        if found == spec:
            return f", or with {', '.join(f'{k}={v!r}' for k, v in options.items())}, which has these sizes"
    return ""


def _find_sizes(data: TensorDictBase, spec: TeamSpec) -> Iterator[str]:
    agents, action = (spec.n_agents,), () if spec.discrete else (spec.action_size,)
    expected: dict[NestedKey, tuple[int, ...]] = {
        keys.OBSERVATION: (*agents, spec.observation_size),
        keys.next_key(keys.OBSERVATION): (*agents, spec.observation_size),
        keys.ACTION: (*agents, *action),
        keys.STATE: (spec.state_size,),
        keys.next_key(keys.STATE): (spec.state_size,),
        **{("next", key): (1,) for key in (keys.REWARD, keys.DONE, keys.TERMINATED)},
    }
    if spec.masked:
        expected[keys.ACTION_MASK] = expected[keys.next_key(keys.ACTION_MASK)] = (*agents, spec.action_size)
    for key, shape in expected.items():
        value = data.get(key, None)
        if value is None:
            yield f"{key!r} is missing"
        elif tuple(value.shape[1:]) != shape:
            hint = ": one reward of the team is expected, not one per agent" if key[-1] == keys.REWARD else ""
            yield f"{key!r} has shape {('T', *value.shape[1:])}, expected {('T', *shape)}{hint}"


def _in_blocks(data: TensorDictBase, find: Callable[[TensorDictBase], Iterable[str]]) -> list[str]:
    """What ``find`` finds in the first block in which it finds anything."""
    for first in range(0, len(data), _BLOCK):
        found = [f"{one}{_offset(first)}" for one in find(data[first : first + _BLOCK])]
        if found:
            return found
    return []


def _offset(first: int) -> str:
    return f" (counted from row {first})" if first else ""


def _find_not_finite(data: TensorDictBase) -> Iterator[str]:
    for key, value in data.items(True, True):
        if value.is_floating_point():
            bad = ~value.reshape(len(value), -1).isfinite().all(-1)
            if bad.any():
                yield f"{key!r} is NaN or infinite in {_rows(bad)}"


def _find_actions(data: TensorDictBase, spec: TeamSpec, bounded: bool) -> Iterator[str]:
    action = data.get(keys.ACTION)
    low, high = (0.0, spec.action_size - 1.0) if spec.discrete else (spec.action_low, spec.action_high)
    if not (bounded or spec.discrete):
        low, high = -math.inf, math.inf
    # NaN is reported as such, not as out of bounds.
    outside = (action < low - _TOLERANCE) | (action > high + _TOLERANCE)
    bad = outside.reshape(len(action), -1).any(-1)
    if bad.any():
        yield f"{keys.ACTION!r} is outside [{low:g}, {high:g}] in {_rows(bad)}"
    elif spec.masked:
        mask = data.get(keys.ACTION_MASK)
        # An agent without any legal action is dead, and its action means nothing.
        legal = mask.gather(-1, action.long().unsqueeze(-1)).squeeze(-1) | ~mask.any(-1)
        bad = ~legal.all(-1)
        if bad.any():
            yield f"{keys.ACTION!r} is illegal under the mask in {_rows(bad)}"


def _find_ends(data: TensorDictBase) -> Iterator[str]:
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


def _find_copies(data: TensorDictBase) -> list[str]:
    """Episodes that repeat an earlier one action by action, discrete ones observation by observation too."""
    episode = data.get(keys.EPISODE, None)
    if episode is None:
        return []
    starts = first_steps(episode).nonzero().flatten()
    stops = [*starts[1:].tolist(), len(data)]
    action, seen, copies = data[keys.ACTION], dict[bytes, int](), []
    # A few discrete actions may be the same by chance, which continuous ones are not.
    compared = [action] if action.dtype.is_floating_point else [action, data[keys.OBSERVATION]]
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
