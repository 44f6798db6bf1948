"""ICQ's theorems on small problems that are solved exactly.

No example was found that breaks a published bound: 1500 random MDPs besides those below kept
Theorem 2 (rewards from 0.03 to 30, alpha from 0.03 to 30, gamma from 0.1 to 0.97).
"""

from __future__ import annotations

import math

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import nn
from torch.distributions import Categorical

from omiga_torchrl import functional as F
from omiga_torchrl.envs.tabular_games import matrix_game, tabular_game
from omiga_torchrl.envs.tabular_solutions import enumerate_episodes, optimal_actions
from omiga_torchrl.modules import VDNMixer, categorical_actor
from omiga_torchrl.objectives import ForeachSoftUpdate, ICQLoss
from tests.objectives.test_theory import GAME, table

DOUBLE = {"dtype": torch.float64}


def random_mdps(count, *, states=4, actions=3, deterministic=False):
    """Transitions ``[M, S, A, S]``, rewards ``[M, S, A]`` in [-1, 1], behavior policies ``[M, S, A]``."""
    generator = torch.Generator().manual_seed(0)
    transition = torch.rand(count, states, actions, states, generator=generator, **DOUBLE) ** 4
    if deterministic:
        transition = nn.functional.one_hot(transition.argmax(-1), states).double()
    transition = transition / transition.sum(-1, keepdim=True)
    reward = 2 * torch.rand(count, states, actions, generator=generator, **DOUBLE) - 1
    mu = torch.rand(count, states, actions, generator=generator, **DOUBLE) ** 2 + 1e-3
    return transition, reward, mu / mu.sum(-1, keepdim=True)


def backed_up(value, transition, reward, gamma):
    return reward + gamma * (transition * value[:, None, None, :]).sum(-1)


def icq_operator(q, mdp, alpha, gamma):
    """``r + gamma E_s' E_a'~mu [exp(Q / alpha) / Z Q]`` by the library's kernels."""
    transition, reward, mu = mdp
    log_z = F.log_partition(q / alpha, mu.log())
    rho = F.policy_weight(q / alpha - log_z.unsqueeze(-1), max_exponent=1e9)
    return backed_up((mu * rho * q).sum(-1), transition, reward, gamma)


def greedy_operator(q, mdp, gamma):
    return backed_up(q.amax(-1), mdp[0], mdp[1], gamma)


def iterated(operator, q, times=300):
    for _ in range(times):
        q = operator(q)
    return q


# Theorem 2 -------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.5, 0.9])
@pytest.mark.parametrize("alpha", [0.05, 0.3, 1.0, 5.0])
def test_fixed_points_respect_the_bounds_of_theorem_2(alpha, gamma):
    mdps = random_mdps(50)
    mu, actions = mdps[2], 3
    best = iterated(lambda q: greedy_operator(q, mdps, gamma), torch.zeros_like(mu))
    expert = best.argmax(-1, keepdim=True)
    ratio = (mu.gather(-1, expert) / mu).scatter(-1, expert, math.inf)
    c, largest = ratio.flatten(1).amin(-1), 1 / (1 - gamma)
    slack = torch.maximum(1 / ((1 / alpha + 1) * c + 1), 2 * largest / (1 + c * math.exp(1 / alpha)))
    lower = best - (gamma * (actions - 1) / (1 - gamma) * slack)[:, None, None]
    for start in (torch.zeros_like(mu), torch.full_like(mu, largest), -best):
        q = iterated(lambda q: icq_operator(q, mdps, alpha, gamma), start)
        for _ in range(5):  # it need not converge to a point: bounds on limsup and liminf
            q = icq_operator(q, mdps, alpha, gamma)
            assert (q <= best + 1e-9).all() and (q >= lower - 1e-9).all()


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 1.0])
def test_distance_to_the_greedy_operator_decays_exponentially_with_one_over_alpha(alpha):
    """One state, two actions alike in the data, rewards 0 and 1: the distance in closed form."""
    mdp = (torch.ones(1, 1, 2, 1, **DOUBLE), torch.tensor([[[0.0, 1.0]]], **DOUBLE))
    mdp = (*mdp, torch.full((1, 1, 2), 0.5, **DOUBLE))
    q = iterated(lambda q: icq_operator(q, mdp, alpha, 0.9), torch.zeros(1, 1, 2, **DOUBLE), 500)
    best = iterated(lambda q: greedy_operator(q, mdp, 0.9), torch.zeros(1, 1, 2, **DOUBLE), 500)
    expected = 0.9 / (1 - 0.9) / (1 + math.exp(1 / alpha))
    assert (best - q).flatten().tolist() == pytest.approx([expected, expected], rel=1e-4)
    # eq. 13's term for this distance, with C = 1 and |A| = 2
    assert expected <= 0.9 / (1 - 0.9) * max(1 / (1 / alpha + 2), 2 * 10 / (1 + math.exp(1 / alpha)))


