"""TD targets of batches, by hand: one step, several steps, lambda returns, teams and single agents."""

from __future__ import annotations

import pytest
import torch
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl.objectives.targets import TargetEstimator, check_estimator, td_target
from tests.objectives.small import batch, discrete, linear_mixer

LAMBDA, ONE_STEP = ValueEstimators.TDLambda, ValueEstimators.TD0


def flat(loss, rows=2, **more):
    reward = torch.arange(1.0, rows + 1)
    return loss.view(
        batch(torch.zeros(rows, 2, 3), torch.zeros(rows, 2, dtype=torch.long), reward=reward, **more)
    )


def sequence(loss, *, mask=None, **more):
    """Three steps of rewards 1, 2, 3."""
    given = batch(
        torch.zeros(1, 3, 2, 3),
        torch.zeros(1, 3, 2, dtype=torch.long),
        reward=torch.tensor([[1.0, 2, 3]]),
        **more,
    )
    if mask is not None:
        given["collector", "mask"] = torch.tensor(mask)
    return loss.view(given)


def with_lambda(mixer, gamma=0.5, lmbda=0.5):
    return discrete(mixer).make_value_estimator(LAMBDA, gamma=gamma, lmbda=lmbda)


def test_one_step_of_a_team_and_of_agents():
    team = td_target(flat(discrete(linear_mixer(), gamma=0.5)), torch.tensor([4.0, 8.0]))
    assert team.tolist() == [3.0, 6.0]
    alone = td_target(flat(discrete(gamma=0.5)), torch.tensor([[4.0, 0.0], [8.0, 2.0]]))
    assert alone.tolist() == [[3.0, 1.0], [6.0, 3.0]]


def test_several_steps_discount_as_often():
    loss = discrete(linear_mixer(), gamma=0.5)
    given = batch(
        torch.zeros(3, 2, 3),
        torch.zeros(3, 2, dtype=torch.long),
        reward=torch.ones(3),
        ended=[False, False, True],
    )
    given["steps_to_next_obs"] = torch.tensor([[1], [3], [1]])
    assert td_target(loss.view(given), torch.full((3,), 8.0)).tolist() == [5.0, 2.0, 1.0]
    alone = td_target(discrete(gamma=0.5).view(given), torch.tensor([[8.0, 0.0]] * 3))
    assert alone.tolist() == [[5.0, 1.0], [2.0, 1.0], [1.0, 1.0]]


def test_a_lambda_return_mixes_later_rewards():
    """y_2 = 3 + 8/2; y_1 = 2 + (4 + (y_2 - 4)/2)/2; y_0 = 1 + (2 + (y_1 - 2)/2)/2."""
    values = torch.tensor([[2.0, 4.0, 8.0]])
    expected = [[1 + 1 + 2.75 / 4, 4.75, 7.0]]
    assert td_target(sequence(with_lambda(linear_mixer())), values).tolist() == expected
    # Every agent by itself, with time where it was.
    alone = td_target(sequence(with_lambda(None)), torch.stack([values, torch.zeros(1, 3)], -1))
    assert alone.shape == (1, 3, 2) and alone[..., 0].tolist() == expected
    assert alone[..., 1].tolist() == [[1 + 2.75 / 4, 2.75, 3.0]]


def test_a_lambda_return_ends_with_its_episode_and_before_padding():
    values = torch.tensor([[2.0, 4.0, 8.0]])
    loss = with_lambda(linear_mixer())
    padded = td_target(sequence(loss, mask=[[True, True, False]]), values)
    # Step 1 is the last one: it bootstraps with its own next value.
    assert padded[0, :2].tolist() == [1 + 1 + 2 / 4, 4.0]
    ended = td_target(sequence(loss, ended=[[False, True, False]]), values)
    assert ended[0, :2].tolist() == [2.0, 2.0]
    assert td_target(sequence(loss, mask=[[True, True, True]]), values)[0, 1] == 4.75


def test_a_target_has_no_gradient():
    values = torch.ones(2, requires_grad=True)
    assert not td_target(flat(discrete(linear_mixer())), values).requires_grad


def test_lambda_returns_need_sequences_of_single_steps():
    with pytest.raises(ValueError, match=r"SmallLoss: .*done.*sequences"):
        td_target(flat(with_lambda(linear_mixer())), torch.zeros(2))
    given = batch(torch.zeros(1, 3, 2, 3), torch.zeros(1, 3, 2, dtype=torch.long))
    given["steps_to_next_obs"] = torch.ones(1, 3, 1, dtype=torch.long)
    with pytest.raises(ValueError, match=r"TDLambda needs one-step rewards.*steps_to_next_obs"):
        td_target(with_lambda(linear_mixer()).view(given), torch.zeros(1, 3))
    # One step, whatever their number, needs neither.
    assert td_target(discrete(linear_mixer()).view(given), torch.zeros(1, 3)).tolist() == [[0.0, 0.0, 0.0]]


def test_the_callable_gives_the_targets_of_its_estimator():
    no = torch.zeros(1, 3, dtype=torch.bool)
    half, reward, values = torch.tensor(0.5), torch.tensor([[1.0, 2, 3]]), torch.tensor([[2.0, 4, 8]])
    assert TargetEstimator(ONE_STEP, half, half)(reward, values, no, no).tolist() == [[2.0, 4.0, 7.0]]
    several = TargetEstimator(LAMBDA, half, half)
    assert several(reward, values, no, no).tolist() == [[2 + 2.75 / 4, 4.75, 7.0]]
    ends = torch.tensor([[False, True, False]])
    assert several(reward, values, no, ends)[0, 1] == 4.0 and several(reward, values, ends, ends)[0, 1] == 2.0


def test_estimators_and_their_parameters():
    check_estimator("bc", ONE_STEP, {"gamma": 0.0})
    check_estimator("bc", LAMBDA, {"gamma": 1.0, "lmbda": 1.0})
    check_estimator("bc", LAMBDA, {})
    with pytest.raises(NotImplementedError, match=r"bc: .*GAE.*TD0 or TDLambda"):
        check_estimator("bc", ValueEstimators.GAE, {})
    with pytest.raises(TypeError, match=r"bc: .*gamma only, got lmbda"):
        check_estimator("bc", ONE_STEP, {"gamma": 0.5, "lmbda": 0.5})
    for outside in ({"gamma": 1.1}, {"gamma": 0.5, "lmbda": -0.1}):
        with pytest.raises(ValueError, match=r"bc: .*in \[0, 1\]"):
            check_estimator("bc", LAMBDA, outside)
