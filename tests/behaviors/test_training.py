"""Behaviour training, checkpoints and tiers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict.nn import TensorDictModule
from torchrl.envs.utils import ExplorationType

from omiga_torchrl.behaviors import (
    load_behaviour,
    measure_behaviour,
    read_behaviour,
    record_tier,
    save_behaviour,
    select_checkpoints,
    train_behaviour,
)
from omiga_torchrl.data import (
    Episodes,
    OfflineDataset,
    bundled_behaviours,
    check_dataset,
    check_dataset_fits,
    read_card,
    record_episodes,
)
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError

TINY = {"num_envs": 4, "steps": 10, "epochs": 1, "hidden": (8,), "eval_episodes": 2, "progress": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training of a few frames; its checkpoints are marked as low, medium and good."""
    folder = tmp_path_factory.mktemp("behaviour")
    paths = train_behaviour("vmas/navigation", total_frames=80, folder=folder, **TINY)
    for path, value in zip(paths, (-0.5, 1.0, 3.0), strict=True):
        info = read_behaviour(path)[0]
        info.stochastic_return = info.deterministic_return = value
        save_behaviour(path, load_behaviour(path), info)
    return paths


def test_training_moves_the_policy_and_leaves_the_global_stream_alone(tmp_path):
    before = torch.random.get_rng_state()
    paths = train_behaviour("vmas/navigation", total_frames=80, folder=tmp_path, checkpoint_every=2, **TINY)
    assert torch.equal(before, torch.random.get_rng_state())
    assert [path.name for path in paths] == ["00000000.pt", "00000080.pt"]
    assert not list(tmp_path.glob("*.partial"))
    first, last = (read_behaviour(path) for path in paths)
    assert all(not torch.equal(first[1][name], last[1][name]) for name in first[1])
    assert last[0].frames == 80 and last[0].episodes == 2 and last[0].settings["steps"] == 10


def test_training_repeats_under_a_seed(tmp_path):
    runs = [train_behaviour("vmas/navigation", total_frames=40, folder=tmp_path / n, **TINY) for n in "ab"]
    one, other = (read_behaviour(paths[-1]) for paths in runs)
    assert one[0] == other[0]
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


def test_default_batch_is_one_episode(tmp_path):
    options = {**TINY, "steps": None, "task_kwargs": {"max_steps": 5}}
    path = train_behaviour("vmas/navigation", total_frames=20, folder=tmp_path, **options)[-1]
    assert read_behaviour(path)[0].settings["steps"] == 5


def test_episodes_are_whole_and_match_the_rollout():
    env = make_env("vmas/balance", num_envs=16, max_steps=60, seed=1)
    played = record_episodes(None, env, episodes=20)
    assert len(played) == 20 and played.length.max() <= 60
    ends = np.cumsum(played.length) - 1
    done = played.terminated | played.truncated
    np.testing.assert_array_equal(np.flatnonzero(done), ends)
    np.testing.assert_array_equal(played.truncated[ends], played.length == 60)
    assert played.terminated.any(), "the seed should give both kinds of ends"
    assert played.state is None


def test_what_is_recorded_is_what_happened():
    def act(observation):
        return observation[..., :2].clamp(-1, 1)

    policy = TensorDictModule(act, in_keys=[("agents", "observation")], out_keys=[("agents", "action")])
    env = make_env("vmas/navigation", num_envs=2, max_steps=4, seed=5)
    played = record_episodes(policy, env, episodes=2)
    rollout = make_env("vmas/navigation", num_envs=2, max_steps=4, seed=5).rollout(4, policy)
    np.testing.assert_array_equal(played.observation[:4], rollout["agents", "observation"][0])
    np.testing.assert_array_equal(played.observation[4], rollout["next", "agents", "observation"][0, -1])
    np.testing.assert_array_equal(played.observation[5:9], rollout["agents", "observation"][1])
    np.testing.assert_array_equal(played.action, rollout["agents", "action"].flatten(0, 1))
    np.testing.assert_array_equal(played.reward, rollout["next", "reward"].flatten())
    np.testing.assert_allclose(played.returns(), rollout["next", "episode_reward"][:, -1, 0], rtol=1e-5)


def test_transitions_ask_for_enough_whole_episodes():
    env = make_env("vmas/navigation", num_envs=4, max_steps=5, seed=0)
    assert [record_episodes(None, env, transitions=n).steps for n in (1, 5, 6, 21)] == [5, 5, 10, 25]


@pytest.mark.parametrize("options", [{}, {"episodes": 1, "transitions": 1}, {"episodes": 0}])
def test_how_much_to_record_must_be_clear(options):
    with pytest.raises(ValueError, match="expected exactly one of them, at least 1"):
        record_episodes(None, make_env("vmas/navigation"), **options)


