"""`Episodes`: sizes that fit, and what follows from the lengths."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import AgentArrays, Episodes
from omiga_torchrl.errors import DataError
from omiga_torchrl.testing.layout_contract import assert_equal

from .conftest import make_episodes, make_hunt


def counted(lengths=(2, 1, 3), **changes):
    """Every number says its place; two agents."""
    steps, rows = sum(lengths), sum(lengths) + len(lengths)
    given = {
        "observation": np.arange(rows * 2.0).reshape(rows, 2, 1),
        "action": np.arange(steps * 2.0).reshape(steps, 2, 1),
        "reward": 10.0 ** np.arange(steps),
        "terminated": np.zeros(steps, bool),
        "truncated": np.zeros(steps, bool),
        "length": np.array(lengths, int),
    }
    return Episodes(**{**given, **changes})


def test_what_follows_from_the_lengths():
    episodes = counted()
    assert (episodes.steps, len(episodes)) == (6, 3)
    assert episodes.starts().tolist() == [0, 2, 3]
    assert episodes.is_step().tolist() == [True, True, False, True, False, True, True, True, False]
    assert episodes.returns().tolist() == [11.0, 100.0, 111000.0]


def test_no_episode_is_allowed():
    none = counted(())
    assert (none.steps, len(none)) == (0, 0)
    assert none.returns().tolist() == [] and none.starts().tolist() == [] and none.is_step().tolist() == []


def test_returns_are_summed_in_double_precision():
    reward = np.array([2.0**24, 1.0, 1.0], np.float32)
    assert counted((3,), reward=reward).returns().tolist() == [2.0**24 + 2]


def test_lengths_become_int64_and_flags_booleans():
    length, flags = np.array([2, 1, 3], np.uint8), np.array([0, 1, 1, 0, 0, 1])
    episodes = counted(length=length, terminated=flags, truncated=1.0 - flags)
    assert episodes.length.dtype == np.int64
    assert episodes.terminated.tolist() == [False, True, True, False, False, True]
    assert (episodes.truncated == ~episodes.terminated).all() and episodes.truncated.dtype == bool


@pytest.mark.parametrize("name", ["reward", "terminated", "truncated"])
@pytest.mark.parametrize("steps", [5, 7])
def test_arrays_of_the_team_have_one_row_a_step(name, steps):
    with pytest.raises(DataError, match=f"'{name}' has {steps} rows, expected 6"):
        counted(**{name: np.zeros(steps, float if name == "reward" else bool)})


@pytest.mark.parametrize("rows", [8, 10])
def test_observations_and_states_have_one_row_more_an_episode(rows):
    with pytest.raises(DataError, match=rf"'state' has shape \({rows}, 2\), expected 9 rows"):
        counted(state=np.zeros((rows, 2)))
    with pytest.raises(DataError, match=rf"'observation' has {rows} rows, expected 9.*6 steps in 3 episodes"):
        counted(observation=np.zeros((rows, 2, 1)))


def test_a_state_and_a_team_are_not_empty():
    with pytest.raises(DataError, match=r"'state' has shape \(9, 0\), expected 9 rows of some features"):
        counted(state=np.zeros((9, 0)))
    with pytest.raises(DataError, match="expected at least one agent"):
        counted(observation=np.zeros((9, 0, 1)), action=np.zeros((6, 0, 1)))


def test_every_episode_has_a_step_and_every_step_one_reward_of_the_team():
    with pytest.raises(DataError, match="'length' has an episode without a step"):
        counted(length=np.array([3, 0, 3]))
    with pytest.raises(DataError, match=r"'reward' has shape \(6, 1\), expected \[T\]"):
        counted(reward=np.zeros((6, 1)))
    assert counted((1, 1)).steps == 2


def test_every_group_is_checked():
    hunt = make_hunt()
    groups = {**hunt.groups, "prey": hunt.groups["prey"].part(slice(0, 3), slice(0, 2))}
    with pytest.raises(DataError, match="'prey/observation' has 3 rows, expected 11"):
        hunt.replaced(groups=groups)


@pytest.mark.parametrize("name", ["reward", "terminated", "truncated", "length"])
def test_arrays_of_the_team_must_be_given(name):
    with pytest.raises(TypeError, match=f"{name} must be given"):
        counted(**{name: None})


@pytest.mark.parametrize("name", ["observation", "action", "action_mask", "agent_mask"])
def test_groups_and_arrays_of_a_plain_team_exclude_each_other(name):
    hunt = make_hunt()
    team = {one: getattr(hunt, one) for one in ("reward", "terminated", "truncated", "length")}
    with pytest.raises(DataError, match=rf"groups \['predators', 'prey'\] and \['{name}'\]"):
        Episodes(**team, groups=hunt.groups, **{name: np.zeros((11, 2, 5))})
    with pytest.raises(DataError, match="at least one group"):
        Episodes(**team, groups={})


def test_arrays_of_a_plain_team_are_read_and_set_by_their_names():
    mask = np.ones((9, 2), bool)
    episodes = counted(agent_mask=mask)
    assert episodes.is_plain and episodes.agent_mask is episodes.groups["agents"].agent_mask
    assert episodes.action_mask is None
    episodes.action = episodes.action + 1
    assert episodes.groups["agents"].action[0, 0, 0] == 1
    assert Episodes.observation is vars(Episodes)["observation"]


def test_arrays_of_several_groups_are_not_read_by_plain_names():
    hunt = make_hunt()
    assert not hunt.is_plain
    with pytest.raises(DataError, match=r"one group 'agents' here, got the groups predators, prey"):
        hunt.observation  # noqa: B018
    with pytest.raises(DataError, match="got the groups"):
        hunt.action = None
    one = hunt.replaced(groups={"prey": hunt.groups["prey"]})
    assert not one.is_plain


def test_the_state_is_the_stored_one_or_all_observations_in_a_row():
    state = np.arange(27.0).reshape(9, 3)
    assert counted(state=state).joint_state() is state
    assert counted().joint_state().tolist() == np.arange(18.0).reshape(9, 2).tolist()
    hunt = make_hunt()
    assert hunt.joint_state().shape == (11, 2 * 5 + 4)


def test_a_state_that_repeats_the_observations_is_left_out_and_no_other():
    episodes = counted()
    repeated = episodes.joint_state().copy()
    assert counted(state=repeated).without_repeated_state().state is None
    repeated[-1, -1] += 1
    assert counted(state=repeated).without_repeated_state().state is not None
    assert episodes.without_repeated_state() is episodes


def test_a_part_has_its_episodes_own_rows():
    episodes = counted(state=np.arange(9.0)[:, None])
    part = episodes.part(1, 3)
    assert part.length.tolist() == [1, 3]
    assert part.reward.tolist() == episodes.reward[2:].tolist()
    assert part.state.ravel().tolist() == [3, 4, 5, 6, 7, 8]
    assert part.observation[0, 0, 0] == 6 and part.action[0, 0, 0] == 4
    assert np.shares_memory(part.observation, episodes.observation)
    first = episodes.part(0, 1)
    assert first.state.ravel().tolist() == [0, 1, 2]
    assert first.terminated.shape == first.truncated.shape == (2,)
    assert episodes.part(1, 2).state.ravel().tolist() == [3, 4]
    assert len(episodes.part(1, 1)) == 0


def test_parts_keep_flags_and_groups():
    hunt = make_hunt((3, 1, 4, 2), absent=True, own_reward=True, stored_state=True)
    parts = [hunt.part(0, 1), hunt.part(1, 3), hunt.part(3, 4)]
    assert_equal(Episodes.concatenate(parts), hunt)
    assert hunt.part(1, 2).terminated.tolist() == [True] and hunt.part(1, 2).truncated.tolist() == [False]


def test_the_first_episodes_are_at_most_all():
    episodes = counted()
    assert [len(episodes.first(count)) for count in (0, 1, 3, 4)] == [0, 1, 3, 3]
    assert episodes.first(2).reward.tolist() == [1, 10, 100]


def test_replaced_arrays_replace_and_the_others_stay():
    episodes = counted(state=np.zeros((9, 1)))
    other = episodes.replaced(reward=episodes.reward + 1)
    assert other.reward[0] == 2 and episodes.reward[0] == 1
    assert other.state is episodes.state and other.groups == episodes.groups
    assert episodes.replaced(state=None).state is None


def test_concatenated_states_are_in_order():
    one, two = counted((2,), state=np.zeros((3, 1))), counted((1,), state=np.ones((2, 1)))
    assert Episodes.concatenate([one, two]).state.ravel().tolist() == [0, 0, 0, 1, 1]
    assert Episodes.concatenate([counted(), counted()]).state is None
    for parts in ([one, counted((1,))], [counted((2,)), two]):
        with pytest.raises(DataError, match="'state' has shape"):
            Episodes.concatenate(parts)
    assert Episodes.concatenate([counted((2,)), counted((1,))]).length.tolist() == [2, 1]


@pytest.mark.parametrize("options", [{}, {"masked": True}, {"stored_state": True}])
def test_a_file_gives_the_same_back(tmp_path, options):
    episodes = make_episodes(**options)
    episodes.save(tmp_path / "one.npz")
    assert_equal(Episodes.load(tmp_path / "one.npz"), episodes)


def test_files_hold_single_precision_and_have_a_largest_size(tmp_path):
    counted().save(tmp_path / "one.npz")
    back = Episodes.load(tmp_path / "one.npz")
    assert back.reward.dtype == back.observation.dtype == np.float32 and back.length.dtype == np.int64
    with pytest.raises(DataError):
        Episodes.load(tmp_path / "one.npz", largest=100)


def test_own_rewards_and_presence_survive_a_file(tmp_path):
    hunt = make_hunt(own_reward=True, absent=True, stored_state=True)
    hunt.save(tmp_path / "hunt.npz")
    back = Episodes.load(tmp_path / "hunt.npz")
    assert list(back.groups) == ["predators", "prey"]
    assert all(isinstance(group, AgentArrays) for group in back.groups.values())
    assert_equal(back, hunt)
