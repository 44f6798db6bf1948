"""`OfflineDataset`: what is read is what was recorded, and nothing can change it."""

from __future__ import annotations

import dataclasses
import shutil
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from torchrl.data import ImmutableDatasetWriter, TensorDictReplayBuffer, TensorStorage
from torchrl.data.datasets.utils import load_dataset
from torchrl.data.replay_buffers import SliceSampler

from omiga_torchrl.data import (
    Episodes,
    IndexSelectStorage,
    OfflineDataset,
    bundled_datasets,
    cache_root,
    episodes_to_tensordict,
    find_dataset,
    read_card,
)
from omiga_torchrl.data.ted import TedWriter
from omiga_torchrl.errors import DataError

from .conftest import make_card, make_episodes


def read_slowly(episodes):
    """The transitions as a list of dictionaries, by plain Python loops."""
    rows, out, step, row = episodes.observation.tolist(), [], 0, 0
    states = None if episodes.state is None else episodes.state.tolist()
    for number, length in enumerate(episodes.length.tolist()):
        for _ in range(length):
            out.append(
                {
                    "observation": rows[row],
                    "next_observation": rows[row + 1],
                    "state": states[row] if states else list(chain(*rows[row])),
                    "next_state": states[row + 1] if states else list(chain(*rows[row + 1])),
                    "action": episodes.action[step].tolist(),
                    "reward": [float(episodes.reward[step])],
                    "terminated": [bool(episodes.terminated[step])],
                    "truncated": [bool(episodes.truncated[step])],
                    "done": [bool(episodes.terminated[step] or episodes.truncated[step])],
                    "episode": number,
                }
            )
            step, row = step + 1, row + 1
        row += 1
    return out


def read_fast(data):
    return [
        {
            "observation": one["agents", "observation"].tolist(),
            "next_observation": one["next", "agents", "observation"].tolist(),
            "state": one["state"].tolist(),
            "next_state": one["next", "state"].tolist(),
            "action": one["agents", "action"].tolist(),
            "episode": int(one["episode"]),
            **{k: one["next", k].tolist() for k in ("reward", "terminated", "truncated", "done")},
        }
        for one in data
    ]


@pytest.mark.parametrize("options", [{}, {"masked": True}, {"stored_state": True}])
def test_round_trip(write, options):
    episodes = make_episodes(**options)
    data = write(episodes, reward_scale=None).data
    assert read_fast(data) == read_slowly(episodes)
    if episodes.action_mask is not None:
        keep = np.delete(np.arange(len(episodes.action_mask)), np.cumsum(episodes.length + 1) - 1)
        np.testing.assert_array_equal(data["agents", "action_mask"], episodes.action_mask[keep])
        np.testing.assert_array_equal(data["next", "agents", "action_mask"], episodes.action_mask[keep + 1])


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8), n_agents=st.integers(1, 3))
def test_any_episode_structure(lengths, n_agents):
    episodes = make_episodes(lengths, n_agents=n_agents)
    assert read_fast(episodes_to_tensordict(episodes)) == read_slowly(episodes)
    assert len(episodes.first(1)) == 1 and episodes.first(1).steps == lengths[0]
    joined = Episodes.concatenate([episodes, episodes])
    np.testing.assert_allclose(joined.returns(), np.tile(episodes.returns(), 2))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_returns_against_a_loop(lengths):
    episodes = make_episodes(lengths)
    parts = np.split(episodes.reward.astype(np.float64), np.cumsum(lengths)[:-1])
    np.testing.assert_allclose(episodes.returns(), [part.sum() for part in parts])


def test_first_steps_are_marked(write):
    lengths = [3, 1, 4]
    dataset = write(make_episodes(lengths, n_agents=2))
    expected = [t == 0 for length in lengths for t in range(length)]
    assert dataset.data["is_init"].shape == (8, 1)
    assert dataset.data["is_init"].flatten().tolist() == expected
    assert dataset.sample(4)["is_init"].shape == (4, 1)


