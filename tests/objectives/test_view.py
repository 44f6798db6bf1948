"""A batch as terms read it: places, mixing, targets and the terms that losses share."""

from __future__ import annotations

import math

import pytest
import torch

from tests.objectives.small import (
    batch,
    continuous,
    discrete,
    linear_mixer,
    monotonic_mixer,
    scale_gradients,
    set_scale,
)

# Two rows of two agents with three actions.
OBSERVATION = torch.tensor([[[1.0, 5.0, 2.0], [0.0, 3.0, 4.0]], [[2.0, 2.0, 7.0], [6.0, 1.0, 1.0]]])
ACTION = torch.tensor([[1, 2], [0, 1]])  # Q of 5, 4 and 2, 1
STATE = torch.tensor([[2.0, 3.0, 10.0], [1.0, 0.5, -1.0]])
NEXT_STATE = torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])


def data(**more):
    given = {"state": STATE, "next_state": NEXT_STATE, "reward": torch.tensor([1.0, -1.0]), **more}
    return batch(OBSERVATION, ACTION, **given)


def make(mixer=None, **arguments):
    """Target networks double what the online ones give."""
    loss = discrete(mixer, **arguments)
    for name in ("qvalue", "value"):
        set_scale(loss, f"target_{name}_network", 2.0)
    return loss


def test_places_are_networks_of_a_step():
    view = make().view(data())
    assert view.v.tolist() == [[2.0, 4.0], [7.0, 1.0]]
    assert view.target.v.tolist() == [[4.0, 8.0], [14.0, 2.0]]
    assert view.next.v.tolist() == [[12.0, 14.0], [17.0, 11.0]]
    assert torch.equal(view.next.target.v, 2 * view.next.v)
    assert view.target.next is view.next.target and view.next.next is view.next
    assert view.target.online is view and view.next.target.online is view.next
    assert view.next_with_grad.v.tolist() == view.next.v.tolist()
    assert view.target.next_with_grad is view.next_with_grad


def test_only_online_networks_have_a_gradient_and_at_the_next_step_only_on_demand():
    view = make().view(data())
    assert view.v.requires_grad and view.next_with_grad.v.requires_grad and view.has_grad
    for place in (view.target, view.next, view.next.target, view.target.next_with_grad.target):
        assert not place.v.requires_grad and not place.has_grad


def test_networks_are_evaluated_once():
    view = make().view(data())
    assert view.v is view.v and view.next.target.v is view.target.next.v
    found = []
    assert view.once("own", lambda: found.append(1) or len(found)) == 1
    assert view.once("own", lambda: found.append(1) or len(found)) == 1


def test_a_linear_mixer_weights_agents_and_adds_its_bias_once():
    view = make(linear_mixer()).view(data())
    assert view.v_tot.tolist() == [2 * 2 + 3 * 4 + 10, 1 * 7 + 0.5 * 1 - 1]
    assert view.next.v_tot.tolist() == [12.0 + 14, 2 * 11 + 1.0]
    assert view.q.tolist() == [[[5.0, 6.0], [4.0, 5.0]], [[2.0, 3.0], [1.0, 2.0]]]
    assert view.q_tot.tolist() == [[2 * 5 + 3 * 4 + 10, 2 * 6 + 3 * 5 + 10], [1.5, 3.0]]
    assert view.agent_weight.tolist() == STATE[:, :2].tolist()


def test_without_a_mixer_values_stay_local():
    view = make().view(data())
    assert view.q_tot is view.q and view.v_tot is view.v
    assert view.agent_weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    local = torch.randn(2, 2, 5)
    assert view.weighted(local) is local and view.mix(local) is local


def test_an_agent_s_part_of_the_team_s_value_trains_no_mixer():
    loss = make(linear_mixer())
    view = loss.view(data())
    local = torch.ones(2, 2, 4, requires_grad=True)
    found = view.weighted(local)
    assert found.shape == (2, 2, 4) and found[..., 3].tolist() == STATE[:, :2].tolist()
    assert view.weighted(view.v).tolist() == [[4.0, 12.0], [7.0, 0.5]]
    (found.sum() + view.weighted(view.v).sum()).backward()
    assert scale_gradients(loss) == {"value_network"} and local.grad is not None


