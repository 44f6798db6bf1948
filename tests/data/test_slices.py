"""`StepSliceSampler`: every step equally likely, slices within episodes, padding marked."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

from omiga_torchrl.data import OfflineDataset, StepSliceSampler
from omiga_torchrl.specs import TeamSpec


def buffer(lengths, slice_len, batch_size, terminated=True):
    data = TeamSpec(2, 3, 1, 4).fake_batch(sum(lengths))
    data["episode"] = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    data["row"] = torch.arange(sum(lengths))
    last = torch.tensor(lengths).cumsum(0) - 1
    for key in ("done", "terminated", "truncated"):
        data["next", key] = torch.zeros(sum(lengths), 1, dtype=torch.bool)
    data["next", "done"][last] = True
    data["next", "terminated" if terminated else "truncated"][last] = True
    found = TensorDictReplayBuffer(
        storage=LazyTensorStorage(sum(lengths)), sampler=StepSliceSampler(slice_len), batch_size=batch_size
    )
    found.extend(data)
    return found


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    slice_len=st.integers(1, 6),
)
def test_slices_are_runs_of_one_episode(lengths, slice_len):
    batch = buffer(lengths, slice_len, 16 * slice_len).sample().reshape(-1, slice_len)
    real, row, episode = batch["collector", "mask"], batch["row"], batch["episode"]
    assert real[:, 0].all()  # padding is at the end
    assert not (real[:, 1:] & ~real[:, :-1]).any()
    follows = real[:, 1:]
    assert (row[:, 1:] - row[:, :-1])[follows].eq(1).all()
    assert (episode[:, 1:] == episode[:, :-1])[follows].all()


def test_every_step_is_equally_likely():
    torch.manual_seed(0)
    lengths, slice_len = [1, 3, 30], 4
    dataset = buffer(lengths, slice_len, 40_000)
    counts = torch.zeros(sum(lengths))
    for _ in range(20):
        batch = dataset.sample()
        counts += torch.bincount(batch["row"][batch["collector", "mask"]], minlength=len(counts))
    share = counts / counts.mean()
    assert (share - 1).abs().max() < 0.06, share


def test_ends_of_slices_are_truncations_and_ends_of_episodes_stay():
    torch.manual_seed(0)
    batch = buffer([5, 5], 3, 300).sample().reshape(-1, 3)
    real, after = batch["collector", "mask"], batch["next"]
    last = real & ~torch.cat([real[:, 1:], torch.zeros_like(real[:, :1])], 1)
    ends = (batch["row"] % 5 == 4).unsqueeze(-1)
    assert after["done"].squeeze(-1)[last].all()
    assert after["terminated"][ends & real.unsqueeze(-1)].all() and not after["terminated"][~ends].any()
    assert (after["truncated"] == (after["done"] & ~after["terminated"])).all()
    middle = real & ~last & ~ends.squeeze(-1)
    assert not after["done"].squeeze(-1)[middle].any()


def test_a_dataset_gives_slices_as_losses_take_them():
    def dataset(**options):
        return OfflineDataset("vmas/navigation/mixed", batch_size=24, **options)

    torch.manual_seed(0)
    flat = dataset(sampler=StepSliceSampler(8)).sample()
    torch.manual_seed(0)
    batch, info = dataset(slice_len=8).sample(return_info=True)
    assert batch.batch_size == (3, 8) and (batch == flat.reshape(3, 8)).all()
    assert len(info["index"][0] if isinstance(info["index"], tuple) else info["index"]) == 24
    with pytest.raises(ValueError, match="slice_len must be None with a sampler of your own, got 8"):
        dataset(slice_len=8, sampler=StepSliceSampler(8))
