from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.objectives import ValueEstimators

from omiga_torchrl import functional as F
from omiga_torchrl.algorithms import icq_networks
from omiga_torchrl.modules import AgentMLP, VDNMixer
from omiga_torchrl.objectives import ForeachSoftUpdate, ICQLoss
from omiga_torchrl.testing import (
    CONTINUOUS,
    DISCRETE,
    assert_actions_unread,
    permute_agents,
    sequences,
)
from tests.objectives.icq_cases import MODES, ready, steady_behavior, total

# Targets ---------------------------------------------------------------------------------


def test_target_by_hand():
    loss, data = ready(td_lambda=0.0, critic_temperature=1.5, gamma=0.9), sequences(CONTINUOUS, 3, time=2)
    data["next", "terminated"][:] = False
    values = total(loss, data, target=True)[:, 1]
    rho = 3 * (values / 1.5).softmax(0)
    y = data["next", "reward"][:, 0, 0] + 0.9 * rho * values
    expected = (total(loss, data)[:, 0] - y).square().mean()
    torch.testing.assert_close(loss(data)["loss_qvalue"], expected)


@settings(deadline=None, max_examples=10)
@given(st.integers(2, 6), st.floats(0, 1), st.integers(0, 2**31))
def test_lambda_target_equals_brute_force(time, lmbda, seed):
    torch.manual_seed(seed)
    loss, data = ready(td_lambda=lmbda, gamma=0.9), sequences(CONTINUOUS, 3, time=time)
    value = total(loss, data, target=True)
    ended = data["next", "terminated"][:, -1, 0]
    boots = torch.ones(3, time, dtype=torch.bool)
    boots[:, -1] = False
    following = torch.cat([value[:, 1:], value[:, -1:]], 1)
    rho = F.softmax_weight(following / 2.0, (0, 1), boots)
    reward, got = data["next", "reward"].squeeze(-1), loss.qvalue_target(data)
    for b in range(3):
        for t in range(time - 1):
            y = value[b, t].clone()  # Q_t + sum_k (gamma lambda)^k (r + gamma rho Q' - Q)
            for k in range(time - 1 - t):
                error = reward[b, t + k] + 0.9 * rho[b, t + k] * value[b, t + k + 1] - value[b, t + k]
                y += (0.9 * lmbda) ** k * error
            if ended[b]:
                y += (0.9 * lmbda) ** (time - 1 - t) * (reward[b, -1] - value[b, -1])
            assert got[b, t].item() == pytest.approx(y.item(), rel=1e-4, abs=1e-4)
        if ended[b]:
            assert got[b, -1].item() == pytest.approx(reward[b, -1].item())


def test_huge_critic_temperature_is_sarsa():
    loss, data = ready(td_lambda=0.0, critic_temperature=1e9), sequences(CONTINUOUS, 8)
    got = loss.qvalue_target(data)[:, :-1]
    following = total(loss, data, target=True)[:, 1:]
    torch.testing.assert_close(got, data["next", "reward"][:, :-1, 0] + 0.99 * following)


def test_only_terminated_steps_have_a_target_without_a_successor():
    loss, data = ready(reduction="none"), sequences(CONTINUOUS, 16)
    out = loss(data)
    ended = data["next", "terminated"][:, -1, 0]
    assert (out["loss_qvalue"][:, :-1] != 0).all()
    assert torch.equal(out["loss_qvalue"][:, -1] != 0, ended)
    assert (out["loss_actor"] != 0).all()  # the policy needs no successor
    target = data["next", "reward"][ended, -1, 0]
    expected = (total(loss, data)[ended, -1] - target).square()
    torch.testing.assert_close(out["loss_qvalue"][ended, -1], expected)


def test_ends_of_slices_do_not_stop_bootstrapping_and_terminations_do():
    """SliceSampler marks the last step of every slice as done and truncated."""
    loss, data = ready(), sequences(CONTINUOUS, 4)
    expected = loss.qvalue_target(data)
    data["next", "done"][:, -1] = False
    torch.testing.assert_close(loss.qvalue_target(data), expected)


def test_estimators():
    loss, data = ready(td_lambda=0.0), sequences(CONTINUOUS, 4)
    assert loss.value_type == ValueEstimators.TD0
    one_step = loss.qvalue_target(data)
    loss.make_value_estimator(ValueEstimators.TDLambda, lmbda=0.7, gamma=0.99)
    assert not loss.qvalue_target(data).allclose(one_step)
    assert loss.lmbda.item() == 0.7