def test_a_team_of_one_kind_is_its_own_only_part():
    view = make().view(data())
    assert view.parts == (view,) and view.continuous is view and view.next.parts == (view.next,)
    one = torch.zeros(2, 2)
    assert view.join([one]) is one
    assert [x.tolist() for x in view.gather_all(lambda part: (part.v, part.q_min))] == [
        view.v.tolist(),
        view.q_min.tolist(),
    ]


# Targets ------------------------------------------------------------------------------------


def test_a_team_s_target_discounts_until_the_task_has_ended():
    given = data(ended=[False, True])
    target = make(linear_mixer(), gamma=0.5).view(given).td_target(torch.tensor([4.0, 100.0]))
    assert target.tolist() == [3.0, -1.0] and not target.requires_grad
    # A time-out goes on.
    given["next", "terminated"][:] = False
    assert make(linear_mixer(), gamma=0.5).view(given).td_target(torch.tensor([4.0, 100.0])).tolist() == [
        3,
        49,
    ]


def test_the_default_discount():
    assert make(linear_mixer()).view(data()).td_target(torch.full((2,), 100.0)).tolist() == [100.0, 98.0]


def test_bonuses_of_agents_are_outside_of_the_mixer():
    bonus = torch.tensor([[2.0, 4.0], [8.0, 16.0]])
    view = make(linear_mixer(), gamma=0.5).view(data())
    assert view.td_target(torch.zeros(2), bonus).tolist() == [1 + 3.0, -1 + 12.0]
    alone = make(gamma=0.5).view(data())
    assert alone.td_target(torch.zeros(2, 2), bonus).tolist() == [[2.0, 3.0], [3.0, 7.0]]


def test_agents_that_are_gone_at_the_next_step_add_nothing_to_a_target():
    given = data(next_agent_mask=[[True, False], [False, True]], agent_mask=[[True, True], [True, False]])
    bonus = torch.tensor([[2.0, torch.nan], [torch.nan, 16.0]])
    team = make(linear_mixer(), gamma=0.5).view(given)
    assert team.td_target(torch.zeros(2), bonus).tolist() == [2.0, 7.0]
    alone = make(gamma=0.5).view(given)
    assert alone.td_target(torch.full((2, 2), 4.0), bonus).tolist() == [[4.0, 1.0], [-1.0, 9.0]]
    assert alone.td_target(torch.full((2, 2), 4.0)).tolist() == [[3.0, 1.0], [-1.0, 1.0]]


# Terms --------------------------------------------------------------------------------------


def test_the_td_loss_adds_critics_and_averages_their_absolute_errors():
    view = make(linear_mixer()).view(data())
    value = torch.tensor([[1.0, 2.0], [4.0, 0.0]], requires_grad=True)
    loss = view.td_loss(value, torch.tensor([0.0, 3.0]))
    assert loss == ((1 + 4) + (1 + 9)) / 2
    assert view.priority.tolist() == [1.5, 2.0] and view.metrics["td_error"] == 1.75
    assert not view.priority.requires_grad
    loss.backward()
    assert value.grad.tolist() == [[1.0, 2.0], [1.0, -3.0]]
    assert view.td_loss(value, torch.tensor([0.0, 3.0]), torch.tensor([False, True])) == 10
    assert view.priority.tolist() == [0.0, 2.0]


def test_independent_agents_have_errors_of_their_own():
    view = make().view(data(agent_mask=[[True, False], [True, True]]))
    value = torch.tensor([[[1.0], [9.0]], [[2.0], [3.0]]])
    assert view.td_loss(value, torch.zeros(2, 2)) == pytest.approx((1 + 4 + 9) / 3)
    assert view.priority.tolist() == [1.0, 2.5]