def test_small_alpha_is_greedy_on_the_data_and_large_alpha_evaluates_the_behavior_policy():
    mdps = random_mdps(10)
    transition, reward, mu = mdps
    q = iterated(lambda q: icq_operator(q, mdps, 1e-4, 0.9), torch.zeros_like(mu))
    best = iterated(lambda q: greedy_operator(q, mdps, 0.9), torch.zeros_like(mu))
    torch.testing.assert_close(q, best, rtol=0, atol=1e-3)
    q = iterated(lambda q: icq_operator(q, mdps, 1e9, 0.9), torch.zeros_like(mu))
    torch.testing.assert_close(q, backed_up((mu * q).sum(-1), transition, reward, 0.9))


# Theorem 1 -------------------------------------------------------------------------------


def norm(matrix):
    return matrix.abs().sum(-1).max().item() if matrix.numel() else 0.0


def test_propagation_of_extrapolation_error_respects_theorem_1():
    """``e = gamma P^pi e + (0, e_b)`` solved exactly, for deterministic MDPs."""
    generator = torch.Generator().manual_seed(1)
    reached = 0
    for i, transition in enumerate(random_mdps(200, deterministic=True)[0]):
        gamma = (0.5, 0.9, 0.99)[i % 3]
        policy = torch.rand(4, 3, generator=generator, **DOUBLE) ** 3
        policy = policy / policy.sum(-1, keepdim=True)
        pairs = (transition.unsqueeze(-1) * policy).reshape(12, 12)
        seen = torch.rand(12, generator=generator) < 0.6
        error_b = torch.randn(12, generator=generator, **DOUBLE).masked_fill(seen, 0.0)
        error = torch.linalg.solve(torch.eye(12, **DOUBLE) - gamma * pairs, error_b)
        to_unseen = norm(pairs[seen][:, ~seen])
        bound = gamma * to_unseen / ((1 - gamma) * (1 - gamma * norm(pairs[seen][:, seen])))
        assert norm(error[seen].unsqueeze(-1)) <= bound * error_b.abs().max() + 1e-12
        reached += to_unseen > 0
    assert reached > 150


def test_bcq_style_targets_carry_the_error_of_unseen_pairs_and_icqs_do_not():
    """One action of each state is not in the data; its value is overestimated by 100."""
    transition, reward, mu = random_mdps(20, deterministic=True)
    unseen = torch.zeros_like(mu, dtype=torch.bool).scatter_(-1, mu.argmin(-1, keepdim=True), True)
    support = mu.masked_fill(unseen, 0.0)
    mdps = (transition, reward, support / support.sum(-1, keepdim=True))
    true = iterated(lambda q: icq_operator(q, mdps, 0.3, 0.9), torch.zeros_like(mu))
    wrong = torch.where(unseen, 100.0, 0.0).double()
    # ICQ: unseen pairs keep their wrong value, seen ones are evaluated; P_su is 0, as Theorem 1 wants
    q = iterated(lambda q: torch.where(unseen, wrong, icq_operator(q, mdps, 0.3, 0.9)), wrong)
    torch.testing.assert_close(q[~unseen], true[~unseen])
    # BCQ: the best of actions from a model of the data, which proposes unseen ones now and then
    q = iterated(lambda q: torch.where(unseen, wrong, greedy_operator(q, mdps, 0.9)), wrong)
    assert (q[~unseen] > 80).all()
    # and behavior weights are in-sample only as far as their model is: one percent of mass suffices
    leaky = (transition, reward, 0.99 * mdps[2] + 0.01 * unseen)
    q = iterated(lambda q: torch.where(unseen, wrong, icq_operator(q, leaky, 0.3, 0.9)), wrong)
    assert (q[~unseen] > 80).all()


# The loss is the operator ------------------------------------------------------------------


def categorical(layer):
    return ProbabilisticTensorDictSequential(
        TensorDictModule(layer, [("agents", "observation")], [("agents", "logits")]),
        ProbabilisticTensorDictModule(
            {"logits": ("agents", "logits")}, [("agents", "action")], distribution_class=Categorical
        ),
    )


def tabular_layer(values):
    layer = nn.Linear(len(values), values.shape[1], bias=False)
    layer.weight = nn.Parameter(values.T.clone())
    return layer


