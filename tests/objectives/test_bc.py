from __future__ import annotations

import torch

from omiga_torchrl.modules import make_actor
from omiga_torchrl.objectives import MultiAgentBCLoss
from tests.objectives.contract import CONTINUOUS, DISCRETE, SPECS, LossContract


class TestMultiAgentBCLoss(LossContract):
    trained = {"loss_actor": {"actor_network"}}

    @staticmethod
    def make(spec, **kwargs):
        return MultiAgentBCLoss(make_actor(spec, hidden_sizes=(8,)), **kwargs)


def test_is_the_negative_log_likelihood_not_an_error_of_means():
    actor, data = make_actor(CONTINUOUS, hidden_sizes=(8,)), CONTINUOUS.fake_batch(8)
    expected = -actor.get_dist(data).log_prob(data["agents", "action"]).mean()
    torch.testing.assert_close(MultiAgentBCLoss(actor)(data)["loss_actor"], expected)


def test_discrete_is_cross_entropy_over_legal_actions():
    actor, data = make_actor(DISCRETE, hidden_sizes=(8,)), DISCRETE.fake_batch(8)
    mask, action = data["agents", "action_mask"], data["agents", "action"]
    logits = actor.module[0].module.network(data["agents", "observation"])
    legal = torch.where(mask, logits.exp(), 0.0)
    probability = legal.gather(-1, action.unsqueeze(-1)).squeeze(-1) / legal.sum(-1)
    torch.testing.assert_close(MultiAgentBCLoss(actor)(data)["loss_actor"], -probability.log().mean())


def test_one_hot_and_trailing_actions_equal_integers():
    data = DISCRETE.fake_batch(8)
    loss = MultiAgentBCLoss(make_actor(DISCRETE, hidden_sizes=(8,)))
    expected, action = loss(data)["loss_actor"], data["agents", "action"]
    for other in (torch.nn.functional.one_hot(action, 4), action.unsqueeze(-1)):
        data["agents", "action"] = other
        torch.testing.assert_close(loss(data)["loss_actor"], expected)


@SPECS
def test_learns_the_majority_action(spec):
    torch.manual_seed(0)
    actor, data = make_actor(spec, hidden_sizes=(32,)), spec.fake_batch(64)
    data["agents", "action"][:] = 1 if spec.discrete else 0.5
    if spec.masked:
        data["agents", "action_mask"][..., 1] = True
    loss = MultiAgentBCLoss(actor)
    optimizer = torch.optim.Adam(loss.parameters(), 1e-2)
    for _ in range(200):
        loss(data)["loss_actor"].backward()
        optimizer.step()
        optimizer.zero_grad()
    got = actor(data.exclude(("agents", "action")))["agents", "action"]
    torch.testing.assert_close(got.float(), data["agents", "action"].float(), atol=0.1, rtol=0)