def test_svn_s_scale_is_each_critic_s_own_mean_absolute_deviation():
    view = make(linear_mixer(), value_scale="svn").view(data())
    value = torch.tensor([[1.0, 2.0], [5.0, 4.0]], requires_grad=True)
    scale = view.value_scale(value)
    assert scale.tolist() == pytest.approx([2.0, 1.0], rel=1e-5) and not scale.requires_grad
    assert view.value_scale(value, torch.tensor([True, False])).tolist() == pytest.approx([0, 0], abs=1e-5)
    loss = view.td_loss(value, torch.tensor([0.0, 3.0]))
    assert loss.item() == pytest.approx((1 / 4 + 4 + 4 / 4 + 1) / 2, rel=1e-4)


def test_an_expectile_trains_no_q():
    view = make().view(data())
    q = torch.tensor([[3.0, 0.0], [1.0, 1.0]], requires_grad=True)
    v = torch.tensor([[1.0, 1.0], [1.0, 1.0]], requires_grad=True)
    loss = view.expectile_loss(q, v, 0.8)
    assert loss.item() == pytest.approx((0.8 * 4 + 0.2 * 1) / 4)
    loss.backward()
    assert q.grad is None
    torch.testing.assert_close(v.grad, torch.tensor([[-0.8 * 4, 0.2 * 2], [0.0, 0.0]]) / 4)


def test_an_expectile_s_scale_is_that_of_the_target_team_s_value():
    """Which is 2 Q: 54 and 4 of the smallest critic, 25 from their mean."""
    view = make(linear_mixer(), value_scale="svn").view(data())
    assert view.target.mix(view.target.q_min).tolist() == [54.0, 4.0]
    q, v = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.ones(2, 2)
    assert view.expectile_loss(q, v, 0.8).item() == pytest.approx(3.4 / 4 / 25**2, rel=1e-4)


def test_advantage_weights_are_clipped_and_detached():
    loss = make()
    view = loss.view(data())
    advantage = torch.tensor([[0.0, 2.0], [-2.0, 6.0]], requires_grad=True)
    found = view.advantage_weighted_loss(advantage, 2.0, math.e**2)
    weight = torch.tensor([[1.0, math.e], [1 / math.e, math.e**2]])
    log_prob = OBSERVATION.log_softmax(-1).take_along_dim(ACTION.unsqueeze(-1), -1).squeeze(-1)
    torch.testing.assert_close(found, (-weight * log_prob).mean())
    assert view.metrics["clip_fraction"] == 0.25 and view.metrics["advantage"] == 1.5
    found.backward()
    assert advantage.grad is None and scale_gradients(loss) == {"actor_network"}


def test_a_weight_at_its_bound_is_not_yet_clipped():
    view = make().view(data())
    view.advantage_weighted_loss(torch.tensor([[4.0, 3.9], [4.1, 0.0]]), 2.0, math.e**2)
    assert view.metrics["clip_fraction"] == 0.25


def test_advantage_weighting_is_of_the_entries_asked_for():
    view = make().view(data())
    advantage, first = torch.tensor([[0.0, 0.0], [100.0, 100.0]]), torch.tensor([True, False])
    found = view.advantage_weighted_loss(advantage, 1.0, 20.0, first)
    log_prob = OBSERVATION.log_softmax(-1).take_along_dim(ACTION.unsqueeze(-1), -1).squeeze(-1)
    torch.testing.assert_close(found, -log_prob[0].mean())
    assert view.metrics["clip_fraction"] == 0 and view.metrics["effective_sample_size"] == 1


def test_a_monotonic_mixer_weighs_by_its_slope_at_the_smallest_critic():
    """``sum_i s_i q_i^2 / 2`` has the slope ``s_i q_i``."""
    loss = make(monotonic_mixer())
    view = loss.view(data())
    assert view.q_tot.tolist() == [[25 + 24, 36 + 37.5], [2 + 0.25, 4.5 + 1.0]]
    assert view.agent_weight.tolist() == [[10.0, 12.0], [2.0, 0.5]]
    assert not view.agent_weight.requires_grad


def test_continuous_actions_are_read_by_the_critic():
    view = continuous().view(batch(torch.tensor([[[3.0], [4.0]]]), torch.tensor([[[0.5], [-1.0]]])))
    assert view.q.tolist() == [[[4.0, 5.0], [2.0, 3.0]]] and view.q_min.tolist() == [[4.0, 2.0]]
