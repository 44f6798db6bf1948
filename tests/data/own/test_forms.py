"""Whatever form own data come in, the transitions are those of an independent reader."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.data import Episodes, OfflineDataset, check_dataset

from .helpers import (
    KINDS,
    as_flat,
    as_list,
    as_long,
    as_rollouts,
    as_tensors,
    in_form,
    make_episodes,
    read_dataset,
    read_slowly,
)

N_ACTIONS = {"continuous": None, "single": None, "discrete": 2, "groups": {"tower": 5}}


def open_as(form, kind, episodes, **options):
    options = {"reward_scale": None, "n_actions": N_ACTIONS[kind], **options}
    if form == "rollouts":
        return OfflineDataset.from_rollouts(as_rollouts(kind, episodes), **options)
    if form == "stream":
        lists = as_list(kind, episodes)
        items = ({name: value[i] for name, value in lists.items()} for i in range(len(episodes)))
        return OfflineDataset.from_episodes(items, **options)
    if form == "stream of rollouts":
        return OfflineDataset.from_episodes(iter(as_rollouts(kind, episodes)), **options)
    given = {"list": as_list, "flat": as_flat, "long": as_long, "tensors": as_tensors}[form](kind, episodes)
    return OfflineDataset.from_arrays(**given, **options)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_all_forms_are_the_same_transitions(kind, masked):
    episodes = make_episodes(kind, masked)
    expected, checksums = read_slowly(episodes), set()
    for form in ("list", "flat", "long", "tensors", "rollouts", "stream", "stream of rollouts"):
        dataset = open_as(form, kind, episodes)
        assert read_dataset(dataset) == expected, form
        check_dataset(dataset)
        checksums.add(dataset.card.data_sha256)
    assert len(checksums) == 1


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_statistics_against_plain_numpy(kind, masked):
    episodes = make_episodes(kind, masked)
    card = open_as("flat", kind, episodes).card
    returns = [one["reward"].astype(float).sum() for one in episodes]
    reward = np.concatenate([one["reward"] for one in episodes]).astype(float)
    assert (card.transitions, card.episodes, card.left_out_steps) == (10, 4, 0)
    assert card.behaviour_return == pytest.approx({"mean": np.mean(returns), "std": np.std(returns)})
    assert (card.reward_mean, card.reward_std) == pytest.approx((reward.mean(), reward.std()))


def test_dicts_of_agents_are_the_columns_of_a_plain_team():
    episodes = make_episodes("discrete", True)
    plain = as_flat("discrete", episodes)
    names = ("red", "green", "blue")
    of_agents = {
        name: {agent: value[:, i] for i, agent in enumerate(names)}
        if "observation" in name or "action" in name or "agent" in name
        else value
        for name, value in plain.items()
    }
    one, two = OfflineDataset.from_arrays(**plain), OfflineDataset.from_arrays(**of_agents)
    assert one.card.data_sha256 == two.card.data_sha256
    assert two.spec.agent_names == names
    assert OfflineDataset.from_arrays(**plain, team=names).spec.agent_names == names


def test_agents_that_differ_become_the_named_groups():
    flat = as_flat("groups", make_episodes("groups", False))
    of_agents = {
        name: {
            **{f"car_{i}": value["cars"][:, i] for i in range(2)},
            "tower": value["tower"][:, 0],
        }
        if isinstance(value, dict)
        else value
        for name, value in flat.items()
    }
    team = {"cars": ["car_0", "car_1"], "tower": ["tower"]}
    one = OfflineDataset.from_arrays(**flat, n_actions={"tower": 5})
    two = OfflineDataset.from_arrays(**of_agents, team=team, n_actions={"tower": 5})
    assert one.card.data_sha256 == two.card.data_sha256
    assert two.spec.group_map == team and one.spec == two.spec


def as_steps(episodes):
    """PettingZoo's form: an agent that takes no part is not in the dicts."""
    names = ("red", "green", "blue")
    lists = {name: [] for name in ("observation", "action", "reward", "terminated", "truncated")}
    for one in episodes:
        present, steps = one["agent_mask"]["agents"], len(one["reward"])
        there = [[(i, agent) for i, agent in enumerate(names) if row[i]] for row in present]
        observation = one["observation"]["agents"]
        lists["observation"].append([{a: observation[t, i] for i, a in row} for t, row in enumerate(there)])
        for name in ("action", "reward", "terminated", "truncated"):
            value = one["action"]["agents"] if name == "action" else np.repeat(one[name][:, None], 3, 1)
            lists[name].append([{a: value[t, i] for i, a in there[t]} for t in range(steps)])
    return lists


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_steps_as_pettingzoo_gives_them(kind):
    episodes = make_episodes(kind, True)
    for one in episodes:
        absent = ~one["agent_mask"]["agents"]
        one["observation"]["agents"][absent] = 0
        one["action"]["agents"][absent[:-1]] = 0
        one.pop("action_mask", None)
        del one["state"]
    options = {"n_actions": N_ACTIONS[kind], "team_reward": "first", "team": ("red", "green", "blue")}
    expected = OfflineDataset.from_arrays(**as_list(kind, episodes), n_actions=N_ACTIONS[kind])
    found = OfflineDataset.from_arrays(**as_steps(episodes), **options)
    assert found.card.data_sha256 == expected.card.data_sha256
    assert found.spec.agent_names == ("red", "green", "blue")
    lists = as_steps(episodes)
    items = [{name: value[i] for name, value in lists.items()} for i in range(len(episodes))]
    streamed = OfflineDataset.from_episodes(iter(items), **options)
    assert streamed.card.data_sha256 == expected.card.data_sha256


