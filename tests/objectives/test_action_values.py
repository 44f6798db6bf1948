"""Values of candidate actions: shapes, masks, volumes, and joint actions that are legal."""

from __future__ import annotations

import math

import torch

from omiga_torchrl.objectives.action_values import (
    ActionValues,
    all_action_values,
    gather_values,
    joint_action_values,
    sampled_action_values,
)
from omiga_torchrl.objectives.sampled_actions import SampledActions
from tests.objectives.small import batch, continuous, discrete

Q = torch.tensor([[[1.0, 5.0, 2.0], [0.0, 3.0, 4.0]]])
MASK = torch.tensor([[[True, False, True], [False, True, False]]])


def view(**more):
    return discrete().view(batch(Q, torch.tensor([[0, 1]]), **more))


def test_all_actions_of_a_discrete_team():
    values = all_action_values(view())
    assert torch.equal(values.q, torch.stack([Q, Q + 1], -2)) and values.action_mask is None
    assert values.log_importance_weight is None and values.sampled is None and values.parts == ()
    masked = all_action_values(view(action_mask=MASK))
    assert torch.equal(masked.action_mask, MASK.unsqueeze(-2))


def test_samples_stand_for_the_inverse_of_their_density_or_for_one():
    seen = continuous().view(batch(torch.tensor([[[1.0], [2.0]]]), torch.zeros(1, 2, 1)))
    sampled = SampledActions(
        torch.tensor([[[[0.5], [0.0]]], [[[-1.0], [1.0]]]]), torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
    )
    values = sampled_action_values(seen, sampled, importance_sampling=True)
    assert values.q.tolist() == [[[[2.0, -1.0], [3.0, 0.0]], [[2.0, 4.0], [3.0, 5.0]]]]
    assert values.log_importance_weight.tolist() == [[[[-1.0, -3.0]], [[-2.0, -4.0]]]]
    assert values.sampled is sampled and values.action_mask is None
    assert sampled_action_values(seen, sampled, importance_sampling=False).log_importance_weight is None


def test_joint_actions_are_legal_and_of_every_agent_s_own_choice():
    torch.manual_seed(0)
    values = joint_action_values(view(action_mask=MASK), 200, importance_sampling=True)
    assert values.q.shape == (1, 2, 2, 200)
    assert set(values.q[0, 0, 0].tolist()) == {1.0, 2.0} and set(values.q[0, 1, 0].tolist()) == {3.0}
    assert torch.equal(values.q[:, :, 1], values.q[:, :, 0] + 1)
    assert 60 < (values.q[0, 0, 0] == 1).sum() < 140
    # An action stands for as many as are legal.
    assert values.log_importance_weight.shape == (1, 2, 1, 200)
    assert values.log_importance_weight[0, :, 0, 7].tolist() == [torch.tensor(2.0).log().item(), 0.0]
    assert values.action_mask is None


def test_joint_actions_without_a_mask_are_any():
    torch.manual_seed(0)
    values = joint_action_values(view(), 300, importance_sampling=True)
    assert set(values.q[0, 0, 0].tolist()) == {1.0, 5.0, 2.0}
    pairs = set(zip(values.q[0, 0, 0].tolist(), values.q[0, 1, 0].tolist(), strict=True))
    assert len(pairs) == 9
    torch.testing.assert_close(values.log_importance_weight, torch.full((1, 2, 1, 300), math.log(3)))
    assert joint_action_values(view(), 4, importance_sampling=False).log_importance_weight is None


def test_an_agent_without_a_legal_action_stands_for_one():
    values = joint_action_values(
        view(action_mask=torch.zeros(1, 2, 3, dtype=torch.bool)), 2, importance_sampling=True
    )
    assert not values.log_importance_weight.any() and values.q.isfinite().all()


def test_a_team_of_one_kind_keeps_its_values():
    found = gather_values(view(), all_action_values)
    assert found.parts == () and torch.equal(found.q, all_action_values(view()).q)


class TwoKinds:
    """A team whose parts are given, in the order of its agents."""

    parts = ("samples", "actions")

    @staticmethod
    def join(values):
        return torch.cat(list(values), 1)


def test_values_of_two_kinds_are_filled_up_and_masked():
    samples = ActionValues(torch.full((1, 2, 2, 3), 5.0), torch.full((1, 2, 1, 3), 0.5))
    legal = torch.tensor([[[[True, False, True, True]]]])
    actions = ActionValues(torch.full((1, 1, 2, 4), 7.0), action_mask=legal)
    given = {"samples": samples, "actions": actions}
    found = gather_values(TwoKinds, given.__getitem__)
    assert found.parts == (samples, actions)
    assert found.q.shape == (1, 3, 2, 4) and found.q[0, 0, 1].tolist() == [5.0, 5.0, 5.0, 0.0]
    assert found.q[0, 2, 0].tolist() == [7.0] * 4
    mask = found.action_mask[0, :, 0].tolist()
    assert mask == [[True, True, True, False]] * 2 + [[True, False, True, True]]
    assert found.log_importance_weight[0, :, 0].tolist() == [[0.5, 0.5, 0.5, 0.0]] * 2 + [[0.0] * 4]
    assert found.log_importance_weight.dtype == torch.float32
