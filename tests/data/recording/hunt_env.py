"""A batched environment of predators and a prey that hides now and then, for tests."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


class HuntEnv(EnvBase):
    """Two wolves with one continuous action, and a hare with three discrete ones, for five steps.

    Wolves see (step, number); the hare sees (step). The second wolf takes part in odd steps only. The hare
    may not take the last action. Every agent's own reward is its number in the team, the team's their sum.
    """

    def __init__(self, num_envs: int = 3) -> None:
        n = num_envs
        super().__init__(batch_size=[n])
        self.group_map = {"wolves": ["wolf_0", "wolf_1"], "hares": ["hare_0"]}
        flag = Binary(1, (n, 1), dtype=torch.bool)
        wolves = {"observation": Unbounded((n, 2, 2)), "agent_mask": Binary(2, (n, 2), dtype=torch.bool)}
        hares = {"observation": Unbounded((n, 1, 1)), "action_mask": Binary(3, (n, 1, 3), dtype=torch.bool)}
        self.observation_spec = Composite(
            hares=Composite(**hares, shape=(n,)),
            wolves=Composite(**wolves, shape=(n,)),
            state=Unbounded((n, 5)),
            shape=(n,),
        )
        self.action_spec = Composite(
            wolves=Composite(action=Bounded(-1, 1, (n, 2, 1)), shape=(n,)),
            hares=Composite(action=Categorical(3, (n, 1)), shape=(n,)),
            shape=(n,),
        )
        self.reward_spec = Composite(
            reward=Unbounded((n, 1)),
            wolves=Composite(reward=Unbounded((n, 2, 1)), shape=(n,)),
            hares=Composite(reward=Unbounded((n, 1, 1)), shape=(n,)),
            shape=(n,),
        )
        self.done_spec = Composite(
            done=flag.clone(), terminated=flag.clone(), truncated=flag.clone(), shape=(n,)
        )
        self.count = torch.zeros(n, 1)

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            torch.manual_seed(seed)

    def _out(self, rewards: dict[str, Tensor] | None = None) -> TensorDictBase:
        n = self.batch_size[0]
        own = torch.arange(2.0).expand(n, 2).unsqueeze(-1)
        seen = torch.cat([self.count.unsqueeze(1).expand(n, 2, 1), own], -1)
        present = torch.ones(n, 2, dtype=torch.bool)
        present[:, 1] = self.count[:, 0] % 2 == 1
        wolves = {"observation": seen, "agent_mask": present}
        legal = torch.tensor([True, True, False]).expand(n, 1, 3).clone()
        hares = {"observation": self.count.unsqueeze(1), "action_mask": legal}
        done = self.count >= 5
        out = {
            "wolves": {**wolves, **({"reward": rewards["wolves"]} if rewards else {})},
            "hares": {**hares, **({"reward": rewards["hares"]} if rewards else {})},
            "state": torch.cat([seen.flatten(1), self.count], -1),
            "done": done,
            "terminated": torch.zeros_like(done),
            "truncated": done,
        }
        if rewards:
            out["reward"] = sum(reward.sum(1) for reward in rewards.values())
        return TensorDict(out, self.batch_size)

    def _reset(self, tensordict: TensorDictBase | None, **kwargs: Any) -> TensorDictBase:
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        fresh = torch.ones_like(self.count).bool() if chosen is None else chosen
        self.count = torch.where(fresh, 0.0, self.count)
        return self._out()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        n = self.batch_size[0]
        self.count = self.count + 1
        wolves = torch.arange(2.0).expand(n, 2).unsqueeze(-1)
        return self._out({"wolves": wolves, "hares": torch.full((n, 1, 1), 2.0)})
