"""ICQ with every mixer, without one, and with an ensemble of critics."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from omiga_torchrl.algorithms import icq_networks
from omiga_torchrl.modules import VDNMixer
from omiga_torchrl.objectives import ForeachSoftUpdate, ICQLoss
from tests.objectives.contract import CONTINUOUS, DISCRETE, losses_of, sequences
from tests.objectives.icq_cases import MODES, ready, steady_behavior

ESTIMATES = pytest.mark.parametrize(
    "options", [{}, {"partition_estimate": "behavior"}], ids=["batch", "behavior"]
)


@ESTIMATES
@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_a_monotonic_mixer_that_is_linear_gives_the_losses_of_a_linear_one(options, spec):
    networks, behavior = icq_networks(spec, hidden_sizes=(8,)), steady_behavior(spec)
    data, found = sequences(spec, 8), []
    for mixer in (VDNMixer(3).as_weight_module(), VDNMixer(3).as_value_module()):
        parts = {"behavior_network": deepcopy(behavior), **options} if options else {}
        nets = (deepcopy(networks.actor), deepcopy(networks.qvalue), mixer)
        loss = ICQLoss(*nets, **parts, policy_temperature=0.5, critic_temperature=2.0, td_lambda=0.6)
        ForeachSoftUpdate(loss, tau=0.5)
        found.append(losses_of(loss(data)))
    for term, value in found[0].items():
        torch.testing.assert_close(found[1][term], value, msg=term)


def test_agents_without_a_mixer_are_teams_of_their_own():
    loss = ready(mixer="none", reduction="none", td_lambda=0.0, critic_temperature=1.5, gamma=0.9)
    data = sequences(CONTINUOUS, 6, time=3)
    data["next", "terminated"][:] = False
    batch = loss.view(data)
    bar, q = batch.target.q_min, batch.q_min.detach()
    for agent in range(3):
        following = bar[:, 1:, agent]
        rho = 12 * (following / 1.5).flatten().softmax(0).reshape(6, 2)
        y = data["next", "reward"][:, :2, 0] + 0.9 * rho * following
        error = (q[:, :2, agent] - y).square()
        torch.testing.assert_close(loss(data)["loss_qvalue"][:, :2, agent].detach(), error)
        weight = 18 * (q[..., agent] / 0.5).flatten().softmax(0).reshape(6, 3)
        expected = -weight * batch.log_prob[..., agent]
        torch.testing.assert_close(loss(data)["loss_actor"][..., agent], expected)


@ESTIMATES
def test_targets_of_an_agent_without_a_mixer_end_where_it_leaves(options):
    loss, data = ready(mixer="none", td_lambda=0.9, **options), sequences(CONTINUOUS, 4)
    data["agents", "agent_mask"] = torch.ones(4, 4, 3, dtype=torch.bool)
    data["agents", "agent_mask"][:, 2:, 1] = False
    target = loss.qvalue_target(data)
    torch.testing.assert_close(target[:, 1, 1], data["next", "reward"][:, 1, 0])
    assert not target[:, 1, 0].isclose(data["next", "reward"][:, 1, 0]).any()


def test_of_an_ensemble_the_smallest_member_counts():
    networks = icq_networks(CONTINUOUS, hidden_sizes=(8,), num_qvalue_nets=2)
    loss, data = ICQLoss(*networks[:3], critic_temperature=1e9), sequences(CONTINUOUS, 8)
    ForeachSoftUpdate(loss, tau=0.5)
    data["next", "terminated"][:] = False
    batch = loss.view(data)
    smallest = batch.target.mix(batch.target.q.amin(-1))[:, 1:]
    target = data["next", "reward"][:, :-1, 0] + 0.99 * smallest
    torch.testing.assert_close(loss.qvalue_target(batch)[:, :-1], target)
    error = batch.q_tot[:, :-1] - target.unsqueeze(-1)
    torch.testing.assert_close(loss.qvalue_loss(batch), error.square().sum(-1).mean())


@MODES
def test_vmap_over_batches(options):
    loss = ready(DISCRETE, **options)
    batches = torch.stack([sequences(DISCRETE, 8) for _ in range(2)])
    out = torch.func.vmap(lambda data: dict(loss(data).items()))(batches)
    for index, data in enumerate(batches.unbind(0)):
        for key, value in loss(data).items():
            torch.testing.assert_close(out[key][index], value, msg=str(key))
