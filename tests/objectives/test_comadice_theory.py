"""What `ComaDICELoss` converges to: the ratios that solve the regularised problem, found another way."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn

from omiga_torchrl.modules import categorical_actor
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.comadice import ComaDICELoss
from omiga_torchrl.specs import TeamSpec
from tests.objectives.bandit import bandit, table, train
from tests.objectives.bandit import spec as bandit_spec
from tests.objectives.contract import losses_of

REWARDS = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64)
SHARES = torch.tensor([0.6, 0.1, 0.3], dtype=torch.float64)


def divergence(ratio):
    return torch.where(ratio < 1, ratio * ratio.log() - ratio + 1, (ratio - 1) ** 2 / 2)


def maximised(value, size):
    """The distribution over ``size`` things that maximises ``value``, by gradient ascent."""
    scores = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = -value(scores.softmax(0))
        loss.backward()
        return loss

    optimizer.step(closure)
    return scores.detach().softmax(0)


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_weights_solve_the_regularised_bandit(alpha):
    """max_pi E_pi[r] - alpha E_mu[f(pi / mu)]: policy pi, ratio pi / mu, and V the optimum's value."""

    def value(policy):
        return (policy * REWARDS).sum() - alpha * (SHARES * divergence(policy / SHARES)).sum()

    best = maximised(value, 3)
    torch.manual_seed(0)
    data = bandit([0] * 6 + [1] + [2] * 3, [0.0] * 6 + [1.0] + [0.5] * 3)
    data["is_init"] = torch.ones(10, 1, dtype=torch.bool)
    actor = categorical_actor(bandit_spec(3), hidden_sizes=(8,))
    qvalue, local = table("local_qvalue", [0.0], [1.0], [0.5]), table("local_value", 0.5)
    loss = ComaDICELoss(actor, qvalue, local, alpha=alpha, gamma=0.0)
    train(loss, data, 300, lr=0.03)
    train(loss, data, 50, lr=0.003)
    out = loss(data)
    assert out["loss_value"].item() == pytest.approx(value(best).item(), abs=1e-3)
    assert out["mean_weight"].item() == pytest.approx(1, abs=0.02)
    assert loss.lagrange_multiplier.item() == pytest.approx(0, abs=0.02)  # V normalises already
    policy = actor.get_dist(data[:1]).probs[0, 0].double()
    torch.testing.assert_close(policy, best, atol=0.02, rtol=0)


def test_lagrange_multiplier_makes_the_mean_weight_one_whatever_the_values():
    torch.manual_seed(0)
    data = bandit([0] * 6 + [1] * 4, [0.0] * 6 + [1.0] * 4)
    data["is_init"] = torch.ones(10, 1, dtype=torch.bool)
    actor = categorical_actor(bandit_spec(), hidden_sizes=(8,))
    loss = ComaDICELoss(actor, table("local_qvalue", [0.0], [1.0]), table("local_value", 7.0), alpha=0.5)
    ForeachSoftUpdate(loss, tau=0.1)
    optimizer = torch.optim.Adam([loss.lagrange_multiplier], 0.1)
    assert loss(data)["mean_weight"] < 1e-3
    for _ in range(200):
        loss.lagrange_loss(data).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss(data)["mean_weight"].item() == pytest.approx(1, abs=0.01)


# Three states in which action 0 stays and action 1 goes to the next one; only the last pays.
STATES, GAMMA, ALPHA = 3, 0.8, 0.5


def chain():
    """Every state and action, action 0 twice; episodes begin in state 0."""
    states = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    action = torch.tensor([0, 0, 1] * 3)
    following = (states + action) % STATES
    reward = ((states == 2) & (action == 0)).float()
    no = torch.zeros(9, 1, dtype=torch.bool)

    def seen(at, **more):
        one_hot = nn.functional.one_hot(at, STATES).float()
        return {"agents": {"observation": one_hot.unsqueeze(1), **more}, "state": one_hot}

    ends = {"reward": reward.unsqueeze(-1), "done": no, "terminated": no.clone()}
    facts = {**seen(states, action=action.unsqueeze(-1)), "is_init": (states == 0).unsqueeze(-1)}
    return TensorDict({**facts, "next": {**seen(following), **ends}}, [9]), states, following


def solved_dual(states, following, reward):
    """V by minimising the dual itself, Q being r + gamma V(s')."""
    value = torch.zeros(STATES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([value], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        x = (reward.double() + GAMMA * value[following] - value[states]) / ALPHA
        conjugate = torch.where(x < 0, x.exp() - 1, x**2 / 2 + x)
        loss = (1 - GAMMA) * value[0] + ALPHA * conjugate.mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return value.detach()


class Columns(nn.Module):
    """Values of a state, from its one-hot observation: ``[*B, N, S] -> [*B, N, *out]``."""

    def __init__(self, *out):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(STATES, *out))

    def forward(self, observation):
        return torch.tensordot(observation, self.values, dims=1)


def test_ratios_are_those_of_a_stationary_distribution_that_solves_the_dual():
    torch.manual_seed(0)
    data, states, following = chain()
    spec = TeamSpec(1, STATES, 2, STATES, discrete=True)
    observation = [("agents", "observation")]
    qvalue = TensorDictModule(Columns(2, 1), observation, [("agents", "local_qvalue")])
    value = TensorDictModule(Columns(1), observation, [("agents", "local_value")])
    loss = ComaDICELoss(categorical_actor(spec, hidden_sizes=(8,)), qvalue, value, alpha=ALPHA, gamma=GAMMA)
    updater = ForeachSoftUpdate(loss, tau=0.5)
    optimizer = torch.optim.Adam([*qvalue.parameters(), *value.parameters()], 0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        out = losses_of(loss(data))
        (out["loss_value"] + out["loss_qvalue"]).backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        updater.step()
    found = value.module.values.detach()[:, 0].double()
    exact = solved_dual(states, following, data["next", "reward"][:, 0])
    torch.testing.assert_close(found, exact, atol=0.02, rtol=0)
    x = (data["next", "reward"][:, 0] + GAMMA * found[following] - found[states]) / ALPHA
    mass = torch.where(x < 0, x.exp(), x + 1) / 9
    out_of, into = torch.zeros(2, STATES, dtype=torch.float64)
    out_of.index_add_(0, states, mass)
    into.index_add_(0, following, mass)
    start = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(out_of, (1 - GAMMA) * start + GAMMA * into, atol=0.01, rtol=0)
    assert mass.sum().item() == pytest.approx(1, abs=0.01)
    assert mass[6:8].sum() > 0.4  # staying in the last state, which is 2 / 9 of the data
