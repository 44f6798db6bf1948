"""One agent, one state, finitely many actions: problems with solutions on paper."""

from __future__ import annotations

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn

from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import losses_of


class Table(nn.Module):
    """Parameters instead of a network: the same at every observation."""

    def __init__(self, *values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, observation):
        return self.values.expand(*observation.shape[:-1], *self.values.shape)


def table(key, *values):
    return TensorDictModule(Table(*values), [("agents", "observation")], [("agents", key)])


def spec(actions=2, agents=1):
    return TeamSpec(agents, 1, actions, 1, discrete=True)


def bandit(actions, rewards, *, terminated=True):
    """Transitions ``[rows]``; unless terminated they lead back to the only state."""
    rows = len(actions)
    agents, state = torch.ones(rows, 1, 1), torch.ones(rows, 1)
    over = torch.full((rows, 1), terminated)
    return TensorDict(
        {
            "agents": {"observation": agents, "action": torch.tensor(actions).unsqueeze(-1)},
            "state": state,
            "next": {
                "agents": {"observation": agents.clone()},
                "state": state.clone(),
                "reward": torch.tensor(rewards).unsqueeze(-1),
                "done": over,
                "terminated": over.clone(),
            },
        },
        [rows],
    )


def ninety_ten():
    """90 % of the data play action 0 for nothing, 10 % action 1 for a reward of 1."""
    return bandit([0] * 90 + [1] * 10, [0.0] * 90 + [1.0] * 10)


def train(loss, data, steps, lr=0.05, tau=0.1):
    updater = ForeachSoftUpdate(loss, tau=tau)
    optimizer = torch.optim.Adam([p for p in loss.parameters() if p.requires_grad], lr)
    for _ in range(steps):
        torch.stack(list(losses_of(loss(data)).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        updater.step()
