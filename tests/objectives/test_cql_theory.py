"""Small problems whose conservative values are known."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn

from omiga_torchrl.envs.tabular_games import TabularGame
from omiga_torchrl.envs.tabular_solutions import enumerate_episodes, optimal_values
from omiga_torchrl.modules import VDNMixer, tanh_gaussian_actor
from omiga_torchrl.objectives import CQLLoss, ForeachSoftUpdate
from omiga_torchrl.specs import TeamSpec
from tests.objectives.bandit import bandit, table, train
from tests.objectives.bandit import spec as bandit_spec
from tests.objectives.contract import CONTINUOUS, DISCRETE, SPECS, assert_actions_unread, losses_of
from tests.objectives.cql_cases import cql_networks, make_cql_loss, one_agent

REWARDS, SHARES = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.5, 0.2, 0.3])


def solved_bandit(cql_alpha):
    qvalue = table("local_qvalue", [0.0], [0.0], [0.0])
    loss = CQLLoss(None, qvalue, cql_alpha=cql_alpha)
    data = bandit([0] * 5 + [1] * 2 + [2] * 3, [1.0] * 5 + [2.0] * 2 + [0.0] * 3)
    train(loss, data, 300, lr=0.05)
    return qvalue.module.values.detach().squeeze(-1)


@pytest.mark.parametrize("cql_alpha", [0.0, 0.5, 2.0])
def test_bandit_has_its_exact_solution_and_bounds_the_true_value(cql_alpha):
    value = solved_bandit(cql_alpha)
    p = value.softmax(-1)
    # 2 mu (Q - r) + cql_alpha (p - mu) = 0
    exact = REWARDS - cql_alpha / 2 * (p / SHARES - 1)
    torch.testing.assert_close(value, exact, atol=0.01, rtol=0)
    learned, true = (p * value).sum(), (p * REWARDS).sum()
    chi_square = (p.square() / SHARES).sum() - 1
    assert learned.item() == pytest.approx((true - cql_alpha / 2 * chi_square).item(), abs=0.01)
    assert learned <= true + 1e-3


def test_actions_without_data_fall_below_all_others():
    qvalue = table("local_qvalue", [0.0], [3.0])
    train(CQLLoss(None, qvalue, cql_alpha=1.0), bandit([0] * 4, [1.0] * 4), 300, lr=0.05)
    seen, unseen = qvalue.module.values.flatten().tolist()
    assert unseen < seen - 2 and seen == pytest.approx(1.0, abs=0.3)


class ByState(nn.Module):
    """A table ``[N, S, K, 1]`` read by one-hot observations."""

    def __init__(self, agents, states, actions):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(agents, states, actions, 1))

    def forward(self, observation):
        return torch.einsum("...ns,nske->...nke", observation, self.values)


def two_step_game():
    """Two agents, three actions, two states in a row; rewards are sums over agents."""
    joint = torch.tensor(list(itertools.product(range(3), repeat=2)))
    parts = torch.tensor([[[0.0, 1.0, 0.5], [0.3, 0.0, 1.2]], [[2.0, 0.0, 1.0], [0.0, 1.5, 0.5]]])
    reward = torch.stack([state[0, joint[:, 0]] + state[1, joint[:, 1]] for state in parts])
    over = torch.tensor([[False], [True]]).expand(2, 9)
    observation = torch.eye(2).unsqueeze(1).expand(2, 2, 2)
    following = torch.ones(2, 9, dtype=torch.long)
    return TabularGame(reward, following, over, joint, observation, torch.eye(2), max_steps=2)


def solved_game(game, cql_alpha):
    """Greedy values of both states, and the values ``[S, J]`` of all joint actions."""
    data = enumerate_episodes(game, torch.ones_like(game.terminal))
    qvalue = TensorDictModule(ByState(2, 2, 3), [("agents", "observation")], [("agents", "local_qvalue")])
    loss = CQLLoss(None, qvalue, VDNMixer(2).as_weight_module(), cql_alpha=cql_alpha, gamma=0.9)
    train(loss, data[data["collector", "mask"]], 400, lr=0.05)
    value = qvalue.module.values.detach()[..., 0]
    total = value[0][:, game.joint_actions[:, 0]] + value[1][:, game.joint_actions[:, 1]]
    return value.amax(-1).sum(0), total, value


def test_greedy_values_of_a_game_are_below_the_true_ones_and_fall_with_alpha():
    game = two_step_game()
    true = optimal_values(game, gamma=0.9).amax(-1).float()
    plain, total, _ = solved_game(game, 0.0)
    torch.testing.assert_close(plain, true, atol=0.02, rtol=0)
    torch.testing.assert_close(total, optimal_values(game, gamma=0.9).float(), atol=0.05, rtol=0)
    mild, strong = solved_game(game, 1.0), solved_game(game, 4.0)
    assert (mild[0] < true - 0.05).all() and (strong[0] < mild[0]).all()
    # The last state by hand: r - cql_alpha / (2 n) sum_i (p_i / mu_i - 1), mu_i = 1 / 3.
    p = strong[2][:, 1].softmax(-1)
    gap = 3 * (p[0, game.joint_actions[:, 0]] + p[1, game.joint_actions[:, 1]]) - 2
    torch.testing.assert_close(strong[1][1], game.reward[1] - gap, atol=0.03, rtol=0)


@pytest.mark.parametrize("mixer", ["linear", "none"])
def test_illegal_actions_never_touch_a_loss(mixer):
    torch.manual_seed(0)
    loss = make_cql_loss(DISCRETE, mixer=mixer, reduction="none")
    ForeachSoftUpdate(loss, tau=0.5)
    data = DISCRETE.fake_batch(16)
    for group in (data["agents"], data["next", "agents"]):
        group["action_mask"][:] = torch.tensor([True, True, False, False])
    data["agents", "action"] %= 2
    assert_actions_unread(loss, data, 2)
    loss(data)["loss_cql"].sum().backward()
    for key, value in loss.qvalue_network_params.items(True, True):
        if value.shape == (4,):
            assert (value.grad[2:] == 0).all() and (value.grad[:2] != 0).all(), key


def test_a_single_legal_action_has_no_penalty():
    loss = make_cql_loss(DISCRETE)
    data = DISCRETE.fake_batch(8)
    data["agents", "action"][:] = 2
    data["agents", "action_mask"][:] = torch.arange(4) == 2
    assert loss.cql_loss(data).abs() < 1e-6


@SPECS
@pytest.mark.parametrize("penalty", ["counterfactual", "joint", "summed"])
def test_a_team_of_one_is_one_agent(spec, penalty):
    """A mixer of weight 1 changes nothing; with one agent all penalties of continuous teams are one."""
    spec, found = one_agent(spec), []
    torch.manual_seed(0)
    *networks, _, _ = cql_networks(spec, "none")
    data = spec.fake_batch(8)
    for mixer in (None, VDNMixer(1).as_weight_module()):
        if spec.discrete and penalty == "joint":  # samples actions only for a team
            continue
        loss = CQLLoss(*networks, mixer, penalty=penalty)
        ForeachSoftUpdate(loss, tau=0.5)
        torch.manual_seed(1)
        found.append(losses_of(loss(data)))
    for key, value in found[0].items() if found else ():
        torch.testing.assert_close(found[1][key], value)


@SPECS
def test_without_weight_only_temporal_differences_are_left(spec):
    torch.manual_seed(0)
    loss, data = make_cql_loss(spec, cql_alpha=0.0), spec.fake_batch(8)
    ForeachSoftUpdate(loss, tau=0.5)
    gradients = []
    for both in (True, False):
        torch.manual_seed(1)
        loss.zero_grad()
        out = loss(data)
        (out["loss_qvalue"] + out["loss_cql"] if both else out["loss_qvalue"]).backward()
        gradients.append({name: p.grad for name, p in loss.named_parameters() if p.grad is not None})
        assert out["loss_cql"] == 0
    torch.testing.assert_close(*gradients)
    loss.cql_alpha.fill_(0.5)
    torch.manual_seed(1)
    out = loss(data)
    torch.testing.assert_close(out["loss_cql"], 0.5 * out["cql_penalty"])


def test_all_joint_actions_are_n_times_the_counterfactual_ones(monkeypatch):
    """Under a linear mixer the log-sum over joint actions is the sum of the agents' log-sums."""
    torch.manual_seed(0)
    networks = cql_networks(DISCRETE)[:3]
    data = DISCRETE.fake_batch(8)
    data["agents", "action_mask"].fill_(True)
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))  # [64, N]
    scores = nn.functional.one_hot(every, 4).float()[:, None].expand(64, 8, 3, 4)
    single = CQLLoss(*networks).cql_loss(data)
    monkeypatch.setattr(torch, "rand", lambda *size, **kwargs: scores)
    options = {"penalty": "joint", "num_action_samples": 64}
    joint = CQLLoss(*networks, importance_sampling=False, **options).cql_loss(data)
    torch.testing.assert_close(joint, 3 * single)
    # Each stands for 4^3 actions, and there are two critics.
    corrected = CQLLoss(*networks, **options).cql_loss(data)
    torch.testing.assert_close(corrected, joint + 2 * 3 * math.log(4))


