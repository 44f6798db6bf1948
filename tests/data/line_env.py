"""Two agents, each on a line, in an environment with any box of actions."""

from __future__ import annotations

import numpy as np
import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from omiga_torchrl.data.layouts.vault_writing import write_vault

AGENTS, STEPS = 2, 20


class LineEnv(EnvBase):
    """x' = x + u, u in [-1, 1] is the action's place in its box `[N]`; the reward is -mean x^2."""

    def __init__(self, low, high, num_envs=1, seed=None):
        super().__init__(batch_size=torch.Size([num_envs]))
        shape = (num_envs,)
        low, high = (torch.as_tensor(b, dtype=torch.float32).expand(AGENTS) for b in (low, high))
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        wide = (*shape, AGENTS, 1)
        box = Bounded(low[:, None].expand(wide).clone(), high[:, None].expand(wide).clone(), wide)
        seen = Composite({"observation": Unbounded(wide)}, shape=shape)
        self.observation_spec = Composite({"agents": seen, "state": Unbounded((*shape, AGENTS))}, shape=shape)
        self.action_spec = Composite({"agents": Composite({"action": box}, shape=shape)}, shape=shape)
        self.reward_spec = Composite({"reward": Unbounded((*shape, 1))}, shape=shape)
        flags = ("done", "terminated", "truncated")
        self.done_spec = Composite(
            {name: Categorical(2, (*shape, 1), dtype=torch.bool) for name in flags}, shape=shape
        )
        self._random = torch.Generator()
        self._set_seed(seed)

    def _set_seed(self, seed):
        self._random.manual_seed(seed or 0)

    def _result(self, **entries):
        seen = TensorDict({"observation": self.x[..., None].clone()}, self.batch_size)
        no = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        ends = {"done": no, "terminated": no.clone(), "truncated": no.clone()}
        return TensorDict({"agents": seen, "state": self.x.clone(), **ends, **entries}, self.batch_size)

    def _reset(self, tensordict=None):
        self.x = torch.empty(*self.batch_size, AGENTS).uniform_(-3, 3, generator=self._random)
        self.t = 0
        return self._result()

    def _step(self, tensordict):
        action = tensordict["agents", "action"].squeeze(-1)
        self.x = self.x + ((action - self.middle) / self.half).clamp(-1, 1)
        self.t += 1
        late = torch.full((*self.batch_size, 1), self.t >= STEPS)
        reward = -self.x.square().mean(-1, keepdim=True)
        return self._result(reward=reward, done=late, truncated=late.clone())


def write_line(folder, low, high, *, episodes=100, noise=0.1, gain=0.8, seed=0):
    """A vault of a good policy in the units of the box, its actions clipped to it."""
    rng = np.random.default_rng(seed)
    middle, half = np.add(high, low) / 2, np.subtract(high, low) / 2
    x = np.zeros((STEPS + 1, episodes, AGENTS))
    u = np.clip(noise * rng.normal(size=x.shape), -1, 1)
    x[0] = rng.uniform(-3, 3, (episodes, AGENTS))
    for t in range(STEPS):
        u[t] = np.clip(u[t] - gain * x[t], -1, 1)
        x[t + 1] = x[t] + u[t]
    reward = np.append(-(x[1:] ** 2).mean(-1), np.zeros((1, episodes)), 0)
    last = np.arange(STEPS + 1) == STEPS
    by_episode = {
        "observations": x[..., None],
        "actions": (middle + half * u)[..., None],
        "rewards": np.repeat(reward[..., None], AGENTS, -1),
        "terminals": np.zeros(x.shape, bool),
        "truncations": np.broadcast_to(last[:, None, None], x.shape),
    }
    rows = {name: value.swapaxes(0, 1).reshape(-1, *value.shape[2:]) for name, value in by_episode.items()}
    rows = {name: v.astype(np.float32) if v.dtype.kind == "f" else v for name, v in rows.items()}
    folder.mkdir(parents=True)
    write_vault(folder, [rows], {})
    return folder
