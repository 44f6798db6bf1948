"""`read_run` and `encode_actions`: one form of a run, whatever it was given in."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.own.facts import Facts
from omiga_torchrl.data.own.runs import encode_actions, read_run
from omiga_torchrl.errors import DataError

T, N = 4, 2
FLAGS = np.array([0, 1, 0, 1])


def given(**changes):
    arrays = {
        "observation": np.arange(T * N * 3.0).reshape(T, N, 3),
        "action": np.arange(T * N * 2.0).reshape(T, N, 2),
        "reward": np.arange(1.0, T + 1),
        "terminated": FLAGS,
    }
    return {**arrays, **changes}


def run_of(facts=None, **changes):
    return read_run(given(**changes), facts or Facts("here"), "here")


def test_a_plain_run():
    run = run_of(truncated=None)
    assert run.steps == T and run.where == "here" and run.n_actions == {}
    assert run.team["reward"].tolist() == [1, 2, 3, 4]
    assert run.team["terminated"].tolist() == [False, True, False, True]
    assert run.team["truncated"].tolist() == [False] * 4
    assert set(run.groups) == {"observation", "action"} and "episode" not in run.team
    assert (run.groups["observation"]["agents"] == given()["observation"]).all()


def test_flags_of_one_agent_or_of_all():
    run = run_of(truncated=1 - FLAGS, terminated=np.zeros((T, 1)))
    assert run.team["truncated"].tolist() == [True, False, True, False]
    both = np.stack([FLAGS, FLAGS], 1)
    assert run_of(terminated=both).team["terminated"].tolist() == [False, True, False, True]
    assert run_of(terminated=both[..., None]).team["terminated"].tolist() == [False, True, False, True]
    mixed = run_of(terminated=both, truncated=np.array([0, 0, 0, 1]))  # time is over for all
    assert mixed.team["terminated"].tolist() == [False, True, False, False]
    assert mixed.team["truncated"].tolist() == [False, False, False, True]


def test_agents_that_end_earlier_need_a_mask():
    own = np.array([[0, 0], [1, 0], [0, 0], [0, 1]])
    with pytest.raises(DataError, match=r"some agents end in row 1 and others do not, in 2 rows"):
        run_of(terminated=own)
    mask = np.array([[1, 1], [1, 1], [0, 1], [0, 1]])
    run = run_of(terminated=own, agent_mask=mask)
    assert run.team["terminated"].tolist() == [False, False, False, True]
    assert run.groups["agent_mask"]["agents"].dtype == bool
    one_more = np.concatenate([mask, [[1, 1]]])
    assert run_of(terminated=own, agent_mask=one_more).team["terminated"].tolist() == [False] * 3 + [True]
    with pytest.raises(DataError, match="some agents end"):  # which of its rows are steps?
        run_of(terminated=own, agent_mask=np.concatenate([one_more, [[1, 1]]]))


@pytest.mark.parametrize("name", ["observation", "action", "reward", "terminated"])
def test_what_must_be_given(name):
    with pytest.raises(DataError, match=rf"here: \['{name}'\] are missing"):
        run_of(**{name: None})
    with pytest.raises(ValueError, match="unknown array 'rewards'"):
        run_of(rewards=np.zeros(T))


def test_rewards_of_agents_are_put_together_and_kept():
    own = np.arange(8.0).reshape(T, N)
    with pytest.raises(DataError, match="the agents' rewards differ"):
        run_of(reward=own)
    mean = Facts("here", ReadOptions(team_reward="mean"))
    assert run_of(mean, reward=own).team["reward"].tolist() == [0.5, 2.5, 4.5, 6.5]
    assert "reward" not in run_of(mean, reward=own).groups
    kept = Facts("here", ReadOptions(team_reward="sum", agent_rewards=True))
    run = run_of(kept, reward=own)
    assert (run.groups["reward"]["agents"] == own).all() and run.team["reward"].tolist() == [1, 5, 9, 13]


def test_own_rewards_beside_the_teams():
    own = np.arange(8.0).reshape(T, N)
    run = run_of(agent_reward=own)
    assert run.team["reward"].tolist() == [1, 2, 3, 4] and (run.groups["reward"]["agents"] == own).all()


def test_own_rewards_go_to_their_groups():
    own = np.arange(12.0).reshape(T, 3)
    run = run_of(
        observation={"b": np.zeros((T, 2, 3)), "a": np.zeros((T, 1, 5))},
        action={"b": np.zeros((T, 2, 1)), "a": np.zeros((T, 1, 1))},
        agent_reward=own,
    )
    assert (run.groups["reward"]["b"] == own[:, :2]).all()
    assert (run.groups["reward"]["a"] == own[:, 2:]).all()


def test_groups_may_be_given_one_value_for_all_their_agents():
    observation = {"b": np.zeros((T, 2, 3)), "a": np.zeros((T, 1, 5))}
    action = {"b": np.zeros((T, 2, 1)), "a": np.zeros((T, 1, 1))}
    ends = {"b": FLAGS, "a": FLAGS}
    reward = {"b": np.array([[1.0, 3], [2, 4], [3, 5], [4, 6]]), "a": np.full(T, 9.0)}
    facts = Facts("here", ReadOptions(team_reward="sum"))
    run = run_of(facts, observation=observation, action=action, terminated=ends, reward=reward)
    assert run.team["reward"].tolist() == [13, 15, 17, 19]
    assert run.team["terminated"].tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reward", np.zeros(T + 1)), ("reward", np.zeros(T - 1)), ("reward", np.zeros((T, N, 2))),
        ("reward", np.zeros((T, 3))), ("terminated", np.zeros((T, 3))), ("episode", np.zeros(T - 1)),
    ],
)  # fmt: skip
def test_arrays_of_the_team_have_one_row_a_step(name, value):
    with pytest.raises(DataError, match=rf"'{name}' has the shape .*expected \[T\] = \(4,\), or .* \(4, 2\)"):
        run_of(**{name: value})


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("action", (T, N, 1, 1)), ("action", (T,)), ("action_mask", (T, N)), ("next_action_mask", (T, N)),
        ("agent_mask", (T, N, 1)), ("next_observation", (T, 3)),
    ],
)  # fmt: skip
def test_numbers_of_dimensions(name, shape):
    with pytest.raises(DataError, match=rf"'{name}' has the shape \({T},.*expected \[T, N"):
        run_of(**{name: np.zeros(shape)})


def test_states_have_two_dimensions_and_enough_rows():
    run = run_of(state=np.zeros((T + 2, 5), int), next_state=np.zeros((T, 5)))
    assert run.team["state"].dtype == np.float32 and run.team["next_state"].dtype == np.float64
    with pytest.raises(DataError, match=r"'state' has the shape \(4, 2, 5\); expected \[T, S\]"):
        run_of(state=np.zeros((T, N, 5)))
    with pytest.raises(DataError, match="'state' has 3 rows, 'action' 4"):
        run_of(state=np.zeros((T - 1, 5)))
    for rows in (T - 1, T + 1):
        with pytest.raises(DataError, match=f"'next_state' has {rows} rows, 'action' 4"):
            run_of(state=np.zeros((T, 5)), next_state=np.zeros((rows, 5)))


def test_rows_and_agents_of_everything():
    run_of(observation=np.zeros((T + 2, N, 3)))
    with pytest.raises(DataError, match="'observation' has 3 rows, 'action' 4"):
        run_of(observation=np.zeros((T - 1, N, 3)))
    for rows in (T - 1, T + 1):
        with pytest.raises(DataError, match=f"'next_observation' has {rows} rows, 'action' 4"):
            run_of(next_observation=np.zeros((rows, N, 3)))
    with pytest.raises(DataError, match="'action_mask' is of 3 agents, 'observation' of 2"):
        run_of(action_mask=np.ones((T, 3, 2)))
    with pytest.raises(DataError, match="'action' has no rows"):
        read_run({name: value[:0] for name, value in given().items()}, Facts("here"), "here")


def test_a_single_agents_action_needs_no_feature_axis():
    single = {"observation": np.zeros((T, 3)), "action": np.arange(4.0)}
    assert run_of(**single).groups["action"]["agents"].shape == (T, 1, 1)
    whole = run_of(**{**single, "action": np.arange(4)})
    assert whole.groups["action"]["agents"].shape == (T, 1)


def encoded(run, length=(2, 2), facts=None):
    encode_actions(run, facts or Facts("here"), np.array(length))
    return run.groups["action"]["agents"], run.n_actions


def test_continuous_actions_stay_and_have_no_number():
    action, counts = encoded(run_of())
    assert action.dtype == np.float64 and counts == {}


def test_numbers_of_actions_are_known_by_masks_one_hots_or_the_user():
    numbers = np.array([[0, 1], [2, 0], [1, 1], [0, 2]])
    assert encoded(run_of(action=numbers))[1] == {}
    assert encoded(run_of(action=numbers), facts=Facts("here", n_actions=5))[1] == {"agents": 5}
    action, counts = encoded(run_of(action=np.eye(3)[numbers].astype(int)))
    assert (action == numbers).all() and counts == {"agents": 3}
    masked = run_of(action=numbers, action_mask=np.ones((T, N, 4)))
    assert encoded(masked)[1] == {"agents": 4}
    agreeing = run_of(action=numbers, action_mask=np.ones((T, N, 4)))
    assert encoded(agreeing, facts=Facts("here", n_actions=4))[1] == {"agents": 4}
    with pytest.raises(DataError, match="'action_mask' has 4 actions, n_actions is 5"):
        encoded(masked, facts=Facts("here", n_actions=5))


def test_actions_of_absent_agents_are_zero():
    numbers, mask = np.full((T, N), 2), np.ones((T, N))
    mask[1, 1] = mask[3, 0] = 0
    action, _ = encoded(run_of(action=numbers, agent_mask=mask), facts=Facts("here", n_actions=3))
    assert action.tolist() == [[2, 2], [2, 0], [2, 2], [0, 2]]
    # with a row more an episode, those after the last steps are no steps
    longer = np.insert(mask, [2, 4], 0, axis=0)
    run = run_of(action=numbers, agent_mask=longer, observation=np.zeros((T + 2, N, 3)))
    action, _ = encoded(run, facts=Facts("here", n_actions=3))
    assert action.tolist() == [[2, 2], [2, 0], [2, 2], [0, 2]]
