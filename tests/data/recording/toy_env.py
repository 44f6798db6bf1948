"""A batched team environment whose episodes are short or long at random, for tests."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from omiga_torchrl.data import DatasetCard, Episodes, record_dataset

AGENTS = 2


class ToyEnv(EnvBase):
    """Episodes take one of `lengths` steps; the short ones terminate, the longest ones run out of time.

    The observation of agent i is (episode's own number, step, i); the state is (step, length). The
    first action of the first agent ends the episode when it is above 2. Discrete teams are masked:
    agent i may take the actions up to 1 + i of three.
    """

    def __init__(
        self, num_envs: int = 4, lengths: tuple[int, ...] = (1, 20), *, discrete: bool = False
    ) -> None:
        n = num_envs
        super().__init__(batch_size=[n])
        self.lengths, self.discrete = torch.tensor(lengths), discrete
        flag = Binary(1, (n, 1), dtype=torch.bool)
        agents = {"observation": Unbounded((n, AGENTS, 3))}
        if discrete:
            agents["action_mask"] = Binary(3, (n, AGENTS, 3), dtype=torch.bool)
        self.observation_spec = Composite(
            agents=Composite(**agents, shape=(n,)), state=Unbounded((n, 2)), shape=(n,)
        )
        action = Categorical(3, (n, AGENTS)) if discrete else Bounded(-1, 1, (n, AGENTS, 1))
        self.action_spec = Composite(agents=Composite(action=action, shape=(n,)), shape=(n,))
        self.reward_spec = Unbounded((n, 1))
        self.done_spec = Composite(
            done=flag.clone(), terminated=flag.clone(), truncated=flag.clone(), shape=(n,)
        )
        self.number, self.length, self.count = torch.zeros(3, n, 1)

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            torch.manual_seed(seed)

    def _out(self, stop: Tensor, **rest: Any) -> TensorDictBase:
        done = stop | (self.count >= self.length)
        truncated = done & ~stop & (self.length == self.lengths.max())
        shared = torch.cat([self.number, self.count], -1).unsqueeze(-2).expand(-1, AGENTS, -1)
        own = torch.arange(AGENTS).expand(*self.batch_size, AGENTS).unsqueeze(-1)
        agents = {"observation": torch.cat([shared, own], -1)}
        if self.discrete:
            agents["action_mask"] = torch.ones(*self.batch_size, AGENTS, 3).tril(1).bool()
        return TensorDict(
            {
                "agents": TensorDict(agents, self.batch_size),
                "state": torch.cat([self.count, self.length], -1),
                "done": done,
                "terminated": done & ~truncated,
                "truncated": truncated,
                **rest,
            },
            self.batch_size,
        )

    def _reset(self, tensordict: TensorDictBase | None, **kwargs: Any) -> TensorDictBase:
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        fresh = torch.ones_like(self.count).bool() if chosen is None else chosen
        drawn = self.lengths[torch.randint(len(self.lengths), fresh.shape)].float()
        self.number = torch.where(fresh, torch.rand(fresh.shape), self.number)
        self.length = torch.where(fresh, drawn, self.length)
        self.count = torch.where(fresh, 0.0, self.count)
        return self._out(torch.zeros_like(fresh))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict["agents", "action"].float().reshape(*self.batch_size, -1)
        self.count = self.count + 1
        return self._out(action[:, :1] > 2, reward=action.sum(-1, keepdim=True))


def constant_policy(value: float) -> TensorDictModule:
    """Always the same action; its weight tells it from others."""
    weight = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(weight.weight, value)

    class Constant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, observation: Tensor) -> Tensor:
            return self.weight(torch.ones_like(observation[..., :1]))

    return TensorDictModule(Constant(), in_keys=[("agents", "observation")], out_keys=[("agents", "action")])


def record(folder: Path, policy: Any = None, **changes: Any) -> DatasetCard:
    """A small dataset of several shards."""
    options = {"transitions": 200, "shard_transitions": 60, "name": "toy", "seed": 3}
    return record_dataset(policy, **{"env_fn": partial(ToyEnv, 4), "folder": folder, **options, **changes})


def require_whole(episodes: Episodes) -> None:
    """Every episode runs from its first step to its end, and is one and the same episode."""
    row = 0
    for start, length in zip(episodes.starts().tolist(), episodes.length.tolist(), strict=True):
        rows = episodes.observation[row : row + length + 1]
        row += length + 1
        assert (rows[:, :, 1] == torch.arange(length + 1)[:, None].numpy()).all()
        assert (rows[:, :, 0] == rows[0, 0, 0]).all()
        ended = (episodes.terminated | episodes.truncated)[start : start + length]
        assert ended.tolist() == [False] * (length - 1) + [True]
        assert episodes.state is not None and episodes.state[row - 1, 0] == length
