"""`ReBRACLoss`: the contract, and the target and the policy's loss by hand."""

from __future__ import annotations

import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.modules.builders import make_mixer, qvalue_ensemble
from omiga_torchrl.objectives import ForeachSoftUpdate, ReBRACLoss
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import CONTINUOUS, LossContract, fixed_noise, sequences

ONE = TeamSpec(n_agents=1, observation_size=1, action_size=2, state_size=1)


class TestReBRAC(LossContract):
    trained = {"loss_qvalue": {"qvalue_network", "mixer_network"}, "loss_actor": {"actor_network"}}
    samples = True

    @staticmethod
    def make(spec, **kwargs):
        actor, mixer = deterministic_actor(spec, hidden_sizes=(8,)), make_mixer(spec, "linear", (8,))
        return ReBRACLoss(actor, qvalue_ensemble(spec, 2, hidden_sizes=(8,)), mixer, **kwargs)

    def fit(self, spec):
        return CONTINUOUS

    def draw(self, spec, *batch):
        return sequences(spec, *batch)


def by_hand(penalty):
    """Target of step 0 of a sequence of two: r + 0.5 (Qbar - penalty |abar - a'|^2)."""
    torch.manual_seed(0)
    arguments = {"policy_noise": 0.0, "critic_bc_coeff": penalty, "gamma": 0.5, "mixer": "none"}
    loss = make_algorithm("rebrac", ONE, hidden_sizes=[4], **arguments).loss
    ForeachSoftUpdate(loss, tau=0.1)
    data = sequences(ONE, 1, time=2)
    data["next", "terminated"].fill_(False)
    return loss, data


def test_the_target_pays_for_the_distance_from_the_next_action():
    found = {}
    for penalty in (0.0, 1.0):
        loss, data = by_hand(penalty)
        batch = loss.view(data)
        pi = batch.next.target.policy_action[0, 0, 0]
        loss.qvalue_loss(batch)
        found[penalty] = float(batch.priority[0, 0])
        distance = float((pi - data["agents", "action"][0, 1, 0]).square().sum())
        next_q = float(batch.next.target.q_at(batch.next.target.policy_action)[0, 0].min())
        target = float(data["next", "reward"][0, 0]) + 0.5 * (next_q - penalty * distance)
        twins = batch.q_tot[0, 0, 0]
        torch.testing.assert_close(batch.priority[0, 0], (twins - target).abs().mean().detach())
    assert found[0.0] != found[1.0]


def test_the_last_step_of_a_slice_has_no_target():
    loss, data = by_hand(1.0)
    changed = data.clone()
    changed["next", "reward"][:, -1] += 100.0
    torch.testing.assert_close(loss.qvalue_loss(changed), loss.qvalue_loss(data))


def test_the_policy_loss_by_hand():
    loss, data = by_hand(0.0)
    with fixed_noise():
        batch = loss.view(data)
        error = (batch.policy_action - batch.action).square().sum(-1)
        q = batch.q_at(batch.policy_action).amin(-1)
        expected = (0.1 * error - q / q.detach().abs().mean()).mean()
        torch.testing.assert_close(loss.actor_loss(batch), expected)