class Bump(nn.Module):
    """Q_i = - sharpness (a - 0.3)^2, summed over features: the best action is known."""

    def __init__(self, sharpness=4.0):
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def forward(self, observation, action):
        return -self.sharpness * (action - 0.3).square().sum(-1)[..., None, None]


def bump(sharpness=4.0):
    keys = [("agents", "observation"), ("agents", "action")]
    return TensorDictModule(Bump(sharpness), keys, [("agents", "local_qvalue")])


@pytest.mark.parametrize(("loc", "scale", "useful"), [(0.0, 1.0, 3), (8.9, 0.02, 1)])
def test_log_sums_estimate_the_integral_whatever_the_policy(loc, scale, useful):
    """Each kind of candidates estimates it; those of a policy at the bound find next to nothing of it."""
    torch.manual_seed(0)
    spec, samples = TeamSpec(1, 5, 1, 5), 4000
    actor = tanh_gaussian_actor(spec, hidden_sizes=(8,))
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.zero_()
        actor[0].module.network.body[-1].bias.copy_(torch.tensor([loc, math.log(scale)]))
    loss = CQLLoss(actor, bump(), num_action_samples=samples)
    data = spec.fake_batch(4)
    grid = torch.linspace(-1, 1, 20_001)
    integral = torch.trapezoid((-4 * (grid - 0.3).square()).exp(), grid).log()
    value = -4 * (data["agents", "action"] - 0.3).square().sum(-1)
    found = loss.cql_loss(data).item() - math.log(samples * useful)
    assert found == pytest.approx((integral - value.mean()).item(), abs=0.05)