def test_steps_of_agents_that_never_leave_have_no_mask():
    rng = np.random.default_rng(0)
    rows = [{"a": rng.normal(size=2), "b": rng.normal(size=2)} for _ in range(4)]
    acts = [{"a": rng.uniform(size=1), "b": rng.uniform(size=1)} for _ in range(3)]
    flags = [{"a": False, "b": False}] * 2 + [{"a": True, "b": True}]
    dataset = OfflineDataset.from_arrays(rows, acts, [{"a": 1.0, "b": 1.0}] * 3, flags)
    assert len(dataset) == 3 and dataset.data.get(("agents", "agent_mask"), None) is None
    assert dataset.data["next", "agents", "observation"][-1, 1].tolist() == pytest.approx(
        rows[-1]["b"].tolist()
    )


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_one_hot_actions_of_any_type(dtype):
    episodes = make_episodes("discrete", False)
    numbers = OfflineDataset.from_arrays(**as_flat("discrete", episodes), n_actions=2)
    for one in episodes:
        one["action"]["agents"] = np.eye(2)[one["action"]["agents"]].astype(dtype)
    known = {"n_actions": 2} if dtype is np.float32 else {}
    one_hot = OfflineDataset.from_arrays(**as_flat("discrete", episodes), **known)
    assert one_hot.card.data_sha256 == numbers.card.data_sha256 and one_hot.spec == numbers.spec


def test_rewards_of_agents_become_the_teams_as_asked():
    flat = as_flat("continuous", make_episodes("continuous", False))
    own = np.stack([flat["reward"], 2 * flat["reward"], 6 * flat["reward"]], 1)
    options = {"reward_scale": None, "agent_rewards": True}
    for rule, factor in {"mean": 3.0, "sum": 9.0, "first": 1.0}.items():
        dataset = OfflineDataset.from_arrays(**{**flat, "reward": own}, team_reward=rule, **options)
        assert dataset.data["next", "reward"].flatten().numpy() == pytest.approx(
            flat["reward"] * factor, rel=1e-5
        )
        assert dataset.data["next", "agents", "reward"].squeeze(-1).numpy() == pytest.approx(own)
        assert dataset.card.team_reward == rule
    beside = OfflineDataset.from_arrays(**flat, agent_reward=own, reward_scale=None)
    assert beside.data["next", "agents", "reward"].squeeze(-1).numpy() == pytest.approx(own)
    assert beside.card.team_reward == ""


def test_episodes_themselves_and_half_precision():
    episodes = make_episodes("continuous", False)
    blocks = list(open_as("list", "continuous", episodes).blocks())
    assert isinstance(blocks[0], Episodes)
    assert read_dataset(OfflineDataset.from_episodes(blocks, reward_scale=None)) == read_slowly(episodes)
    half = {
        k: np.asarray(v, np.float16) if v.dtype.kind == "f" else v
        for k, v in as_flat("continuous", episodes).items()
    }
    expected = half["reward"].astype(float).mean()
    assert OfflineDataset.from_arrays(**half).card.reward_mean == pytest.approx(expected, rel=1e-5)
    brain = {k: torch.as_tensor(v).bfloat16() if v.dtype.kind == "f" else v for k, v in half.items()}
    assert len(OfflineDataset.from_arrays(**brain)) == 10


def test_a_single_agent_with_one_feature_of_action():
    flat = as_flat("single", make_episodes("single", False))
    flat["action"] = flat["action"][:, 0]
    assert OfflineDataset.from_arrays(**flat).data["agents", "action"].shape == (10, 1, 1)
    assert in_form("single", "reward", flat["reward"]).shape == (10,)
