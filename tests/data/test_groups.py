"""Teams of several groups: episodes, files, the cache, samples, normalisation."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omiga_torchrl.data import (
    LAYOUTS,
    AgentArrays,
    DatasetCard,
    Episodes,
    Normalisation,
    OfflineDataset,
    episode_blocks,
    episodes_to_tensordict,
)
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.fingerprint import content_fingerprint
from omiga_torchrl.data.layouts import Reading, ReadOptions
from omiga_torchrl.data.ted import expected_bytes
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError
from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.testing.layout_contract import assert_equal

from .conftest import HUNT, make_card, make_episodes, make_hunt, make_hunt_card


def by_hand() -> Episodes:
    """One episode of two steps: two cars with one feature, one drone with two."""
    cars = AgentArrays(np.array([[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]]]), np.zeros((2, 2, 1)))
    drone = AgentArrays(np.array([[[7.0, 8.0]], [[9.0, 10.0]], [[11.0, 12.0]]]), np.array([[1], [0]]))
    ends = np.array([False, True])
    return Episodes(
        groups={"cars": cars, "drones": drone},
        reward=np.array([1.0, 2.0]),
        terminated=ends,
        truncated=ends & False,
        length=np.array([2]),
    )


def convert_hunt(episodes: Episodes, folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    blocks = [episodes.part(i, i + 1) for i in range(len(episodes))]
    convert(Reading(blocks, n_actions={"prey": 3}), folder, ReadOptions(), name="hunt")
    return load_ted(folder)


def test_transitions_by_hand():
    data = episodes_to_tensordict(by_hand())
    assert data["cars", "observation"].tolist() == [[[1], [2]], [[3], [4]]]
    assert data["next", "drones", "observation"].tolist() == [[[9, 10]], [[11, 12]]]
    assert data["drones", "action"].tolist() == [[1], [0]]
    # the agents of all groups in a row, in the order of the groups
    assert data["state"].tolist() == [[1, 2, 7, 8], [3, 4, 9, 10]]
    assert data["next", "state"].tolist() == [[3, 4, 9, 10], [5, 6, 11, 12]]


def test_arrays_of_several_groups_are_not_those_of_a_team():
    with pytest.raises(DataError, match="the groups cars, drones"):
        by_hand().observation  # noqa: B018
    with pytest.raises(DataError, match="the groups cars, drones"):
        by_hand().action = np.zeros(2)


def test_sizes_that_do_not_fit_are_named_by_group():
    groups = {
        "cars": AgentArrays(np.zeros((3, 2, 1)), np.zeros((3, 2, 1))),
        "a/b": AgentArrays(np.zeros((3, 1, 1)), np.zeros((2, 2, 1)), agent_mask=np.ones((2, 1), bool)),
    }
    with pytest.raises(DataError) as error:
        by_hand().replaced(groups=groups)
    for part in ("'cars/action' has 3 rows, expected 2", "'a/b/agent_mask' has 2 rows, expected 3", "'a/b'"):
        assert part in str(error.value)
    assert "'a/b/action' has shape (2, 2, 1)" in str(error.value)
    with pytest.raises(DataError, match="at least one group"):
        by_hand().replaced(groups={})


def test_parts_and_concatenation():
    episodes = make_hunt((3, 1, 4), absent=True, own_reward=True, stored_state=True)
    parts = [episodes.part(0, 1), episodes.part(1, 3)]
    assert parts[1].groups["prey"].observation.shape == (7, 1, 4)
    assert parts[1].groups["predators"].reward.shape == (5, 2)
    assert_equal(Episodes.concatenate(parts), episodes)
    # a part in which nobody is absent may have no mask
    parts[0].groups["predators"].agent_mask = None
    joined = Episodes.concatenate(parts).groups["predators"].agent_mask
    assert joined[:4].all() and (joined[4:] == episodes.groups["predators"].agent_mask[4:]).all()


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("own_reward", [False, True])
def test_a_file_holds_all(tmp_path, absent, own_reward):
    episodes = make_hunt(absent=absent, own_reward=own_reward)
    episodes.save(tmp_path / "a.npz")
    found = Episodes.load(tmp_path / "a.npz")
    assert list(found.groups) == ["predators", "prey"]
    assert_equal(found, episodes)


def test_a_plain_team_keeps_its_names_in_files(tmp_path):
    team = make_episodes(masked=True, stored_state=True)
    assert list(team.arrays()) == [
        *("observation", "action", "reward", "terminated", "truncated", "length", "action_mask", "state")
    ]
    team.groups["agents"].reward = np.ones((team.steps, 2), np.float32)
    team.save(tmp_path / "a.npz")
    assert_equal(Episodes.load(tmp_path / "a.npz"), team)


def test_a_file_that_lacks_an_array_of_a_group_is_named(tmp_path):
    arrays = make_hunt().arrays()
    del arrays["prey/action"]
    np.savez(tmp_path / "a.npz", **arrays, **{"prey/colour": np.zeros(2)})
    with pytest.raises(DataError, match=r"lacks \['prey/action'\] and has unknown \['prey/colour'\]"):
        Episodes.load(tmp_path / "a.npz")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    absent=st.booleans(),
    own_reward=st.booleans(),
    stored_state=st.booleans(),
)
def test_episodes_survive_the_way_to_disk_and_back(tmp_path, lengths, absent, own_reward, stored_state):
    episodes = make_hunt(lengths, absent=absent, own_reward=own_reward, stored_state=stored_state)
    data = convert_hunt(episodes, tmp_path / "converted")
    expected = episodes_to_tensordict(episodes)
    assert set(data.keys(True, True)) == set(expected.keys(True, True))
    assert (data == expected).all()
    assert data["predators"].batch_size == (episodes.steps, 2) and data["next", "prey"].batch_size[1] == 1
    for block_bytes in (1, 10**9):
        blocks = list(episode_blocks(data, groups=("predators", "prey"), block_bytes=block_bytes))
        assert_equal(Episodes.concatenate(blocks), episodes)


def test_bytes_on_disk_are_counted(tmp_path):
    for options in ({}, {"absent": True, "own_reward": True, "stored_state": True}):
        episodes = make_hunt(**options)
        convert_hunt(episodes, tmp_path / "converted")
        found = sum(file.stat().st_size for file in (tmp_path / "converted").rglob("*.memmap"))
        assert found == expected_bytes(episodes, episodes.steps)


def test_a_dataset_of_groups(write):
    episodes = make_hunt((3, 1, 4), own_reward=True)
    dataset = write(episodes, card=make_hunt_card(episodes), batch_size=4, reward_scale=None)
    assert isinstance(dataset.spec, GroupedTeamSpec) and dataset.spec == HUNT
    assert dataset.spec.agent_names == ("wolf_0", "wolf_1", "prey_0")
    assert_equal(Episodes.concatenate(list(dataset.blocks())), episodes)
    torch.manual_seed(0)
    batch = dataset.sample()
    assert batch["predators", "action"].shape == (4, 2, 2) and batch["prey", "action"].shape == (4, 1)
    assert batch["next", "prey", "reward"].shape == (4, 1, 1)
    team = dataset.spec.gather(batch)
    assert team["agents", "observation"].shape == (4, 3, 5)
    assert (team["agents", "observation"][:, 2, 4] == 0).all()
    assert torch.equal(
        team["next", "agents", "observation"][:, :2], batch["next", "predators", "observation"]
    )


def test_the_cache_is_opened_again(write, tmp_path, monkeypatch):
    episodes = make_hunt(absent=True)
    first = write(episodes, card=make_hunt_card(episodes))
    monkeypatch.setattr("omiga_torchrl.data.dataset.convert", None)
    again = OfflineDataset(tmp_path / "data")
    assert (again.data == first.data).all() and again.card == first.card
    assert list(again.spec.groups) == ["predators", "prey"]


def test_slices_of_groups(write):
    episodes = make_hunt((6, 6), absent=True)
    slices = write(episodes, card=make_hunt_card(episodes), slice_len=3, batch_size=12).sample()
    assert slices["predators", "observation"].shape == (4, 3, 2, 5)
    assert slices["predators", "agent_mask"].shape == (4, 3, 2)
    assert HUNT.of_kind("continuous").gather(slices)["agents", "action"].shape == (4, 3, 2, 2)


def test_without_a_card_the_sizes_are_those_of_the_data(tmp_path):
    convert_hunt(make_hunt(), tmp_path / "converted")
    card = DatasetCard.from_json((tmp_path / "converted" / "card.json").read_text())
    assert card.spec.groups["prey"].discrete and card.spec.groups["prey"].action_size == 3
    assert not card.spec.groups["predators"].discrete and card.spec.state_size == 14
    assert card.spec.groups["predators"].observation_size == 5


def test_a_card_that_lacks_a_size_of_a_group_is_refused():
    sizes = HUNT.to_dict()
    del sizes["groups"]["prey"]["discrete"]
    with pytest.raises(DataError, match=r"of group 'prey' lacks or has too much: \['discrete'\]"):
        make_hunt_card(make_hunt(), sizes=sizes)


def test_moments_leave_absent_agents_out(tmp_path):
    episodes = make_hunt(absent=True)
    predators = episodes.groups["predators"]
    # what an absent agent saw is anything, even far off
    predators.observation[~predators.agent_mask] = 1e6
    convert_hunt(episodes, tmp_path / "converted")
    card = DatasetCard.from_json((tmp_path / "converted" / "card.json").read_text())
    seen = predators.observation[predators.agent_mask]
    np.testing.assert_allclose(card.observation_mean["predators"], seen.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(card.observation_std["predators"], seen.std(0), rtol=1e-4)
    prey = episodes.groups["prey"].observation
    np.testing.assert_allclose(card.observation_mean["prey"], prey.mean((0, 1)), rtol=1e-4, atol=1e-6)


def test_normalisation_of_every_group(write):
    episodes = make_hunt((20, 20))
    card = make_hunt_card(episodes)
    raw, dataset = write(episodes, card=card), write(episodes, card=card, normalise_observations=True)
    for name in ("predators", "prey"):
        seen = episodes.groups[name].observation
        mean, std = seen.mean((0, 1)), seen.std((0, 1))
        for prefix in ((), ("next",)):
            expected = (raw.data[(*prefix, name, "observation")].numpy() - mean) / std
            np.testing.assert_allclose(
                dataset.data[(*prefix, name, "observation")], expected, rtol=1e-3, atol=1e-4
            )
    both = [dataset.data[name, "observation"].flatten(1) for name in ("predators", "prey")]
    torch.testing.assert_close(dataset.data["state"], torch.cat(both, 1), rtol=1e-4, atol=1e-5)
    # what policy files keep
    assert Normalisation(**dataset.normalisation.to_dict()) == dataset.normalisation


@pytest.mark.parametrize("layout", ["vault", "pymarl-npy", "omiga-mujoco"])
def test_layouts_of_one_team_refuse_groups(tmp_path, layout):
    with pytest.raises(DataError, match="no place for the groups predators, prey"):
        LAYOUTS[layout].write(tmp_path / "a", [make_hunt()])
    assert not (tmp_path / "a").exists()


def test_nothing_unsound_gets_through(tmp_path):
    def refused(match, change):
        episodes = make_hunt(absent=True, own_reward=True)
        change(episodes.groups["predators"])
        with pytest.raises(DataError, match=match):
            convert_hunt(episodes, tmp_path / "converted")

    def spoil(name, row, agent):
        return lambda group: getattr(group, name).__setitem__((row, agent), np.nan)

    refused("'predators/action' is NaN or infinite in 1 rows", spoil("action", 2, 0))
    refused("'predators/reward' is NaN", spoil("reward", 2, 0))
    # of an absent agent, too
    refused("'predators/observation' is NaN", spoil("observation", 1, 1))
    refused(r"actions of group 'predators' outside \[-1, 1\] \(.* to 3\)", lambda g: g.action.fill(3))
    refused("no agent of .* ever takes part", lambda g: g.agent_mask.fill(False))


def test_parts_of_other_entries_are_refused(tmp_path):
    blocks = [make_hunt(), make_hunt(absent=True)]
    with pytest.raises(DataError, match=r"entries \['predators/agent_mask'\] are in some parts"):
        convert(Reading(blocks, n_actions={"prey": 3}), tmp_path / "a", ReadOptions(), name="hunt")


def test_a_card_of_other_groups_is_refused(write):
    match = "the data have the groups predators, prey, their card says agents"
    with pytest.raises(DataError, match=match):
        write(make_hunt(), card=make_card(make_episodes()))


def test_actions_of_absent_agents_may_be_anything(tmp_path):
    episodes = make_hunt(absent=True)
    predators = episodes.groups["predators"]
    predators.action[~predators.agent_mask[episodes.is_step()]] = 7
    convert_hunt(episodes, tmp_path / "converted")


def test_the_content_of_a_plain_team_is_that_of_former_versions(tmp_path):
    dataset = OfflineDataset("vmas/navigation/mixed", root=tmp_path)
    assert dataset.data_path.name == "layout7-7ffc1e48"
    files = sorted(dataset.data_path.rglob("*.memmap"))
    names = [str(file.relative_to(dataset.data_path)) for file in files]
    assert names == [
        "agents/action.memmap",
        "agents/observation.memmap",
        "episode.memmap",
        "following.memmap",
        "next/done.memmap",
        "next/reward.memmap",
        "next/terminated.memmap",
        "next/truncated.memmap",
    ]
    # Of the files of layout 5, one an entry, in their order.
    data = load_ted(dataset.data_path)
    names[3] = "next/agents/observation.memmap"
    entries = [data[tuple(name.removesuffix(".memmap").split("/"))] for name in names]
    digest = hashlib.sha256(b"".join(entry.numpy().tobytes() for entry in entries)).hexdigest()
    assert digest == "ef1b2ff5f5141f934f5ae566886b8018b3ca9988dc7fd0471ce621f781318f89"
    assert content_fingerprint(dataset).startswith("73d2ce651e901a44")
    assert "groups" not in dataset.card.sizes and isinstance(dataset.card.observation_mean, list)
