"""Conservative penalties of a team, with log-sums of two candidates that can be done by hand."""

from __future__ import annotations

import math

import pytest
import torch

from omiga_torchrl import keys
from omiga_torchrl.modules import TanhGaussian
from omiga_torchrl.objectives import conservative
from omiga_torchrl.objectives.action_values import ActionValues, all_action_values, sampled_action_values
from omiga_torchrl.objectives.sampled_actions import SampledActions
from tests.objectives.small import (
    SmallLoss,
    batch,
    continuous_qvalue,
    discrete,
    gaussian_policy,
    linear_mixer,
    monotonic_mixer,
    network,
    policy,
)

# Q of two actions of two agents in two rows; the data's have 1, 0 and 2, 5; a second critic has one more.
Q = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[2.0, 2.0], [1.0, 5.0]]])
ACTION = torch.tensor([[0, 1], [1, 1]])
STATE = torch.tensor([[2.0, 3.0, 10.0], [1.0, 0.5, -1.0]])
DATA_Q = torch.tensor([[1.0, 0.0], [2.0, 5.0]])


def view(mixer=None, **more):
    loss = discrete(mixer)
    loss.add_network("behavior_network", policy())
    return loss.view(batch(Q, ACTION, state=STATE, **more))


def log_sum(x):
    return torch.logsumexp(torch.as_tensor(x), -1)


def test_without_a_mixer_every_agent_has_its_own_critics_penalty():
    seen = view()
    found = conservative.team_penalty(seen, all_action_values(seen))
    # A critic that is one more everywhere has the same penalty.
    torch.testing.assert_close(found, 2 * (log_sum(Q) - DATA_Q))
    for penalty in ("joint", "summed"):
        torch.testing.assert_close(conservative.team_penalty(seen, all_action_values(seen), penalty), found)


def test_counterfactual_is_one_agent_at_a_time_and_their_mean():
    seen = view(linear_mixer())
    found = conservative.team_penalty(seen, all_action_values(seen))
    weighted = STATE[:, :2].unsqueeze(-1) * Q
    per_agent = 2 * (log_sum(weighted) - STATE[:, :2] * DATA_Q)
    torch.testing.assert_close(found, per_agent.mean(-1))


def test_counterfactual_of_a_mixer_that_is_not_linear():
    """``sum_i s_i x_i^2 / 2``: the other agent's part is in both the log-sum and the data's value."""
    seen = view(monotonic_mixer())
    found = conservative.team_penalty(seen, all_action_values(seen))
    expected = torch.zeros(2)
    for more in (0, 1):
        part = STATE[:, :2, None] * (Q + more).square() / 2
        data_part = STATE[:, :2] * (DATA_Q + more).square() / 2
        expected += (log_sum(part) - data_part).mean(-1)
    torch.testing.assert_close(found, expected)


def test_agents_weigh_as_much_as_they_are_told():
    seen = view(linear_mixer())
    weight = torch.tensor([[1.0, 0.0], [0.25, 2.0]])
    found = conservative.counterfactual_penalty(seen, all_action_values(seen), weight)
    per_agent = 2 * (log_sum(STATE[:, :2].unsqueeze(-1) * Q) - STATE[:, :2] * DATA_Q)
    torch.testing.assert_close(found, (weight * per_agent).sum(-1))


def joint_values(**more):
    """Two joint candidates: all first actions, all second ones."""
    return ActionValues(torch.stack([Q, Q + 1], -2), **more)


def test_joint_candidates_are_mixed_before_their_log_sum():
    seen = view(linear_mixer())
    team = (STATE[:, :2, None] * Q).sum(1) + STATE[:, 2:]
    data_team = (STATE[:, :2] * DATA_Q).sum(-1) + STATE[:, 2]
    torch.testing.assert_close(
        conservative.joint_penalty(seen, joint_values()), 2 * (log_sum(team) - data_team)
    )
    assert torch.equal(
        conservative.team_penalty(seen, joint_values(), "joint"),
        conservative.joint_penalty(seen, joint_values()),
    )