@MODES
@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_one_loss_a_time_step_adds_up_to_the_whole(options, spec):
    loss, data = ready(spec, **options), sequences(spec, 8)
    target = loss.qvalue_target(data)
    ended = int(data["next", "terminated"][:, -1].sum())
    counts = [8, 8, 8, ended]
    each = [loss.qvalue_loss(data, target=target, step=t) * n for t, n in enumerate(counts)]
    torch.testing.assert_close(sum(each) / sum(counts), loss(data)["loss_qvalue"])
    torch.testing.assert_close(loss.qvalue_loss(data, target=target), loss(data)["loss_qvalue"])
    assert not target.requires_grad


# In-sample -------------------------------------------------------------------------------


def test_is_in_sample_q_of_other_actions_and_entries_under_next_change_nothing():
    loss, data = ready(DISCRETE), sequences(DISCRETE, 8)
    data["agents", "action"][:] = 0
    data["agents", "action_mask"][..., 0] = True
    assert_actions_unread(loss, data, 1)
    expected = loss(data)
    data["next", "agents", "observation"][:] = float("nan")
    data["next", "state"][:] = float("nan")
    for key, value in loss(data).items():
        torch.testing.assert_close(value, expected[key], msg=str(key))


# Structure -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(3)), st.integers(0, 1000))
def test_permuting_agents_permutes_the_losses(order, seed):
    torch.manual_seed(seed)
    networks = icq_networks(CONTINUOUS, hidden_sizes=(8,))
    for network in networks[:2]:  # without the agent id the networks are equivariant
        for module in network.modules():
            if isinstance(module, AgentMLP):
                module.agent_id = False
                sizes = (module.in_features, module.body[-1].out_features, 3)
                module.body = AgentMLP(*sizes, hidden_sizes=(8,), agent_id=False).body
    loss = ICQLoss(*networks[:2], VDNMixer(3).as_weight_module(), reduction="none")
    ForeachSoftUpdate(loss, tau=0.5)
    data = sequences(CONTINUOUS, 4)
    first, second = loss(data), loss(permuted_sequences(data, list(order)))
    torch.testing.assert_close(second["loss_actor"], first["loss_actor"][..., list(order)])
    torch.testing.assert_close(second["loss_qvalue"], first["loss_qvalue"])


def permuted_sequences(data, order):
    flat = data.flatten()
    return permute_agents(flat, torch.tensor(order)).reshape(data.shape)


def test_networks_see_whole_sequences_so_that_they_may_remember():
    class Summing(nn.Module):
        """Q of everything observed so far."""

        def __init__(self):
            super().__init__()
            self.head = AgentMLP(7, 1, 3, hidden_sizes=(8,))

        def forward(self, observation, action):
            return self.head(observation.cumsum(-3), action)

    module = TensorDictModule(
        Summing(), [("agents", "observation"), ("agents", "action")], [("agents", "local_qvalue")]
    )
    networks = icq_networks(CONTINUOUS, hidden_sizes=(8,))
    for estimate in ("batch", "behavior"):
        behavior = steady_behavior(CONTINUOUS) if estimate == "behavior" else None
        loss = ICQLoss(
            *(networks.actor, module, networks.mixer),
            behavior_network=behavior,
            partition_estimate=estimate,
        )
        ForeachSoftUpdate(loss, tau=0.5)
        data = sequences(CONTINUOUS, 4)
        before = loss.qvalue_target(data)
        data["agents", "observation"][:, 0] += 1.0  # an earlier step reaches later targets
        changed = loss.qvalue_target(data)
        assert not changed[:, 1:-1].isclose(before[:, 1:-1]).any()


def test_terms_evaluate_only_the_networks_they_need(monkeypatch):
    calls = []
    original = AgentMLP.forward
    monkeypatch.setattr(AgentMLP, "forward", lambda self, *x: calls.append(self) or original(self, *x))
    loss, data = ready(), sequences(CONTINUOUS, 8)
    for evaluate, count in ((loss, 3), (loss.actor_loss, 2), (loss.qvalue_loss, 2)):
        calls.clear()
        evaluate(data)
        assert len(calls) == count  # Q, target Q, policy
