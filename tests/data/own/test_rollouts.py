"""TensorDicts of rollouts, collectors and buffers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError

from .helpers import as_rollouts, make_episodes, read_dataset, read_slowly


def collected(kind="continuous", *, seed=0):
    """One row of steps with TorchRL's numbers of trajectories."""
    row = torch.cat(as_rollouts(kind, make_episodes(kind, False, seed=seed)))
    numbers = torch.as_tensor(np.repeat(np.arange(4), (3, 1, 4, 2)))
    return row.set(("collector", "traj_ids"), numbers)


def test_trajectories_in_pieces_are_put_together():
    expected = read_slowly(make_episodes("continuous", False))
    row = collected()
    for cuts in ([10], [2, 8], [3, 3, 4], [1] * 10):
        dataset = OfflineDataset.from_rollouts(list(row.split(cuts)), reward_scale=None)
        assert read_dataset(dataset) == expected, cuts


def test_rows_of_several_environments_in_pieces():
    one, two = collected(seed=1), collected(seed=2)
    two["collector", "traj_ids"] += 10
    both = torch.stack([one, two])
    dataset = OfflineDataset.from_rollouts([both[:, :5], both[:, 5:]], reward_scale=None)
    rewards = [
        torch.as_tensor(x["reward"]).sum()
        for seed in (1, 2)
        for x in make_episodes("continuous", False, seed=seed)
    ]
    assert dataset.card.episodes == 8 and len(dataset) == 20
    assert dataset.card.behaviour_return["mean"] == pytest.approx(float(sum(rewards)) / 8)


def test_a_rollout_of_an_environment():
    env = make_env("vmas/navigation", num_envs=3, seed=0, max_steps=4)
    rollout = env.rollout(10, break_when_any_done=False)
    dataset = OfflineDataset.from_rollouts(rollout, reward_scale=None, card={"task": "vmas/navigation"})
    # Ten steps of three environments, each with a time limit of four.
    lengths = np.bincount(dataset.data["episode"].numpy()).tolist()
    assert lengths == [4, 4, 2] * 3 and dataset.card.left_out_steps == 0
    assert torch.equal(dataset.data["next", "reward"].flatten(), rollout["next", "reward"].flatten())
    following = rollout["next", "agents", "observation"].flatten(0, 1)
    assert torch.equal(dataset.data["next", "agents", "observation"], following)
    assert dataset.spec.n_agents == 3 and dataset.card.task == "vmas/navigation"


def test_buffers_and_memory_mapped_folders(tmp_path):
    expected = read_slowly(make_episodes("groups", True))
    row = torch.cat(as_rollouts("groups", make_episodes("groups", True)))
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(50), batch_size=2)
    buffer.extend(row)
    row.memmap_(tmp_path / "mapped")
    for rollouts in (buffer, tmp_path / "mapped", str(tmp_path / "mapped")):
        dataset = OfflineDataset.from_rollouts(rollouts, reward_scale=None, n_actions={"tower": 5})
        assert read_dataset(dataset) == expected
    with pytest.raises(DataError, match=r"holds no memory-mapped TensorDict; expected its meta.json"):
        OfflineDataset.from_rollouts(tmp_path)


def test_a_buffer_that_was_overwritten_in_a_circle():
    row = torch.cat(as_rollouts("continuous", make_episodes("continuous", False)))
    turned = torch.cat([row[5:], row[:5]])  # row 5 is inside of an episode
    with pytest.raises(
        DataError, match=r"run 0: 'next_observation' of row 4 is not .* incomplete='truncated'"
    ) as _:
        OfflineDataset.from_rollouts(torch.cat([row[:5], row[6:]]))
    dataset = OfflineDataset.from_rollouts(turned, incomplete="truncated", reward_scale=None)
    assert len(dataset) == 10 and dataset.card.episodes == 5


def test_rewards_and_flags_of_agents():
    episodes = make_episodes("continuous", False)
    rollouts = as_rollouts("continuous", episodes)
    for one in rollouts:
        for name in ("reward", "terminated", "truncated"):
            value = one["next"].pop(name)
            one["next", "agents", name] = value.unsqueeze(1).expand(-1, 3, 1).clone()
    dataset = OfflineDataset.from_rollouts(rollouts, reward_scale=None)
    assert read_dataset(dataset) == read_slowly(episodes)
    with_own = OfflineDataset.from_rollouts(
        rollouts, agent_rewards=True, team_reward="sum", reward_scale=None
    )
    total = 3 * torch.cat([torch.as_tensor(one["reward"]) for one in episodes])
    assert torch.allclose(with_own.data["next", "reward"].flatten(), total)
    assert with_own.data["next", "agents", "reward"].shape == (10, 3, 1)


def test_masks_of_pettingzoo_and_entries_of_a_single_agent():
    rollouts = as_rollouts("continuous", make_episodes("continuous", True))
    renamed = [one.rename_key_(("agents", "agent_mask"), ("agents", "mask")) for one in rollouts]
    renamed = [
        one.rename_key_(("next", "agents", "agent_mask"), ("next", "agents", "mask")) for one in renamed
    ]
    assert ("agents", "agent_mask") in OfflineDataset.from_rollouts(renamed).data.keys(True)
    single = [
        TensorDict(
            {
                "observation": one["agents", "observation"][:, 0],
                "action": one["agents", "action"][:, 0],
                "next": {
                    "observation": one["next", "agents", "observation"][:, 0],
                    **one["next"].exclude("agents"),
                },
            },
            one.batch_size,
        )
        for one in as_rollouts("single", make_episodes("single", False))
    ]
    dataset = OfflineDataset.from_rollouts(single)
    assert (len(dataset), dataset.spec.n_agents, dataset.spec.state_size) == (10, 1, 4)


def test_padded_trajectories():
    row = collected()
    padded = torch.cat([row, row[:2]])
    padded["collector", "mask"] = torch.arange(12) < 10
    assert len(OfflineDataset.from_rollouts(padded)) == 10


def test_what_is_missing_is_named():
    row = collected()
    with pytest.raises(DataError, match=r"'done'\) is there and \('next', 'terminated'\) is not"):
        OfflineDataset.from_rollouts(row.clone().exclude(("next", "terminated")))
    with pytest.raises(DataError, match=r"no entry \(group, 'observation'\) .* rename_key_"):
        OfflineDataset.from_rollouts(row.clone().exclude(("agents", "observation")))
    with pytest.raises(DataError, match=r"run 0: \['reward'\] are missing"):
        OfflineDataset.from_rollouts(row.clone().exclude(("next", "reward")))
    with pytest.raises(
        DataError, match=r"rollout 0 is \(1, 2, 5\); expected a TensorDict .* \[T\] or \[B, T\]"
    ):
        OfflineDataset.from_rollouts(row.reshape(1, 2, 5))
    with pytest.raises(DataError, match=r"rollout 0 is dict; expected a TensorDict"):
        OfflineDataset.from_rollouts([{}])