def every_pair(mdp):
    """Sequences ``(s, a, s', a')`` of length 2, one for each with a deterministic transition."""
    transition, reward = mdp[0][0], mdp[1][0]
    pairs = torch.cartesian_prod(*map(torch.arange, (4, 3, 3)))
    state, action, then = pairs.unbind(-1)
    following = transition.argmax(-1)[state, action]
    states, actions = torch.stack([state, following], 1), torch.stack([action, then], 1)
    ended = torch.zeros(len(pairs), 2, 1, dtype=torch.bool)
    data = TensorDict(
        {
            "agents": {
                "observation": nn.functional.one_hot(states, 4).double().unsqueeze(-2),
                "action": actions.unsqueeze(-1),
            },
            "next": {"reward": reward[states, actions].unsqueeze(-1), "done": ended, "terminated": ended},
        },
        [len(pairs), 2],
    )
    return data, pairs


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mean_target_over_the_behavior_policy_is_the_operator(alpha):
    mdp = random_mdps(1, deterministic=True)
    mu = mdp[2][0]
    q = torch.randn(4, 3, generator=torch.Generator().manual_seed(5), **DOUBLE)
    qvalue = TensorDictModule(tabular_layer(q), [("agents", "observation")], [("agents", "local_qvalue")])
    loss = ICQLoss(
        categorical(tabular_layer(q)),
        qvalue,
        behavior_network=categorical(tabular_layer(mu.log())),
        partition_estimate="behavior",
        critic_temperature=alpha,
        gamma=0.9,
    ).double()
    ForeachSoftUpdate(loss, tau=0.5)
    data, pairs = every_pair(mdp)
    target = loss.qvalue_target(data)[:, 0].reshape(4, 3, 3)
    following = mdp[0][0].argmax(-1)
    mean = (mu[following] * target).sum(-1)
    expected = icq_operator(q.unsqueeze(0), mdp, alpha, 0.9)[0]
    torch.testing.assert_close(mean, expected, rtol=1e-6, atol=1e-6)
    assert len(pairs) == 36


# Two estimates of Z ------------------------------------------------------------------------


def test_softmax_weights_converge_to_behavior_weights_in_one_state():
    torch.manual_seed(0)
    mu, q = torch.tensor([0.5, 0.3, 0.2], **DOUBLE), torch.tensor([0.0, 1.0, 2.0], **DOUBLE)
    exact = (q - F.log_partition(q, mu.log())).exp()
    errors = []
    for size in (100, 10_000, 1_000_000):
        drawn = torch.multinomial(mu, size, replacement=True)
        weight = F.softmax_weight(q[drawn], (0,))
        errors.append((weight - exact[drawn]).abs().max().item())
    assert errors[0] > errors[1] > errors[2] and errors[2] < 5e-3


def test_softmax_weights_of_several_states_share_one_partition_function():
    """A limit of the batch estimate: it tends to ``exp(x) / E_s Z(s)``, not to ``exp(x) / Z(s)``."""
    torch.manual_seed(0)
    mu = torch.tensor([[0.5, 0.5], [0.5, 0.5]], **DOUBLE)
    q = torch.tensor([[0.0, 1.0], [2.0, 3.0]], **DOUBLE)  # the same advantages, other values
    state = torch.randint(2, (400_000,))
    action = torch.multinomial(mu[state], 1).squeeze(-1)
    weight = F.softmax_weight(q[state, action], (0,))
    z = F.log_partition(q, mu.log()).exp()
    shared = q.exp() / z.mean()
    torch.testing.assert_close(weight, shared[state, action], rtol=0.02, atol=0)
    own = q.exp() / z.unsqueeze(-1)
    assert own[0].equal(own[1]) or torch.allclose(own[0], own[1])
    assert shared[1, 1] > 7 * shared[0, 1]


# Games -------------------------------------------------------------------------------------


def solved(data, alpha, steps=400):
    torch.manual_seed(0)
    actor = categorical_actor(GAME, hidden_sizes=(8,))
    loss = ICQLoss(actor, table(2, "local_qvalue"), VDNMixer(2).as_weight_module(), policy_temperature=alpha)
    updater = ForeachSoftUpdate(loss, tau=0.1)
    optimizer = torch.optim.Adam(loss.parameters(), 0.05)
    for _ in range(steps):
        out = loss(data)
        (out["loss_qvalue"] + out["loss_actor"]).backward()
        optimizer.step()
        optimizer.zero_grad()
        updater.step()
    return actor.get_dist(data[:1]).probs[0, 0].detach()  # [agents, actions]


@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_ninety_ten_game_has_its_exact_solution(alpha):
    """90 % of the data at the bad joint action, 10 % at the good one; Q_i splits the reward evenly."""
    game = matrix_game([[0, 0], [0, 1]])
    data = enumerate_episodes(game, torch.tensor([[True, False, False, True]]))
    data = data[torch.tensor([0] * 90 + [1] * 10)]
    good = 0.1 * math.exp(0.5 / alpha) / (0.9 + 0.1 * math.exp(0.5 / alpha))
    assert solved(data, alpha)[:, 1].tolist() == pytest.approx([good, good], abs=0.02)


def test_xor_is_a_known_limit():
    """Two equally good joint actions: a factorised policy mixes them; weighted cloning is cloning."""
    game = tabular_game("xor")
    data = enumerate_episodes(game, optimal_actions(game))
    assert solved(data, 0.1).flatten().tolist() == pytest.approx([0.5] * 4, abs=0.05)
