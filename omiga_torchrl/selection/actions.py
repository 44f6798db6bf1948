"""The actions of a policy on recorded data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import set_recurrent_mode

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import first_steps, group_names
from omiga_torchrl.data.normalisation import Normalisation
from omiga_torchrl.functional import action_index
from omiga_torchrl.keys import next_key
from omiga_torchrl.modules import is_recurrent
from omiga_torchrl.objectives.sequences import prev_actions
from omiga_torchrl.random_state import isolated_random

_SEEN = ("observation", "action_mask", "agent_mask")
_ROWS = 20_000  # steps that a policy reads at once


@dataclass(frozen=True)
class PolicyActions:
    """A policy's actions on data of T steps, by the key of the actions of every group.

    Attributes:
        now: its actions in the state of every step, ``[T, N, A]`` or, discrete, ``[T, N]``.
        following: in the state after it.
    """

    now: dict[NestedKey, Tensor]
    following: dict[NestedKey, Tensor]


def policy_actions(
    policy: TensorDictModuleBase,
    data: TensorDictBase,
    *,
    deterministic: bool = True,
    seed: int = 0,
) -> PolicyActions:
    """The actions that a policy takes in the states of recorded data and in those that follow.

    A recurrent policy reads every episode from its first step, with the actions that were taken in the data
    before: it is asked what it would do next, not what would have come of it.

    Args:
        policy: writes the joint action, as the ``policy`` of an algorithm does.
        data: transitions ``[T]`` of whole episodes in order, with ``"episode"``, scaled as the policy knows
            them: see :func:`scaled`.

    Keyword Args:
        deterministic: take the most likely action instead of sampling.
        seed: of the samples.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.data import OfflineDataset
        >>> dataset = OfflineDataset("vmas/navigation/mixed")
        >>> actions = policy_actions(make_algorithm("bc", dataset.spec).policy, dataset.data[:200])
        >>> actions.following["agents", "action"].shape
        torch.Size([200, 3, 2])
    """
    kind = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
    act = _along_episodes if is_recurrent(policy) else _step_by_step
    with isolated_random(seed), torch.no_grad(), set_exploration_type(kind):
        parts = list(act(policy, data))
    names: list[NestedKey] = [(name, "action") for name in group_names(data)]
    return PolicyActions(
        {key: torch.cat([now.get(key) for now, _ in parts]) for key in names},
        {key: torch.cat([following.get(key) for _, following in parts]) for key in names},
    )


def scaled(data: TensorDictBase, normalisation: Normalisation | None) -> TensorDictBase:
    """The data with observations and state as a policy or critic of that normalisation knows them.

    Args:
        data: raw transitions.
        normalisation: None leaves them raw.
    """
    if normalisation is None:
        return data
    out = data.clone(recurse=False)
    for key, (mean, std) in normalisation.moments().items():
        for where in (key, next_key(key)):
            out.set(where, (data.get(where) - torch.tensor(mean)) / torch.tensor(std))
    return out


def _seen(data: TensorDictBase, groups: list[str]) -> TensorDictBase:
    """Entries of a state that policies read, made anew, as they write beside them."""
    keys_seen: list[Any] = [(name, entry) for name in groups for entry in _SEEN]
    return data.select(*keys_seen, keys.STATE, strict=False)


def _step_by_step(
    policy: TensorDictModuleBase, data: TensorDictBase
) -> Iterator[tuple[TensorDictBase, TensorDictBase]]:
    groups = group_names(data)
    for first in range(0, len(data), _ROWS):
        part = data[first : first + _ROWS]
        now, following = (_written(policy(_seen(s, groups)), part, groups) for s in (part, part.get("next")))
        yield now, following


def _along_episodes(
    policy: TensorDictModuleBase, data: TensorDictBase
) -> Iterator[tuple[TensorDictBase, TensorDictBase]]:
    groups = group_names(data)
    starts = first_steps(data[keys.EPISODE]).nonzero().flatten()
    lengths = torch.diff(starts, append=torch.tensor([len(data)]))
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        part = data[start : start + length]
        states = TensorDict.cat([_seen(part[:1], groups), _seen(part.get("next"), groups)])
        for name in groups:
            taken = part.get((name, "action"))
            before = torch.cat([taken, taken[-1:]])  # of the last one, the state that follows
            states.set((name, "last_action"), prev_actions(before, time=0))
        init = torch.zeros(length + 1, 1, dtype=torch.bool)
        init[0] = True
        states.set(keys.IS_INIT, init)
        with set_recurrent_mode(True):
            acted = policy(states.unsqueeze(0).contiguous()).squeeze(0)
        yield (_written(acted[:-1], part, groups), _written(acted[1:], part, groups))


def _written(acted: TensorDictBase, data: TensorDictBase, groups: list[str]) -> TensorDictBase:
    """The actions in the form of the data's: discrete ones as integers."""
    out = TensorDict({}, [len(data)])
    for name in groups:
        action = acted.get((name, "action"))
        if not data.get((name, "action")).is_floating_point():
            action = action_index(action, data.get((name, "observation")).shape[:-1])
        out.set((name, "action"), action)
    return out
