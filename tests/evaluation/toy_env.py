"""A batched team environment with known returns, for tests."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.envs import EnvBase

AGENTS = 2


class CountingEnv(EnvBase):
    """Environment e ends after `lengths[e]` steps; an even length terminates, an odd one truncates.

    The team's reward is 1 a step plus ``noise`` drawn from the global generator at reset, plus the sum
    of the actions.
    """

    def __init__(self, lengths: list[int], *, noise: float = 0.0, wins: bool = False) -> None:
        n = len(lengths)
        super().__init__(batch_size=[n])
        self.goal = torch.tensor(lengths)
        self.noise, self.wins = noise, wins
        self.resets = 0
        flag = Binary(1, (n, 1), dtype=torch.bool)
        self.observation_spec = Composite(
            agents=Composite(observation=Unbounded((n, AGENTS, 3)), shape=(n,)),
            count=Unbounded((n, 1)),
            **({"win": flag.clone()} if wins else {}),
            shape=(n,),
        )
        self.action_spec = Composite(
            agents=Composite(action=Bounded(-1, 1, (n, AGENTS, 1)), shape=(n,)), shape=(n,)
        )
        self.reward_spec = Unbounded((n, 1))
        self.done_spec = Composite(
            done=flag.clone(), terminated=flag.clone(), truncated=flag.clone(), shape=(n,)
        )

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            torch.manual_seed(seed)

    def _out(self, count: Tensor, **rest: Any) -> TensorDictBase:
        done = count.reshape(-1) >= self.goal
        even = self.goal % 2 == 0
        flags = {"done": done, "terminated": done & even, "truncated": done & ~even}
        out = {name: flag.unsqueeze(-1) for name, flag in flags.items()}
        if self.wins:
            out["win"] = (done & (self.goal == 4)).unsqueeze(-1)
        observation = count.reshape(-1, 1, 1).expand(-1, AGENTS, 3).clone()
        agents = TensorDict({"observation": observation}, self.batch_size)
        return TensorDict({"agents": agents, "count": count, **out, **rest}, self.batch_size)

    def _reset(self, tensordict: TensorDictBase | None, **kwargs: Any) -> TensorDictBase:
        self.resets += 1
        count = torch.zeros(*self.batch_size, 1)
        bonus = self.noise * torch.rand(*self.batch_size, 1)
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        if chosen is not None:
            count = torch.where(chosen, count, self.count)
            bonus = torch.where(chosen, bonus, self.bonus)
        self.bonus, self.count = bonus, count
        return self._out(count)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        count = self.count = self.count + 1
        reward = 1.0 + self.bonus + tensordict["agents", "action"].sum((-2, -1)).unsqueeze(-1)
        return self._out(count, reward=reward)