def test_exploration_type_decides_what_is_played(trained):
    policy = load_behaviour(trained[0])

    def actions(exploration):
        env = make_env("vmas/navigation", num_envs=2, max_steps=2, seed=0)
        return record_episodes(policy, env, episodes=2, exploration=exploration).action

    modes = [actions(ExplorationType.DETERMINISTIC) for _ in range(2)]
    np.testing.assert_array_equal(*modes)
    assert not np.array_equal(actions(ExplorationType.RANDOM), modes[0])


@pytest.mark.parametrize(
    ("tier", "chosen"),
    [
        ("random", []),
        ("expert", [2]),
        ("good", [2]),
        ("medium", [1]),
        ("medium-replay", [0, 1]),
        ("medium-expert", [1, 2]),
        ("mixed", [0, 1, 2]),
    ],
)
def test_tiers(trained, tier, chosen):
    paths = select_checkpoints(tier, trained, random_return=-0.5)
    assert paths == [trained[index] for index in chosen]


def test_poor_is_a_quarter_of_the_way(trained):
    # Of the way from -2 to 3: -0.75; medium is 0.5.
    chosen = {tier: select_checkpoints(tier, trained, random_return=-2.0) for tier in ("poor", "medium")}
    assert chosen == {"poor": [trained[0]], "medium": [trained[1]]}


def test_unknown_tier_and_no_checkpoints(trained):
    with pytest.raises(ValueError, match=r"unknown tier 'export'; did you mean 'expert'"):
        select_checkpoints("export", trained, random_return=0)
    with pytest.raises(ValueError, match="no checkpoints"):
        select_checkpoints("expert", [], random_return=0)


def test_recorded_tier_is_a_sound_dataset(trained, tmp_path):
    options = {"task_kwargs": {"max_steps": 5}, "num_envs": 4, "transitions": 31}
    card = record_tier("vmas/navigation", "mixed", trained, folder=tmp_path / "out", **options)
    # Eleven steps of each policy, in whole episodes of five.
    assert [entry.episodes for entry in card.behaviour] == [3, 3, 3] and card.transitions == 45
    assert [entry.file for entry in card.behaviour] == [path.name for path in trained]
    dataset = OfflineDataset(tmp_path / "out", batch_size=4)
    check_dataset(dataset)
    check_dataset_fits(dataset, make_env("vmas/navigation", max_steps=5))
    assert read_card(tmp_path / "out") == card and card.best_checkpoint_return == 3.0
    again = record_tier("vmas/navigation", "mixed", trained, folder=tmp_path / "again", **options)
    assert again.data_sha256 == card.data_sha256
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "again", "cache"}


def test_tier_of_random_actions(tmp_path):
    options = {"task_kwargs": {"max_steps": 5}, "num_envs": 4, "transitions": 31, "seed": 2}
    card = record_tier("vmas/navigation", "random", [], folder=tmp_path / "out", **options)
    entry = card.behaviour[0]
    assert (entry.file, entry.episodes, card.transitions) == ("uniform", 7, 35)
    assert entry.stochastic_return == card.random_return and card.best_checkpoint_return is None
    assert card.seeds == {"recording": 2}
    action = Episodes.load(tmp_path / "out" / "data.npz").action
    assert action.min() < -0.9 and action.max() > 0.9 and abs(action.mean()) < 0.15


def test_checkpoints_of_another_team(trained, tmp_path):
    with pytest.raises(DataError, match="was trained on vmas/navigation"):
        record_tier("vmas/balance", "expert", trained, folder=tmp_path / "out", transitions=5)


def test_not_a_checkpoint(tmp_path):
    torch.save({"weights": {}}, tmp_path / "x.pt")
    with pytest.raises(DataError, match="must be a behavior policy, got a file with the entries weights"):
        load_behaviour(tmp_path / "x.pt")


def test_no_bundled_behaviour():
    with pytest.raises(ValueError, match=r"unknown task 'vmas/navigatin'; did you mean 'vmas/navigation'"):
        bundled_behaviours("vmas/navigatin")


@pytest.mark.parametrize("task", ["vmas/navigation", "vmas/balance"])
def test_bundled_behaviours_reach_what_they_say(task):
    paths = bundled_behaviours(task)
    assert sum(path.stat().st_size for path in paths) <= 300_000
    infos = [read_behaviour(path)[0] for path in paths]
    assert all(info.task == task and info.episodes >= 256 for info in infos)
    assert [info.frames for info in infos] == sorted(info.frames for info in infos)
    best = measure_behaviour(paths[-1], episodes=64, seed=7)
    said = infos[-1]
    for name in ("stochastic", "deterministic"):
        error = 4 * getattr(said, f"{name}_std") * (1 / 64 + 1 / said.episodes) ** 0.5
        assert abs(getattr(best, f"{name}_return") - getattr(said, f"{name}_return")) < error


def test_bundled_data_were_made_by_the_bundled_policies():
    dataset = OfflineDataset("vmas/navigation/mixed")
    said = {entry.file: entry.stochastic_return for entry in dataset.card.behaviour}
    bundled = {path.name: read_behaviour(path)[0] for path in bundled_behaviours("vmas/navigation")}
    assert said == {name: bundled[name].stochastic_return for name in said}