def test_joint_importance_weights_are_products_over_agents_that_take_part():
    log_weight = torch.tensor([[[[0.5, 1.0]], [[2.0, 0.0]]]]).expand(2, 2, 1, 2)
    values = joint_values(log_importance_weight=log_weight)
    seen = view(linear_mixer())
    team = (STATE[:, :2, None] * Q).sum(1) + STATE[:, 2:]
    data_team = (STATE[:, :2] * DATA_Q).sum(-1) + STATE[:, 2]
    expected = 2 * (log_sum(team + torch.tensor([2.5, 1.0])) - data_team)
    torch.testing.assert_close(conservative.joint_penalty(seen, values), expected)
    seen = view(linear_mixer(), agent_mask=[[True, False], [False, False]])
    found = conservative.joint_penalty(seen, values)
    # The second agent has no value and no weight; the second row has nobody.
    first = 2 * (log_sum(2 * Q[0, 0] + torch.tensor([0.5, 1.0])) - 2.0)
    torch.testing.assert_close(found, torch.stack([first, torch.tensor(0.0)]))


def test_summed_adds_all_log_sums_and_subtracts_the_team_s_value_once():
    seen = view(linear_mixer())
    weighted, bias = STATE[:, :2, None] * Q, STATE[:, 2]
    total = torch.zeros(2)
    for more in (0, 1):  # critics
        shift = STATE[:, :2] * more
        of_agents = log_sum(weighted) + shift + bias.unsqueeze(-1)
        total += of_agents.sum(-1) - (STATE[:, :2] * DATA_Q + shift).sum(-1) - bias
    torch.testing.assert_close(conservative.team_penalty(seen, all_action_values(seen), "summed"), total)


def test_a_bias_is_left_over_once_for_each_critic_and_each_agent_but_one():
    q = network(lambda o: o, [keys.OBSERVATION], keys.LOCAL_QVALUE)
    loss = SmallLoss(qvalue_network=q, mixer_network=linear_mixer())
    seen = loss.view(
        batch(torch.zeros(1, 3, 2), torch.zeros(1, 3).long(), state=torch.tensor([[0.0, 0, 0, 7]]))
    )
    found = conservative.summed_penalty(seen, all_action_values(seen))
    torch.testing.assert_close(found, torch.tensor([3 * math.log(2) + 2 * 7]))


def test_summed_is_of_those_that_take_part():
    seen = view(linear_mixer(), agent_mask=[[True, False], [False, False]])
    found = conservative.summed_penalty(seen, all_action_values(seen))
    # Of one agent no bias is left over, of none neither.
    alone = 2 * (log_sum(2 * Q[0, 0]) - 2 * DATA_Q[0, 0])
    torch.testing.assert_close(found, torch.stack([alone, torch.tensor(0.0)]))


@pytest.mark.parametrize("mixer", [linear_mixer, monotonic_mixer])
def test_illegal_actions_are_in_no_log_sum(mixer):
    mask = torch.tensor([[[True, False], [True, True]], [[True, True], [False, True]]])
    seen, free = view(mixer(), action_mask=mask), view(mixer())
    found = conservative.team_penalty(seen, all_action_values(seen))
    of_one = [
        conservative.counterfactual_penalty(one, all_action_values(one), torch.eye(2)[agent].expand(2, 2))
        for one in (seen, free)
        for agent in (0, 1)
    ]
    # An agent whose only legal action is the data's has no penalty; the others' is as without masks.
    torch.testing.assert_close(of_one[0][0], torch.tensor(0.0))
    torch.testing.assert_close(of_one[1][1], torch.tensor(0.0))
    torch.testing.assert_close(of_one[0][1], of_one[2][1])
    torch.testing.assert_close(of_one[1][0], of_one[3][0])
    torch.testing.assert_close(found, (of_one[0] + of_one[1]) / 2)


@pytest.mark.parametrize("mixer", [linear_mixer, monotonic_mixer])
@pytest.mark.parametrize("options", [{}, {"penalty": "joint"}, {"inverse_temperature": 2.0}])
def test_rows_know_nothing_of_each_other(mixer, options):
    seen = view(mixer())
    every = conservative.team_penalty(seen, all_action_values(seen), **options)
    for row in (0, 1):
        loss = seen.loss
        alone = loss.view(batch(Q[[row]], ACTION[[row]], state=STATE[[row]]))
        found = conservative.team_penalty(alone, all_action_values(alone), **options)
        torch.testing.assert_close(found, every[[row]])


