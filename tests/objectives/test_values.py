"""Local values and policies: which action, which critic, which parameters, and once."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical, Independent, Normal

from omiga_torchrl import keys
from omiga_torchrl.objectives.values import log_probs
from tests.objectives.small import (
    SmallLoss,
    batch,
    continuous,
    discrete,
    network,
    scale_gradients,
    set_scale,
    value,
)

OBSERVATION = torch.tensor([[[1.0, 5.0, 2.0], [0.0, 3.0, 4.0]], [[2.0, 2.0, 7.0], [6.0, 1.0, 1.0]]])
ACTION = torch.tensor([[1, 2], [0, 1]])


def view(loss=None, **more):
    return (loss or discrete()).view(batch(OBSERVATION, ACTION, **more))


def test_q_of_all_actions_and_of_the_data_s():
    seen = view()
    assert torch.equal(seen.q_values[..., 0], OBSERVATION) and torch.equal(
        seen.q_values[..., 1], OBSERVATION + 1
    )
    assert seen.q.tolist() == [[[5.0, 6.0], [4.0, 5.0]], [[2.0, 3.0], [1.0, 2.0]]]
    assert seen.q_min.tolist() == [[5.0, 4.0], [2.0, 1.0]]
    assert torch.equal(seen.q_values_min, OBSERVATION)
    other = seen.q_at(torch.tensor([[0, 0], [2, 2]]))
    assert other[..., 0].tolist() == [[1.0, 0.0], [7.0, 1.0]]


def test_the_smallest_critic_may_be_any():
    loss = discrete()
    set_scale(loss, "qvalue_network", -1.0)  # then the second is the smaller one
    assert view(loss).q_min.tolist() == [[-6.0, -5.0], [-3.0, -2.0]]


def test_a_single_critic_is_an_ensemble_of_one():
    q = network(lambda o: o, [keys.OBSERVATION], keys.LOCAL_QVALUE)
    seen = view(SmallLoss(qvalue_network=q, value_network=value()))
    assert seen.q_values.shape == (2, 2, 3, 1) and seen.q.tolist() == [[[5.0], [4.0]], [[2.0], [1.0]]]
    q = network(lambda o, a: o + a, [keys.OBSERVATION, keys.ACTION], keys.LOCAL_QVALUE)
    loss = SmallLoss(qvalue_network=q, value_network=value())
    seen = loss.view(batch(torch.ones(3, 2, 1), torch.ones(3, 2, 1)))
    assert seen.q.shape == (3, 2, 1) and seen.q_at(torch.zeros(3, 2, 1)).tolist() == [[[1.0], [1.0]]] * 3
    assert seen.q_at(torch.zeros(4, 3, 2, 1)).shape == (4, 3, 2, 1)


def test_one_agent_with_one_critic_keeps_its_dimensions():
    q = network(lambda o, a: o + a, [keys.OBSERVATION, keys.ACTION], keys.LOCAL_QVALUE)
    seen = SmallLoss(qvalue_network=q).view(batch(torch.ones(3, 1, 1), torch.ones(3, 1, 1)))
    assert seen.q.shape == seen.q_at(torch.zeros(3, 1, 1)).shape == (3, 1, 1)
    assert seen.q_at(torch.zeros(4, 3, 1, 1)).shape == (4, 3, 1, 1)
    both = continuous().view(batch(torch.ones(3, 1, 1), torch.ones(3, 1, 1)))
    assert both.q.shape == both.q_at(torch.zeros(3, 1, 1)).shape == (3, 1, 2)
    assert both.q_at(torch.zeros(4, 3, 1, 1)).shape == (4, 3, 1, 2)


def test_continuous_actions_of_others_and_several_samples_of_each():
    observation, action = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[0.5], [0.0]]])
    seen = continuous().view(batch(observation, action))
    assert seen.q.tolist() == [[[2.0, 3.0], [2.0, 3.0]]]
    assert seen.q_at(seen.action) is not None and torch.equal(seen.q_at(action), seen.q)
    other = torch.tensor([[[-1.0], [1.0]]])
    assert seen.q_at(other)[..., 0].tolist() == [[-1.0, 4.0]]
    samples = torch.stack([other, action, other])
    assert seen.q_at(samples)[..., 1].tolist() == [[[0.0, 5.0]], [[3.0, 3.0]], [[0.0, 5.0]]]


def test_a_critic_that_judges_a_policy_gets_no_gradient():
    loss = continuous()
    seen = loss.view(batch(torch.ones(1, 2, 1), torch.zeros(1, 2, 1)))
    action = torch.zeros(1, 2, 1, requires_grad=True)
    seen.q_at(action, detach_params=True).sum().backward()
    assert not scale_gradients(loss) and action.grad.flatten().tolist() == [4.0, 4.0]
    seen.q_at(action).sum().backward()
    assert scale_gradients(loss) == {"qvalue_network"}


def test_the_data_s_own_actions_also_without_a_gradient_to_the_parameters():
    loss = continuous()
    seen = loss.view(batch(torch.ones(1, 2, 1), torch.zeros(1, 2, 1)))
    assert not seen.q_at(seen.action, detach_params=True).requires_grad
    assert seen.q_at(seen.action).requires_grad


def test_an_action_that_networks_do_not_know_is_refused_where_its_agent_takes_part():
    given = {"action": torch.tensor([[1, 2], [0, 3]])}
    with pytest.raises(ValueError, match=r"action.* in \[0, 3\), got 3"):
        _ = discrete().view(batch(OBSERVATION, given["action"])).q
    masked = batch(OBSERVATION, given["action"], agent_mask=[[True, True], [True, False]])
    assert discrete().view(masked).q[1, 1, 0] == 0  # who takes no part sees nothing and does action 0
    with pytest.raises(ValueError, match=r"action.* in \[0, 3\), got 3"):
        _ = (
            SmallLoss(actor_network=discrete().actor_network)
            .view(batch(OBSERVATION, given["action"]))
            .log_prob
        )


def test_values_are_one_number_an_agent():
    assert view().v.tolist() == [[2.0, 4.0], [7.0, 1.0]]
    two = network(lambda o: o[..., :2], [keys.OBSERVATION], keys.LOCAL_VALUE)
    with pytest.raises(ValueError, match=r"SmallLoss: .*local_value.*value_network"):
        _ = view(SmallLoss(value_network=two, actor_network=discrete().actor_network)).v


def test_log_probabilities_are_those_of_the_policy():
    seen = view()
    expected = OBSERVATION.log_softmax(-1)
    torch.testing.assert_close(seen.policy_log_probs, expected)
    torch.testing.assert_close(seen.log_prob, expected.take_along_dim(ACTION.unsqueeze(-1), -1).squeeze(-1))
    torch.testing.assert_close(log_probs(Categorical(probs=torch.tensor([0.25, 0.75]))).exp()[0].item(), 0.25)


def test_the_behavior_model_has_log_probabilities_of_its_own():
    loss = discrete()
    loss.add_network("behavior_network", discrete().actor_network)
    set_scale(loss, "behavior_network", 0.0)
    seen = view(loss)
    torch.testing.assert_close(seen.behavior_log_prob.exp(), torch.full((2, 2), 1 / 3))
    assert seen.log_prob.exp()[0, 0] > 0.9
    seen.behavior_log_prob.sum().backward()
    assert scale_gradients(loss) == {"behavior_network"}


def test_half_precision_ends_where_values_are_read():
    q = network(lambda o: o.bfloat16(), [keys.OBSERVATION], keys.LOCAL_QVALUE)
    seen = view(SmallLoss(qvalue_network=q, value_network=value()))
    seen.loss.qvalue_network_params.data.apply_(lambda x: x)
    assert seen.q_values.dtype == torch.float32
    assert log_probs(Categorical(logits=torch.zeros(2, dtype=torch.bfloat16))).dtype == torch.float32


def deterministic():
    actor = network(lambda o: o[..., :2] / 10, [keys.OBSERVATION], keys.ACTION)
    return SmallLoss(actor_network=actor)


def test_a_deterministic_action_must_have_the_data_s_features():
    given = batch(OBSERVATION, torch.zeros(2, 2, 2))
    assert torch.equal(deterministic().view(given).policy_action, OBSERVATION[..., :2] / 10)
    with pytest.raises(ValueError, match=r"action.*policy"):
        _ = deterministic().view(batch(OBSERVATION, torch.zeros(2, 2, 3))).policy_action


def test_smoothing_noise_is_clipped_in_units_of_half_the_range(monkeypatch):
    monkeypatch.setattr(torch, "randn_like", lambda x, **_: torch.full_like(x, 3.0))
    seen = deterministic().view(batch(OBSERVATION, torch.zeros(2, 2, 2)))
    assert seen.smoothed_action(0.1, 0.2, (-2.0, 2.0))[0, 0].tolist() == pytest.approx([0.1 + 0.4, 0.5 + 0.4])
    assert seen.smoothed_action(0.1, 0.5, (-2.0, 2.0))[0, 0].tolist() == pytest.approx([0.1 + 0.6, 0.5 + 0.6])
    assert seen.smoothed_action(0.1, 0.5, (-1.0, 0.7))[0, 0].tolist() == pytest.approx([0.1 + 0.255, 0.7])


def test_a_density_must_have_the_actions_features_as_its_event():
    seen = continuous().view(batch(torch.zeros(2, 2, 1), torch.zeros(2, 2, 1)))
    unit = Normal(torch.zeros(2, 2, 1), 1.0)
    assert seen.log_prob_of(Independent(unit, 1)).shape == (2, 2)
    with pytest.raises(ValueError, match="action features as its event"):
        seen.log_prob_of(unit)
    with pytest.raises(ValueError, match=r"must have 3 features.*got 1"):
        seen.log_prob_of(Independent(Normal(torch.zeros(2, 2, 3), 1.0), 1))
