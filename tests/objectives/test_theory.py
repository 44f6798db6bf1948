"""Small games whose solution is known exactly."""

from __future__ import annotations

import itertools

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn

from omiga_torchrl import functional as F
from omiga_torchrl.modules import VDNMixer, categorical_actor
from omiga_torchrl.objectives import ForeachSoftUpdate, OMIGALoss
from omiga_torchrl.specs import TeamSpec

GAME = TeamSpec(n_agents=2, observation_size=1, action_size=2, state_size=1, discrete=True)


class Table(nn.Module):
    """A row of parameters per agent."""

    def __init__(self, features):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(2, features))

    def forward(self, observation):
        return self.values.expand(*observation.shape[:-1], -1)


def table(features, key):
    return TensorDictModule(Table(features), [("agents", "observation")], [("agents", key)])


def one_step_game(joint_actions, rewards):
    """Terminal transitions of a game with one state; one row per sample."""
    actions = torch.tensor(joint_actions)
    size = len(actions)
    agents, state = torch.ones(size, 2, 1), torch.ones(size, 1)
    over = torch.ones(size, 1, dtype=torch.bool)
    return TensorDict(
        {
            "agents": {"observation": agents, "action": actions},
            "state": state,
            "next": {
                "agents": {"observation": agents.clone()},
                "state": state.clone(),
                "reward": torch.tensor(rewards, dtype=torch.float32).unsqueeze(-1),
                "done": over,
                "terminated": over.clone(),
            },
        },
        [size],
    )


def solve(data, alpha, steps=1500, lr=0.03):
    torch.manual_seed(0)
    actor = categorical_actor(GAME, hidden_sizes=(8,))
    nets = (table(2, "local_qvalue"), table(1, "local_value"), VDNMixer(2).as_weight_module())
    loss = OMIGALoss(actor, *nets, alpha=alpha)
    updater = ForeachSoftUpdate(loss, tau=0.1)
    optimizer = torch.optim.Adam(loss.parameters(), lr)
    for _ in range(steps):
        out = loss(data)
        (out["loss_value"] + out["loss_qvalue"] + out["loss_actor"]).backward()
        optimizer.step()
        optimizer.zero_grad()
        updater.step()
    probability = actor.get_dist(data[:1]).probs[0]  # [agents, actions]
    return probability.detach(), loss


def ninety_ten():
    """90 % of the data at the bad joint action (0, 0), 10 % at the good one (1, 1)."""
    return one_step_game([[0, 0]] * 90 + [[1, 1]] * 10, [0.0] * 90 + [1.0] * 10)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_value_minimises_to_expected_exp_z_of_one(alpha):
    q = torch.tensor([1.0, -0.5, 2.0, 0.0], dtype=torch.float64)
    mu = torch.tensor([0.4, 0.3, 0.1, 0.2], dtype=torch.float64)
    w = torch.full_like(q, 0.7)
    value = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([value], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        objective = (mu * F.omiga_value_loss(q, value.expand(4), w, alpha)).sum()
        objective.backward()
        return objective

    optimizer.step(closure)
    z = F.scaled_advantage(q, value.detach().expand(4), w, alpha)
    assert (mu * z.exp()).sum().item() == pytest.approx(1, abs=1e-6)
    exact = alpha / 0.7 * torch.log((mu * (0.7 * q / alpha).exp()).sum())
    assert value.item() == pytest.approx(exact.item(), abs=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_product_of_local_policies_is_the_global_optimum(alpha):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    mu = torch.rand(2, 3, generator=generator, dtype=torch.float64) + 0.1
    mu /= mu.sum(-1, keepdim=True)
    w, bias = torch.tensor([0.6, 1.4], dtype=torch.float64), 0.3
    wide = w.unsqueeze(-1)
    v = alpha / w * torch.log((mu * (wide * q / alpha).exp()).sum(-1))  # E_mu[exp z] = 1
    z = F.scaled_advantage(q.T, v.expand(3, 2), w.expand(3, 2), alpha).T
    local = mu * F.policy_weight(z)
    torch.testing.assert_close(local.sum(-1), torch.ones(2, dtype=torch.float64))
    global_v = (w * v).sum() + bias
    joint, tilted = {}, {}
    for a, b in itertools.product(range(3), repeat=2):
        global_q = w[0] * q[0, a] + w[1] * q[1, b] + bias
        joint[a, b] = mu[0, a] * mu[1, b] * ((global_q - global_v) / alpha).exp()
        tilted[a, b] = mu[0, a] * mu[1, b] * (global_q / alpha).exp()
        torch.testing.assert_close(local[0, a] * local[1, b], joint[a, b])
    total = sum(tilted.values())
    for key, value in joint.items():  # the optimum of E[Q_tot] - alpha KL(pi || mu), normalised
        torch.testing.assert_close(value, tilted[key] / total)


@pytest.mark.parametrize(("alpha", "good"), [(10.0, 0.105), (1.0, 0.155), (0.1, 0.943)])
def test_ninety_ten_game_has_its_exact_solution(alpha, good):
    probability, _ = solve(ninety_ten(), alpha)
    assert probability[:, 1].tolist() == pytest.approx([good, good], abs=0.02)


def test_learned_value_satisfies_its_condition_on_the_game():
    data = ninety_ten()
    _, loss = solve(data, 0.5)
    z = loss(data)["scaled_advantage"]
    assert z.isfinite()
    q = loss.qvalue_network_params["module", "values"].detach()
    v = loss.value_network_params["module", "values"].detach()
    share = torch.tensor([0.9, 0.1])
    assert (share * ((q - v) / 0.5).exp()).sum(-1).tolist() == pytest.approx([1, 1], abs=0.03)


def test_xor_is_a_known_limit():
    """Two equally good joint actions: a factorised policy mixes them; weighted cloning is cloning."""
    data = one_step_game([[0, 1]] * 50 + [[1, 0]] * 50, [1.0] * 100)
    probability, _ = solve(data, alpha=0.1, steps=500)
    assert probability.flatten().tolist() == pytest.approx([0.5] * 4, abs=0.05)
