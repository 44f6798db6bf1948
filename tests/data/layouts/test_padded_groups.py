"""Groups in the layouts of one team: padded on the way out, the same groups on the way back, or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omiga_torchrl.data import LAYOUTS, AgentArrays, Episodes, OfflineDataset
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts.base import Reading
from omiga_torchrl.data.layouts.padded_groups import GroupSizes, PaddedGroups, padded_blocks
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import evaluate
from tests.data.training import trained_policy

pytest.importorskip("tensorstore")
LENGTH = np.array([3, 2])


def make_group(agents, features, actions, *, discrete, masked=False, absent=False, own=False, seed=0):
    rng, rows, steps = np.random.default_rng(seed), int(LENGTH.sum()) + 2, int(LENGTH.sum())
    final = np.cumsum(LENGTH + 1) - 1
    group = AgentArrays(
        rng.normal(size=(rows, agents, features)).astype(np.float32),
        rng.integers(actions, size=(steps, agents))
        if discrete
        else rng.uniform(-1, 1, (steps, agents, actions)).astype(np.float32),
    )
    if masked:
        group.action_mask = rng.random((rows, agents, actions)) < 0.5
        np.put_along_axis(
            group.action_mask, np.insert(group.action, final - [0, 1], 0, 0)[..., None], True, -1
        )
    if absent:
        group.agent_mask = rng.random((rows, agents)) < 0.6
        group.agent_mask[:, 0] = True
    if own:
        group.reward = rng.normal(size=(steps, agents)).astype(np.float32)
    return group


def make_team(groups, *, state=False):
    steps = int(LENGTH.sum())
    late = np.isin(np.arange(steps), np.cumsum(LENGTH) - 1)
    reward = (
        np.mean([group.reward.mean(1) for group in groups.values()], 0, dtype=np.float32)
        if all(group.reward is not None for group in groups.values())
        else np.arange(steps, dtype=np.float32)
    )
    seen = np.random.default_rng(1).normal(size=(steps + 2, 5)).astype(np.float32) if state else None
    return Episodes(
        groups=groups, reward=reward, terminated=late & False, truncated=late, length=LENGTH, state=seen
    )


TEAMS = {
    "continuous": {
        "cars": make_group(2, 4, 1, discrete=False),
        "drones": make_group(1, 3, 2, discrete=False, seed=1),
    },
    "discrete": {
        "cars": make_group(2, 4, 3, discrete=True),
        "tower": make_group(1, 6, 5, discrete=True, masked=True, seed=1),
    },
    "coming and going": {
        "cars": make_group(3, 4, 3, discrete=True, masked=True, absent=True),
        "tower": make_group(1, 2, 3, discrete=True, masked=True, seed=1),
    },
}
COUNTS = {"cars": 3, "tower": 5}


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("kind", TEAMS)
@pytest.mark.parametrize("layout", ["vault", "pymarl-npy"])
def test_groups_come_back_bit_for_bit(tmp_path, layout, kind, state):
    if layout == "pymarl-npy" and kind == "continuous":
        pytest.skip("its actions are discrete")
    team, path = make_team(TEAMS[kind], state=state), tmp_path / "a"
    LAYOUTS[layout].write(path, [team.part(0, 1), team.part(1, 2)], n_actions=COUNTS)
    reading = LAYOUTS[layout].read(path, ReadOptions())
    found = Episodes.concatenate(list(reading.blocks))
    assert found.arrays().keys() == team.arrays().keys() and list(found.groups) == list(team.groups)
    for name, values in team.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], values, err_msg=name, strict=True)
    dataset = OfflineDataset(path, root=tmp_path / "cache")
    assert {name: one.action_size for name, one in dataset.spec.groups.items()} == {
        name: (COUNTS[name] if kind == "discrete" else 3) if group.is_discrete else group.action.shape[-1]
        for name, group in team.groups.items()
    }


def test_agents_by_number_are_those_of_the_padded_team(tmp_path):
    LAYOUTS["vault"].write(tmp_path / "a", [make_team(TEAMS["continuous"])])
    dataset = OfflineDataset(tmp_path / "a", root=tmp_path, groups={"agents": [0, 1, 2]})
    assert (dataset.spec.n_agents, dataset.spec.observation_size, dataset.spec.action_size) == (3, 4, 2)


def test_rewards_of_agents_are_those_of_their_groups(tmp_path):
    groups = {
        name: make_group(agents, 4, 2, discrete=False, own=True, seed=agents)
        for name, agents in (("cars", 2), ("drones", 1))
    }
    team = make_team(groups)
    LAYOUTS["vault"].write(tmp_path / "a", [team])
    options = ReadOptions(agent_rewards=True, team_reward="mean")
    (found,) = LAYOUTS["vault"].read(tmp_path / "a", options).blocks
    for name, group in groups.items():
        np.testing.assert_array_equal(found.groups[name].reward, group.reward)
    groups["cars"].reward = None
    with pytest.raises(DataError, match=r"\['cars'\] have no rewards of their own"):
        LAYOUTS["vault"].write(tmp_path / "b", [make_team(groups)])
    assert not (tmp_path / "b").exists()


def test_what_has_no_place_is_refused(tmp_path):
    mixed = make_team({"cars": TEAMS["continuous"]["cars"], "tower": TEAMS["discrete"]["tower"]})
    for layout in ("vault", "pymarl-npy"):
        with pytest.raises(DataError, match="no place for the groups cars, tower with continuous"):
            LAYOUTS[layout].write(tmp_path / "a", [mixed])
        with pytest.raises(DataError, match=r"of the group 'cars' is unknown. Pass n_actions="):
            LAYOUTS[layout].write(tmp_path / "a", [make_team(TEAMS["discrete"])])
    with pytest.raises(DataError, match=r"no place for the groups cars, drones.*layout 'vault'"):
        LAYOUTS["omiga-mujoco"].write(tmp_path / "a", [make_team(TEAMS["continuous"])])
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("groups", [[], {}, {"cars": {"agents": 1}}, {"cars": 3}, "cars"])
def test_damaged_groups_are_refused(tmp_path, groups):
    LAYOUTS["pymarl-npy"].write(tmp_path / "a", [make_team(TEAMS["coming and going"])])
    (tmp_path / "a" / "groups.json").write_text(json.dumps(groups))
    with pytest.raises(DataError, match="cannot read its groups"):
        LAYOUTS["pymarl-npy"].read(tmp_path / "a", ReadOptions())


def test_a_recording_to_a_vault_and_back(tmp_path):
    """Two continuous groups of VMAS: recorded, exported, read, trained for two steps and evaluated."""
    recorded = OfflineDataset("vmas/speaker_listeners/medium", reward_scale=None)
    episodes = next(recorded.blocks()).part(0, 4)
    LAYOUTS["vault"].write(tmp_path / "a.vlt" / "Medium", [episodes])
    again = OfflineDataset(tmp_path / "a.vlt", root=tmp_path, batch_size=16, reward_scale=None)
    assert list(again.spec.groups) == list(recorded.spec.groups)
    for name, group in recorded.spec.groups.items():
        found = again.spec.groups[name]
        assert (found.n_agents, found.observation_size, found.action_size) == (
            group.n_agents,
            group.observation_size,
            group.action_size,
        )
    assert len(again) == episodes.steps
    for key in again.data.keys(True, True):
        if key != "episode":
            np.testing.assert_array_equal(again.data[key], recorded.data[: len(again)][key], err_msg=str(key))
    policy = trained_policy(again)
    result = evaluate(policy, make_env("vmas/speaker_listeners", num_envs=2, seed=0), episodes=2, seed=0)
    assert np.isfinite(result.mean_return)


def team_of(**groups):
    return make_team(groups)


def test_groups_side_by_side_in_numbers():
    team = team_of(
        cars=make_group(2, 4, 1, discrete=False, absent=True), drones=make_group(1, 3, 2, discrete=False)
    )
    cars, drones = team.groups.values()
    padded = PaddedGroups.of(team, None)
    assert padded.groups["cars"] == GroupSizes(2, 4, 1, discrete=False, masked=False, present=True)
    found = padded.pad(team)
    assert found.observation.shape == (7, 3, 4) and found.action.shape == (5, 3, 2)
    np.testing.assert_array_equal(found.observation[:, :2], cars.observation)
    np.testing.assert_array_equal(found.observation[:, 2, :3], drones.observation[:, 0])
    np.testing.assert_array_equal(found.action[:, 2], drones.action[:, 0])
    assert not found.observation[:, 2, 3].any() and not found.action[:, :2, 1].any()
    np.testing.assert_array_equal(found.agent_mask[:, :2], cars.agent_mask)
    assert found.agent_mask[:, 2].all() and found.action_mask is None and found.state.shape == (7, 11)
    assert found.groups["agents"].reward is None and found.truncated.sum() == 2


def test_action_masks_only_where_they_are_needed():
    equal = team_of(cars=make_group(2, 4, 3, discrete=True), tower=make_group(1, 4, 3, discrete=True))
    team = PaddedGroups.of(equal, 3).pad(equal)
    assert team.action_mask is None and team.agent_mask is None
    fewer = team_of(cars=make_group(2, 4, 3, discrete=True), tower=make_group(1, 4, 5, discrete=True))
    mask = PaddedGroups.of(fewer, {"cars": 3, "tower": 5}).pad(fewer).action_mask
    assert (mask == [[[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]]).all()
    masked = make_group(1, 4, 3, discrete=True, masked=True)
    one = team_of(cars=make_group(2, 4, 3, discrete=True), tower=masked)
    padded = PaddedGroups.of(one, {"cars": 3})
    mask = padded.pad(one).action_mask
    assert mask[:, :2].all() and (mask[:, 2:] == masked.action_mask).all()
    again = padded.split(padded.pad(one))
    assert again.groups["cars"].action_mask is None and again.state is None
    np.testing.assert_array_equal(again.groups["tower"].action_mask, masked.action_mask)


def test_blocks_of_groups_and_their_counts():
    team = make_team(TEAMS["discrete"])
    blocks, padded, count = padded_blocks([team.part(0, 1), team.part(1, 2)], COUNTS)
    assert [block.observation.shape for block in blocks] == [(4, 3, 6), (3, 3, 6)]
    assert list(padded.groups) == ["cars", "tower"] and count == 5
    assert padded_blocks([make_team(TEAMS["continuous"])], None)[2] is None
    plain = make_team({"agents": TEAMS["discrete"]["cars"]})
    for counts in (3, {"agents": 3, "tower": 5}):
        blocks, padded, count = padded_blocks([plain, plain], counts)
        assert list(blocks) == [plain, plain] and padded is None and count == 3
    blocks, padded, count = padded_blocks([], 4)
    assert list(blocks) == [] and padded is None and count == 4


def test_a_padded_team_that_is_open():
    team = make_team(TEAMS["discrete"])
    padded = PaddedGroups.of(team, COUNTS)
    reading = padded.reading(Reading([padded.pad(team)], steps=5), "here")
    assert reading.n_actions == COUNTS and reading.is_grouped and reading.steps == 5
    assert [list(block.groups) for block in reading.blocks] == [["cars", "tower"]]
    continuous = PaddedGroups.of(make_team(TEAMS["continuous"]), None)
    assert continuous.reading(Reading([]), "here").n_actions is None
    four = make_team({"agents": make_group(4, 6, 5, discrete=True)})
    with pytest.raises(DataError, match="here has 4 agents, its groups have 3"):
        list(padded.reading(Reading([four]), "here").blocks)


@pytest.mark.parametrize("name", ["agents", "observation", "action"])
def test_sizes_are_numbers_from_one_on(name):
    sizes = PaddedGroups.of(make_team(TEAMS["discrete"]), COUNTS).to_dict()
    assert PaddedGroups.from_dict(sizes, "here").to_dict() == sizes
    sizes["tower"][name] = 1
    assert PaddedGroups.from_dict(sizes, "here").to_dict() == sizes
    for wrong in (0, -1, 1.5, None):
        sizes["tower"][name] = wrong
        with pytest.raises(DataError, match="here: cannot read its groups: sizes are numbers from 1 on"):
            PaddedGroups.from_dict(sizes, "here")