def test_who_takes_part():
    assert conservative.agents_that_take_part(view()).tolist() == [[True, True]] * 2
    mask = torch.tensor([[True, False], [True, True]])
    assert torch.equal(conservative.agents_that_take_part(view(agent_mask=mask)), mask)
    assert conservative.equal_weights(view()).tolist() == [[0.5, 0.5]] * 2
    assert conservative.equal_weights(view(agent_mask=mask)).tolist() == [[1.0, 0.0], [0.5, 0.5]]
    nobody = view(agent_mask=torch.zeros(2, 2, dtype=torch.bool))
    assert not conservative.equal_weights(nobody).any()


def test_divergence_weights_are_a_softmax_of_how_far_values_are_from_the_data():
    """The model's logits are Q, p's are w Q: an agent of weight 1 is as near as can be."""
    seen = view(linear_mixer())
    p, mu = (STATE[:, :2, None] * Q).log_softmax(-1), Q.log_softmax(-1)
    divergence = (p.exp() * (p - mu)).sum(-1)
    assert divergence[1, 0] == 0
    values = all_action_values(seen)
    found = conservative.divergence_weights(seen, values, 3.0)
    torch.testing.assert_close(found, (3 * divergence).softmax(-1))
    assert not found.requires_grad
    # And that is what a temperature asks for.
    with_temperature = conservative.team_penalty(seen, values, inverse_temperature=3.0)
    assert torch.equal(with_temperature, conservative.counterfactual_penalty(seen, values, found))
    assert not torch.equal(with_temperature, conservative.team_penalty(seen, values))


def test_a_divergence_is_over_legal_actions_of_agents_that_take_part():
    mask = torch.tensor([[[True, False], [True, True]], [[True, True], [True, True]]])
    seen = view(linear_mixer(), action_mask=mask, agent_mask=[[True, True], [False, True]])
    found = conservative.divergence_weights(seen, all_action_values(seen), 1.0)
    p, mu = (3 * Q[0, 1]).log_softmax(-1), Q[0, 1].log_softmax(-1)
    second = (p.exp() * (p - mu)).sum(-1)
    first = -Q[0, 0].log_softmax(-1)[0]  # all mass on the one legal action
    torch.testing.assert_close(found[0], torch.stack([first, second]).softmax(-1))
    assert found[1].tolist() == [0.0, 1.0]


def test_a_divergence_of_continuous_actions_is_estimated_by_samples_of_known_density():
    loss = SmallLoss(qvalue_network=continuous_qvalue(), mixer_network=linear_mixer())
    loss.add_network("behavior_network", gaussian_policy())
    observation = torch.tensor([[[0.5], [-0.5], [0.0]], [[1.0], [0.0], [2.0]]])
    given = batch(observation, torch.zeros(2, 3, 1), state=torch.tensor([[1.0, 2, 3, 0], [0.5, 1, 1, 0]]))
    seen = loss.view(given)
    action = torch.linspace(-0.9, 0.8, 24).reshape(4, 2, 3, 1)  # four samples
    sampled = SampledActions(action, torch.linspace(-1.0, 0.0, 24).reshape(4, 2, 3))
    values = sampled_action_values(seen, sampled, importance_sampling=True)
    found = conservative.divergence_weights(seen, values, 0.5)
    q = given["state"][:, :3] * (observation + 2 * action).squeeze(-1)
    log_mu = TanhGaussian(observation, torch.ones(2, 3, 1)).log_prob(action)
    ratio = (q - sampled.log_prob).exp()
    partition = ratio.mean(0)
    divergence = (ratio / ratio.sum(0) * (q - partition.log() - log_mu)).sum(0)
    torch.testing.assert_close(found, (0.5 * divergence).softmax(-1))
    assert not found.requires_grad


def test_penalties_pull_the_data_s_value_up_and_the_rest_down():
    seen = view()
    penalty = conservative.team_penalty(seen, all_action_values(seen)).sum()
    slope = torch.autograd.grad(penalty, seen.q_values)[0][0, 0, :, 0]
    share = math.exp(1) / (math.exp(1) + 1)
    assert slope.tolist() == pytest.approx([share - 1, 1 - share])
