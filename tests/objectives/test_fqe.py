"""`FQELoss`: the contract, the equation in float64, and the value of a policy that is known."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.objectives import ForeachSoftUpdate, FQELoss
from omiga_torchrl.selection import FQEConfig
from omiga_torchrl.specs import TeamSpec
from tests.objectives.bandit import bandit, table
from tests.objectives.contract import CONTINUOUS, SPECS, LossContract
from tests.objectives.cql_cases import builder


class _FQE(LossContract):
    mixer = "linear"

    def draw(self, spec, *batch):
        data = spec.fake_batch(*batch)
        data["next", "agents", "action"] = spec.fake_batch(*batch)["agents", "action"]
        return data

    @classmethod
    def make(cls, spec, **kwargs):
        build = builder(spec, cls.mixer)
        return FQELoss(build.qvalue(), build.mixer(), **kwargs)


class TestLinear(_FQE):
    trained = {"loss_qvalue": {"qvalue_network", "mixer_network"}}


class TestQMIX(_FQE):
    mixer = "qmix"
    trained = {"loss_qvalue": {"qvalue_network", "mixer_network"}}


class TestIndependent(_FQE):
    mixer = "none"
    trained = {"loss_qvalue": {"qvalue_network"}}
    team_terms = set()


def updated(loss):
    """The loss with its targets equal to the networks and an updater, without which TorchRL warns."""
    ForeachSoftUpdate(loss, tau=0.5)
    return loss


@SPECS
def test_the_target_has_the_given_next_action_and_no_maximum(spec):
    torch.manual_seed(0)
    loss = updated(_FQE.make(spec, gamma=0.9))
    data = _FQE().draw(spec, 16)
    view = loss.view(data)
    nxt = loss.view(data).next.target
    local = nxt.q_at(data["next", "agents", "action"]) if spec.discrete else nxt.q_values.squeeze(-2)
    weight, bias = nxt.mixer_output
    next_value = (weight * local.mean(-1)).sum(-1) + bias
    reward, terminated = data["next", "reward"].squeeze(-1), data["next", "terminated"].squeeze(-1)
    target = reward + 0.9 * (~terminated) * next_value
    expected = (view.q_tot - target.unsqueeze(-1)).square().sum(-1).mean()
    torch.testing.assert_close(loss(data)["loss_qvalue"], expected)
    other = data.clone()
    other["next", "agents", "action"] = data["next", "agents", "action"].roll(1, 0)
    assert loss(other)["loss_qvalue"] != loss(data)["loss_qvalue"]


def test_the_value_is_the_evaluated_policys_not_the_best():
    """One state for ever: action 0 gives 1, action 1 gives 0. Of the policy that takes 1, Q = (1, 0)."""
    loss = FQELoss(table("local_qvalue", 0.0, 0.0), gamma=0.5)
    updater = ForeachSoftUpdate(loss, tau=0.5)
    data = bandit([0, 1], [1.0, 0.0], terminated=False)
    data["next", "agents", "action"] = torch.tensor([[1], [1]])
    optimizer = torch.optim.SGD(loss.qvalue_network_params.parameters(), lr=0.2)
    for _ in range(200):
        optimizer.zero_grad()
        loss(data)["loss_qvalue"].backward()
        optimizer.step()
        updater.step()
    (values,) = loss.qvalue_network_params.parameters()
    torch.testing.assert_close(values.detach(), torch.tensor([1.0, 0.0]), atol=1e-3, rtol=0)


def test_targets_stay_in_the_value_range():
    free, bound = (updated(_FQE.make(CONTINUOUS, value_range=x)) for x in (None, (-0.01, 0.01)))
    bound.load_state_dict(free.state_dict())
    data = _FQE().draw(CONTINUOUS, 8)
    q = bound.view(data).q_tot
    low, high = (q - 0.01).square(), (q + 0.01).square()
    largest = torch.maximum(low, high).sum(-1).mean()
    assert bound(data)["loss_qvalue"] <= largest < free(data)["loss_qvalue"]
    with pytest.raises(ValueError, match=r"value_range is \(1.0, 1.0\); expected \(low, high\)"):
        _FQE.make(CONTINUOUS, value_range=(1.0, 1.0))


def test_missing_actions_of_the_policy_are_named():
    with pytest.raises(KeyError, match=r"\('next', 'agents', 'action'\).*is missing"):
        updated(_FQE.make(CONTINUOUS))(CONTINUOUS.fake_batch(8))


def test_a_team_of_groups_is_evaluated():
    spec = TeamSpec.from_groups(
        {"cars": TeamSpec(2, 6, 3, 20), "lamps": TeamSpec(1, 4, 5, 20, discrete=True)}
    )
    data = spec.fake_batch(8)
    for name in spec.groups:
        data["next", name, "action"] = data[name, "action"].flip(0)
    loss = updated(FQEConfig(hidden_sizes=(8,)).loss(spec))
    assert loss(data)["loss_qvalue"].isfinite()