def test_rewards_are_scaled_once_and_the_scale_is_known(write, episodes):
    std = episodes.reward.astype(np.float64).std()
    scaled = write(episodes)
    assert scaled.reward_scale == pytest.approx(std)
    halved, raw = (OfflineDataset(scaled.source.path, reward_scale=scale) for scale in (2.0, None))
    raw_reward = torch.as_tensor(episodes.reward)[:, None]
    assert torch.equal(raw.data["next", "reward"], raw_reward)
    assert torch.equal(halved.data["next", "reward"], raw_reward / 2)
    assert float(scaled.data["next", "reward"].std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert len({scaled.data_path, halved.data_path, raw.data_path}) == 1


def test_constant_rewards_are_not_scaled(write, episodes):
    episodes.reward[:] = 0.1
    assert write(episodes).reward_scale == 1.0


@pytest.mark.parametrize("scale", [0, -1.0, "mean", float("nan"), float("inf")])
def test_bad_reward_scale(write, episodes, scale):
    with pytest.raises(ValueError, match=r"reward_scale is .*expected 'std', None or a number > 0"):
        write(episodes, reward_scale=scale)


def test_cache_is_used_again(write, episodes):
    first = write(episodes)
    marker = first.data_path / "meta.json"
    before = marker.stat().st_mtime_ns
    again = OfflineDataset(first.source.path)
    assert marker.stat().st_mtime_ns == before
    assert (again.data == first.data).all()
    assert not list(first.data_path_root.glob("*partial*"))
    again.delete()
    assert not first.data_path.exists()


def test_an_interrupted_conversion_leaves_nothing(write, episodes, monkeypatch):
    source = write(episodes, folder="whole").source.path
    shutil.rmtree(cache_root())

    def fail(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(TedWriter, "close", fail)
        OfflineDataset(source)
    left = [path for path in (cache_root() / "datasets").rglob("*") if path.is_file()]
    assert not [path for path in left if path.suffix != ".lock"]


def test_immutable(write, episodes):
    dataset = write(episodes, batch_size=2)
    with pytest.raises(RuntimeError, match="doesn't allow writing"):
        dataset.extend(dataset.data[:2])
    with pytest.raises(RuntimeError, match="doesn't allow writing"):
        dataset.add(dataset.data[0])
    before = dataset.data.clone()
    sample = dataset.sample(2)
    sample["agents", "observation"].zero_()
    sample["next", "reward"].zero_()
    assert (dataset.data == before).all()


@pytest.mark.parametrize("batch", [1, 16])
def test_samples_equal_those_of_the_stock_storage(write, batch):
    dataset = write(make_episodes((5, 4, 6)))
    stock = TensorDictReplayBuffer(storage=TensorStorage(dataset.data), writer=ImmutableDatasetWriter())
    for buffer, out in ((dataset, fast := []), (stock, slow := [])):
        torch.manual_seed(0)
        out += [buffer.sample(batch) for _ in range(3)]
    for one, other in zip(fast, slow, strict=True):
        assert set(one.keys(True)) == set(other.keys(True))
        assert one.batch_size == other.batch_size and one["agents"].batch_size == other["agents"].batch_size
        assert (one == other).all()
        assert all(type(leaf) is torch.Tensor for leaf in one.values(True, True))


@pytest.mark.parametrize(
    "index", [2, slice(1, 4), [0, 3], torch.tensor([[0, 1]]), torch.arange(5) > 2, (torch.tensor([4, 0]),)]
)
def test_other_indices(index):
    data = TensorDict({"x": torch.arange(5), "a": TensorDict({"y": torch.randn(5, 2)}, [5, 2])}, [5])
    fast, slow = IndexSelectStorage(data).get(index), TensorStorage(data).get(index)
    assert fast.batch_size == slow.batch_size and (fast == slow).all()


def test_slices_stay_within_an_episode(write):
    dataset = write(
        make_episodes((9, 3, 7, 5)),
        batch_size=30,
        sampler=SliceSampler(traj_key="episode", slice_len=3, cache_values=True, strict_length=True),
    )
    sample = dataset.sample().reshape(10, 3)
    assert (sample["episode"] == sample["episode"][:, :1]).all()
    inside = sample["next", "agents", "observation"][:, :-1]
    assert torch.equal(inside, sample["agents", "observation"][:, 1:])


def test_checksum(write, episodes):
    source = write(episodes).source.path
    shutil.rmtree(cache_root())
    with open(source / "data.npz", "ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"sha256 .* its card says .*damaged or was replaced"):
        OfflineDataset(source)


def test_unknown_dataset_names_the_nearest(tmp_path):
    with pytest.raises(ValueError, match=r"unknown dataset 'vmas/navigation/mixd'; did you mean 'vmas/n"):
        OfflineDataset("vmas/navigation/mixd")
    with pytest.raises(DataError, match=r"looks like none of the known layouts.*recording: folder with card"):
        OfflineDataset(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nothing.hdf5 does not exist"):
        OfflineDataset(tmp_path / "nothing.hdf5")
    with pytest.raises(ValueError, match=r"unknown layout 'recordin'; did you mean 'recording'"):
        OfflineDataset(tmp_path, layout="recordin")


def test_arrays_that_do_not_fit_together():
    good = make_episodes().arrays()
    with pytest.raises(DataError, match=r"'action' has 7 rows, expected 8; 'reward' has shape \(8, 2\)"):
        Episodes(**{**good, "action": good["action"][1:], "reward": np.zeros((8, 2))})


def test_arrays_that_are_missing(tmp_path):
    arrays = make_episodes().arrays()
    del arrays["reward"]
    np.savez(tmp_path / "x.npz", **arrays, rewards=np.zeros(8))
    with pytest.raises(DataError, match=r"lacks \['reward'\] and has unknown \['rewards'\]"):
        Episodes.load(tmp_path / "x.npz")


def test_card_round_trip_and_validation(episodes):
    card = make_card(episodes)
    assert type(card).from_json(card.to_json()) == card
    with pytest.raises(DataError, match=r"9 episodes in 8 transitions; data_sha256 is 'x'"):
        dataclasses.replace(card, episodes=9, data_sha256="x")
    with pytest.raises(DataError, match="Was it edited by hand"):
        type(card).from_json("{")
    with pytest.raises(DataError, match="sizes lacks or has too much"):
        dataclasses.replace(card, sizes={"n_agents": 2})
    card.reward_std = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        card.to_json()


@pytest.mark.parametrize("name", bundled_datasets())
def test_bundled_dataset_is_what_its_card_says(name):
    dataset = load_dataset(f"omiga_torchrl:{name}", batch_size=64)
    card, episodes = dataset.card, Episodes.load(find_dataset(name) / "data.npz")
    measured = {"reward_mean", "reward_std", "behaviour_return", "observation_mean", "observation_std"}
    kept, written = dataclasses.asdict(card), dataclasses.asdict(read_card(find_dataset(name)))
    assert {k: kept[k] for k in kept if k not in measured} == {
        k: written[k] for k in written if k not in measured
    }
    assert card.name == name
    assert (len(dataset), episodes.steps, len(episodes)) == (
        card.transitions,
        card.transitions,
        card.episodes,
    )
    assert episodes.returns().mean() == pytest.approx(card.behaviour_return["mean"])
    assert episodes.returns().std() == pytest.approx(card.behaviour_return["std"])
    assert episodes.reward.astype(np.float64).std() == pytest.approx(card.reward_std)
    assert sum(entry.episodes for entry in card.behaviour) == card.episodes
    assert (find_dataset(name) / "data.npz").stat().st_size < 8e6
    assert dataset.sample().shape == (64,)
    for group, spec in dataset.spec.groups.items():
        features = () if spec.discrete else (spec.action_size,)
        assert dataset.data[group, "action"].shape[1:] == (spec.n_agents, *features)