def test_maximising_policies_find_the_best_action():
    torch.manual_seed(0)
    actor = tanh_gaussian_actor(CONTINUOUS, hidden_sizes=(8,))
    loss = CQLLoss(actor, bump(), num_action_samples=1, entropy_coeff=0.01)
    ForeachSoftUpdate(loss, tau=0.5)
    optimizer = torch.optim.Adam(actor.parameters(), 0.02)
    data = CONTINUOUS.fake_batch(64)
    for _ in range(250):
        loss.actor_loss(data).backward()
        optimizer.step()
        optimizer.zero_grad()
    mean = actor.get_dist(data).deterministic_sample
    assert (mean - 0.3).abs().mean() < 0.05


def test_penalty_by_hand():
    """Two agents with values (1, 0), of whom one plays the first action and one the second."""
    qvalue = table("local_qvalue", [1.0], [0.0])
    loss = CQLLoss(None, qvalue, VDNMixer(2).as_weight_module(), cql_alpha=2.0)
    ForeachSoftUpdate(loss, tau=0.5)
    data = bandit_spec(agents=2).fake_batch(4)
    data["agents", "action"] = torch.tensor([[0, 1]] * 4)
    # log(e + 1) - 1 and log(e + 1) - 0, half of each.
    one = math.log(math.e + 1)
    assert loss(data)["loss_cql"].item() == pytest.approx(2 * ((one - 1) + one) / 2, rel=1e-5)
