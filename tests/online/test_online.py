"""Exploration, the buffer of two parts, and the hooks of fine-tuning."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.errors import DataError
from omiga_torchrl.online import ExploringPolicy, OnlineBuffer, WarmUpHook, as_rows
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer

NAME = "vmas/navigation/mixed"
MIXED = TeamSpec.from_groups(
    {
        "cars": TeamSpec(2, 6, 3, 20, action_low=-10.0, action_high=10.0),
        "lamps": TeamSpec(1, 4, 5, 20, discrete=True, masked=True),
    }
)


class Still(torch.nn.Module):
    """Takes the middle, or the first legal action."""

    def forward(self, cars, lamps, mask):
        return cars.new_zeros(*cars.shape[:-1], 3), mask.long().argmax(-1)


STILL = TensorDictModule(
    Still(),
    in_keys=[("cars", "observation"), ("lamps", "observation"), ("lamps", "action_mask")],
    out_keys=[("cars", "action"), ("lamps", "action")],
)


def moved(policy, data):
    """Which agents of the team act otherwise than without noise, ``[B, 3]``."""
    before = STILL(data.clone())
    after = policy(data.clone())
    cars = (after["cars", "action"] != before["cars", "action"]).any(-1)
    return torch.cat([cars, after["lamps", "action"] != before["lamps", "action"]], -1)


def test_all_agents_explore_or_one_at_a_time():
    torch.manual_seed(0)
    data = MIXED.fake_batch(400)
    everyone = moved(ExploringPolicy(STILL, MIXED, noise=0.5), data)
    assert everyone[:, :2].all() and 0.1 < everyone[:, 2].float().mean() < 0.5
    one = moved(ExploringPolicy(STILL, MIXED, noise=0.5, explorers="one"), data)
    assert (one.sum(-1) <= 1).all() and one[:, :2].float().mean(0).sub(1 / 3).abs().max() < 0.1
    assert not moved(ExploringPolicy(STILL, MIXED, noise=0.0), data).any()


def test_noise_has_its_unit_and_stays_legal():
    torch.manual_seed(0)
    data = MIXED.fake_batch(2000)
    out = ExploringPolicy(STILL, MIXED, noise=0.1)(data.clone())
    assert out["cars", "action"].std().item() == pytest.approx(1.0, abs=0.05)  # a tenth of half the range
    wide = ExploringPolicy(STILL, MIXED, noise=1.0)(data.clone())
    assert wide["cars", "action"].abs().max() == 10.0
    assert wide["lamps", "action_mask"].gather(-1, wide["lamps", "action"].unsqueeze(-1)).all()
    with pytest.raises(ValueError, match=r"noise is 2\.0; expected a number in \[0, 1\]"):
        ExploringPolicy(STILL, MIXED, noise=2.0)
    with pytest.raises(ValueError, match="unknown explorers 'two'"):
        ExploringPolicy(STILL, MIXED, explorers="two")


def raw_rows(rows):
    """Steps as a collector of the environment gives them: raw, with entries that the data lack."""
    data = OfflineDataset(NAME, reward_scale=None).data[:rows].apply(lambda x: x.as_subclass(torch.Tensor))
    return data.clone().set("collector", torch.zeros(rows))


def test_online_steps_are_scaled_as_the_data_are():
    dataset = OfflineDataset(NAME, normalise_observations=True)
    buffer = OnlineBuffer(dataset, capacity=100)
    buffer.extend_online(raw_rows(50))
    expected, rows = dataset.data[:50], buffer._online_buffer.storage.get(range(50))
    for key in (("agents", "observation"), ("next", "state"), ("next", "reward"), ("agents", "action")):
        stored = expected.get(key).as_subclass(torch.Tensor)
        torch.testing.assert_close(rows.get(key), stored, atol=1e-4, rtol=1e-4)
    batch = buffer.sample(32)
    assert set(batch.keys(True, True)) == set(buffer.entries)
    with pytest.raises(DataError, match=r"got none of \('agents', 'action'\)"):
        buffer.extend_online(raw_rows(3).exclude(("agents", "action")))
    with pytest.raises(ValueError, match="must sample transitions, got slices of 8"):
        OnlineBuffer(OfflineDataset(NAME, slice_len=8, batch_size=16), capacity=10)


def test_the_offline_share_is_exact_and_annealed():
    buffer = OnlineBuffer(OfflineDataset(NAME), capacity=100, offline_fraction=0.25)
    rows = raw_rows(50)
    rows["episode"] = torch.full((50,), -1)
    assert (buffer.sample(32)["episode"] >= 0).all()
    buffer.extend_online(rows)
    assert (buffer.sample(32)["episode"] >= 0).sum() == 8
    buffer.anneal(50, 100)
    assert (buffer.sample(32)["episode"] >= 0).sum() == 4
    buffer.anneal(100, 100)
    assert (buffer.sample(32)["episode"] == -1).all()


def test_a_full_buffer_is_restored_with_its_place(tmp_path):
    dataset, rows = OfflineDataset(NAME), raw_rows(30)
    whole, again = (OnlineBuffer(dataset, capacity=20) for _ in range(2))
    whole.extend_online(rows)  # ten have replaced the oldest
    whole.anneal(1, 4)
    torch.save(whole.online_state(), tmp_path / "a.pt")
    again.load_online_state(torch.load(tmp_path / "a.pt", weights_only=True))
    for buffer in (whole, again):
        buffer.extend_online(rows[:3])
    assert again.offline_fraction == whole.offline_fraction == 0.375
    one, other = (buffer._online_buffer.storage.get(range(20)) for buffer in (whole, again))
    assert all(torch.equal(one.get(key), other.get(key)) for key in whole.entries) and len(one) == 20
    again.load_online_state(OnlineBuffer(dataset, capacity=20).online_state())
    assert again.online_size == 0


def test_rows_tell_where_episodes_begin():
    done = torch.tensor([[0, 1, 0], [0, 0, 0]], dtype=torch.bool).unsqueeze(-1)
    batch = TensorDict({"state": torch.arange(6.0).reshape(2, 3, 1), "next": {"done": done}}, [2, 3])
    rows = as_rows(batch)
    assert rows["is_init"].flatten().tolist() == [True, False, True, True, False, False]
    assert rows["state"].flatten().tolist() == [0, 1, 2, 3, 4, 5] and (rows["episode"] == -1).all()


def test_the_policy_stays_while_critics_are_warmed():
    parts = make_algorithm("iql", OfflineDataset(NAME).spec, hidden_sizes=[8])
    weights = [p.detach().clone() for p in parts.parameter_groups["actor"]]
    critics = [p.detach().clone() for p in parts.parameter_groups["qvalue"]]

    def train(steps):
        trainer = OfflineTrainer(
            **parts.trainer_arguments, replay_buffer=OfflineDataset(NAME, batch_size=16), total_steps=steps,
            progress_bar=False, hooks=[WarmUpHook(3)],
        )  # fmt: skip
        trainer.train()

    train(3)
    assert all(torch.equal(a, b) for a, b in zip(weights, parts.parameter_groups["actor"], strict=True))
    assert not torch.equal(critics[0], parts.parameter_groups["qvalue"][0])
    train(4)
    assert not torch.equal(weights[0], parts.parameter_groups["actor"][0])
