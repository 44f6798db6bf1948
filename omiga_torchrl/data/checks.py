"""Checks before training: is the data sound, and does it fit the environment?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

# Single precision of a bound such as 0.6 may lie a rounding error outside it.
_TOLERANCE = 1e-5


def check_dataset(dataset: OfflineDataset | TensorDictBase, spec: TeamSpec | None = None) -> None:
    """Raise one error that lists everything wrong with the data.

    Looked at: missing entries, sizes, NaN and infinity, actions outside their bounds or
    against their mask, a reward that is not the team's, and the ends of episodes.

    Args:
        dataset: the dataset, or its transitions in order `[T]`.
        spec: sizes to hold it to; default is the dataset's own.

    Raises:
        DataError: at least one finding.

    Examples:
        >>> check_dataset(OfflineDataset("vmas/navigation/mixed"))
    """
    if isinstance(dataset, TensorDictBase):
        data, name = dataset, "data"
        spec = spec or TeamSpec.from_batch(data)
    else:
        data, name = dataset.data, dataset.card.name
        spec = spec or dataset.spec
    wrong = list(_find_sizes(data, spec))
    # Values are only looked at where the sizes are right.
    found = wrong or [*_find_not_finite(data), *_find_actions(data, spec), *_find_ends(data)]
    if isinstance(dataset, OfflineDataset) and len(data) != dataset.card.transitions:
        found.append(f"{len(data)} transitions, the card says {dataset.card.transitions}")
    if found:
        raise DataError(f"check_dataset: {name}: {'; '.join(found)}. Repair or record the dataset again.")


def check_dataset_fits(dataset: OfflineDataset, env: EnvBase) -> None:
    """Raise one error that lists everything in which the dataset and the environment differ.

    Args:
        dataset: the dataset.
        env: an environment of :func:`omiga_torchrl.envs.make_env`.

    Raises:
        DataError: at least one difference: number of agents, sizes, bounds of the actions,
            or the task itself.

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
    task = getattr(env, "task_name", dataset.card.task)
    if task != dataset.card.task:
        found.insert(0, f"the data were recorded on {dataset.card.task!r} and the environment is {task!r}")
    if found:
        raise DataError(
            f"check_dataset_fits: {dataset.card.name}: {'; '.join(found)}. Make the environment with "
            f"make_env({dataset.card.task!r}, **{dataset.card.task_kwargs})."
        )


def _find_sizes(data: TensorDictBase, spec: TeamSpec) -> Iterator[str]:
    agents, action = (spec.n_agents,), () if spec.discrete else (spec.action_size,)
    expected: dict[NestedKey, tuple[int, ...]] = {
        keys.OBSERVATION: (*agents, spec.observation_size),
        keys.next_key(keys.OBSERVATION): (*agents, spec.observation_size),
        keys.ACTION: (*agents, *action),
        keys.STATE: (spec.state_size,),
        ("next", keys.STATE): (spec.state_size,),
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


def _find_not_finite(data: TensorDictBase) -> Iterator[str]:
    for key, value in data.items(True, True):
        if value.is_floating_point():
            bad = ~value.reshape(len(value), -1).isfinite().all(-1)
            if bad.any():
                yield f"{key!r} is NaN or infinite in {_rows(bad)}"


def _find_actions(data: TensorDictBase, spec: TeamSpec) -> Iterator[str]:
    action = data.get(keys.ACTION)
    low, high = (0.0, spec.action_size - 1.0) if spec.discrete else (spec.action_low, spec.action_high)
    # NaN is reported as such, not as out of bounds.
    outside = (action < low - _TOLERANCE) | (action > high + _TOLERANCE)
    bad = outside.reshape(len(action), -1).any(-1)
    if bad.any():
        yield f"{keys.ACTION!r} is outside [{low:g}, {high:g}] in {_rows(bad)}"
    elif spec.masked:
        legal = data.get(keys.ACTION_MASK).gather(-1, action.long().unsqueeze(-1)).squeeze(-1)
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
    last = torch.ones_like(done)
    last[:-1] = episode[1:] != episode[:-1]
    if (last & ~done).any():
        yield f"an episode stops without done in {_rows(last & ~done)}"
    if (done & ~last).any():
        yield f"('next', 'done') is true before the end of its episode in {_rows(done & ~last)}"


def _rows(bad: Tensor) -> str:
    return f"{int(bad.sum())} rows, first in row {int(bad.nonzero()[0, 0])}"
