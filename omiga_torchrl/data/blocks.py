"""Whole episodes as transitions in TorchRL's TED layout, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import PER_ROW, AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.spans import BLOCK_BYTES, block_spans


def episodes_to_tensordict(episodes: Episodes) -> TensorDictBase:
    """Transitions `[T]` in the project's keys; the next row never crosses an episode's end.

    Args:
        episodes: the episodes.

    Examples:
        >>> one = Episodes(
        ...     observation=np.array([[[0.0]], [[1.0]], [[2.0]]]),
        ...     action=np.zeros((2, 1, 1)),
        ...     reward=np.array([1.0, 2.0]),
        ...     terminated=np.array([False, True]),
        ...     truncated=np.array([False, False]),
        ...     length=np.array([2]),
        ... )
        >>> data = episodes_to_tensordict(one)
        >>> data["next", "agents", "observation"].flatten(), data["episode"]
        (tensor([1., 2.]), tensor([0, 0]))
    """
    steps = episodes.steps
    episode = np.repeat(np.arange(len(episodes)), episodes.length)
    # Every earlier episode has one observation row more than it has steps.
    row = np.arange(steps) + episode
    state = episodes.joint_state()
    agents, following = {}, {}
    for name, group in episodes.groups.items():
        agents[name], following[name] = _to_group(group, row)
    terminated, truncated = (_tensor(x)[:, None] for x in (episodes.terminated, episodes.truncated))
    outcome = {
        **following,
        keys.STATE: _tensor(state[row + 1]),
        keys.REWARD: _tensor(episodes.reward)[:, None],
        keys.DONE: terminated | truncated,
        keys.TERMINATED: terminated,
        keys.TRUNCATED: truncated,
    }
    return TensorDict(
        {
            **agents,
            keys.STATE: _tensor(state[row]),
            keys.EPISODE: torch.from_numpy(episode),
            "next": TensorDict(outcome, [steps]),
        },
        [steps],
    )


def _to_group(group: AgentArrays, row: Array) -> tuple[TensorDictBase, TensorDictBase]:
    """The entries of a group at the observation rows ``row [T]``, and at those that follow."""
    batch = [len(row), group.n_agents]
    rows = {name: value for name, value in group.arrays().items() if name in PER_ROW}
    before = {name: _tensor(value[row]) for name, value in rows.items()}
    after = {name: _tensor(value[row + 1]) for name, value in rows.items()}
    if group.reward is not None:
        after["reward"] = _tensor(group.reward).unsqueeze(-1)
    return TensorDict({**before, "action": _tensor(group.action)}, batch), TensorDict(after, batch)


def group_names(data: TensorDictBase) -> list[str]:
    """The groups of agents in a batch or dataset: what holds observations, in order.

    Args:
        data: with the keys of :mod:`omiga_torchrl.keys`, under the names of the groups.

    Examples:
        >>> group_names(TensorDict({"prey": {"observation": torch.zeros(3)}, "state": torch.zeros(1)}))
        ['prey']
    """
    entries = data.keys(True)
    return [
        name
        for name in data.keys()  # noqa: SIM118
        if name != "next" and (name, "observation") in entries
    ]


def _tensor(values: np.ndarray[Any, Any]) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.float() if tensor.is_floating_point() else tensor


def episode_blocks(
    data: TensorDictBase, *, groups: Sequence[str] | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[Episodes]:
    """The transitions `[T]` as whole episodes again, block by block.

    Args:
        data: transitions in order, with ``"episode"``.
        groups: names of the groups of agents in order; default is that of ``data``.
        block_bytes: about the size of one block.

    Examples:
        >>> from omiga_torchrl.data import OfflineDataset
        >>> dataset = OfflineDataset("vmas/navigation/mixed")
        >>> sum(len(block) for block in episode_blocks(dataset.data)) == dataset.card.episodes
        True
    """
    names = group_names(data) if groups is None else list(groups)
    starts = first_steps(data[keys.EPISODE]).nonzero().flatten().numpy()
    length = np.diff(starts, append=len(data))
    offsets = np.concatenate([[0], np.cumsum(length)])
    one = data[:1]
    size = sum(value.numel() * value.element_size() for value in one.values(True, True))
    for first, last in block_spans(length, size, block_bytes):
        part = data[int(offsets[first]) : int(offsets[last])]
        yield _to_episodes(part, length[first:last], names)


def first_steps(episode: torch.Tensor) -> torch.Tensor:
    """Where an episode begins, ``[T]``, from the number of each row's episode ``[T]``.

    Examples:
        >>> first_steps(torch.tensor([4, 4, 7]))
        tensor([ True, False,  True])
    """
    episode = episode.as_subclass(torch.Tensor)
    first = torch.ones_like(episode, dtype=torch.bool)
    torch.ne(episode[1:], episode[:-1], out=first[1:])
    return first


def episode_spans(episode: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """First row `[E]` and length `[E]` of every episode, and for every row which of these is its own `[T]`.

    Args:
        episode: the number of each row's episode `[T]`.

    Examples:
        >>> [one.tolist() for one in episode_spans(torch.tensor([4, 4, 7]))]
        [[0, 2], [2, 1], [0, 0, 1]]
    """
    starts = first_steps(episode).nonzero().flatten()
    lengths = torch.diff(starts, append=torch.tensor([len(episode)]))
    return starts, lengths, torch.repeat_interleave(torch.arange(len(starts)), lengths)


def _to_episodes(part: TensorDictBase, length: Array, names: Sequence[str]) -> Episodes:
    last = torch.from_numpy(np.cumsum(length) - 1)
    # Where each episode's final row goes once every earlier one has got its own.
    final = last + torch.arange(1, len(length) + 1)
    inner = torch.ones(len(part) + len(length), dtype=torch.bool)
    inner[final] = False

    def rows(key: Any) -> Array | None:
        now = part.get(key, None)
        if now is None:
            return None
        out = torch.empty((len(inner), *now.shape[1:]), dtype=now.dtype)
        out[inner] = now
        out[final] = part[keys.next_key(key)].index_select(0, last)
        return out.numpy()

    def group(name: str) -> AgentArrays:
        observation, reward = rows((name, "observation")), part.get(("next", name, "reward"), None)
        assert observation is not None
        return AgentArrays(
            observation,
            part[name, "action"].numpy(),
            rows((name, "action_mask")),
            rows((name, "agent_mask")),
            None if reward is None else reward.squeeze(-1).numpy(),
        )

    steps = {
        name: part["next", name].squeeze(-1).numpy()
        for name in (keys.REWARD, keys.TERMINATED, keys.TRUNCATED)
    }
    groups = {name: group(name) for name in names}
    return Episodes(groups=groups, **steps, length=length, state=rows(keys.STATE)).without_repeated_state()
