"""`MATD3BCLoss`: the contract, and the published gradient beside the detached one."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.modules.state_critic import state_qvalue_network
from omiga_torchrl.objectives import MATD3BCLoss
from omiga_torchrl.testing import CONTINUOUS, LossContract


class TestMATD3BC(LossContract):
    trained = {"loss_qvalue": {"qvalue_network"}, "loss_actor": {"actor_network"}}
    team_terms: set[str] = set()

    @staticmethod
    def make(spec, **kwargs):
        critics = state_qvalue_network(spec, 2, (8,))
        return MATD3BCLoss(deterministic_actor(spec, hidden_sizes=(8,)), critics, **kwargs)

    def fit(self, spec):
        return CONTINUOUS


@pytest.mark.parametrize(("variant", "moves"), [("paper", True), ("official", False)])
def test_the_published_gradient_of_q_vanishes_where_all_q_have_one_sign(variant, moves):
    torch.manual_seed(0)
    loss = make_algorithm("matd3_bc", CONTINUOUS, hidden_sizes=[8], variant=variant, action_penalty=0.0).loss
    with torch.no_grad():  # all Q far above zero
        for value in loss.qvalue_network_params.values(True, True):
            if value.shape[-1:] == (1,) or value.shape == (1,):
                value.add_(50.0)
    data = CONTINUOUS.fake_batch(16)
    batch = loss.view(data)
    data["agents", "action"] = batch.policy_action.detach()  # cloning has no gradient there
    grads = torch.autograd.grad(loss.actor_loss(data), list(loss.actor_network_params.values(True, True)))
    size = sum(float(grad.abs().sum()) for grad in grads)
    assert (size > 1e-4) == moves, size


def test_the_penalty_is_the_size_of_the_policys_actions():
    torch.manual_seed(0)
    data, found = CONTINUOUS.fake_batch(16), []
    for penalty in (0.0, 0.5):
        torch.manual_seed(1)
        options = {"hidden_sizes": [8], "action_penalty": penalty}
        loss = make_algorithm("matd3_bc", CONTINUOUS, **options).loss
        found.append(loss.actor_loss(data))
    size = loss.view(data).policy_action.square().mean()
    torch.testing.assert_close(found[1] - found[0], 0.5 * size)
