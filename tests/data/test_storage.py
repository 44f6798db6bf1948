"""`IndexSelectStorage`: the same rows as TorchRL's storage, whatever the entries are."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, TensorStorage

from omiga_torchrl.data.following import FollowingRows
from omiga_torchrl.data.storage import IndexSelectStorage


def rows(steps=5):
    """Steps with a column, a plain vector, wide rows, and a group with a batch size of its own."""
    number = torch.arange(steps)
    group = TensorDict({"seen": torch.arange(steps * 6.0).reshape(steps, 2, 3)}, [steps, 2])
    return TensorDict(
        {
            "number": number,
            "column": 10 * number.unsqueeze(-1),
            "wide": torch.stack([number, -number], -1),
            "deep": number.reshape(steps, 1, 1) * torch.ones(1, 1, dtype=torch.int64),
            "agents": group,
        },
        [steps],
    )


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_rows_are_those_of_an_index(dtype):
    data = rows()
    index = torch.tensor([4, 0, 0, 2], dtype=dtype)
    found = IndexSelectStorage(data).get(index)
    assert (found == data[index.long()]).all()
    assert found.batch_size == (4,) and found["agents"].batch_size == (4, 2)
    assert found["column"].shape == (4, 1) and found["number"].shape == (4,)
    assert found["deep"].shape == (4, 1, 1)


def test_rows_are_never_left_to_torchrl_which_is_slower(monkeypatch):
    monkeypatch.setattr(TensorStorage, "get", lambda self, index: pytest.fail("slow"))
    storage = IndexSelectStorage(rows())
    for index in (torch.tensor([3, 1]), (torch.tensor([3, 1]),)):
        assert storage.get(index)["number"].tolist() == [3, 1]


def test_batches_are_new_tensors():
    data = rows()
    storage = IndexSelectStorage(data)
    first = storage.get(torch.tensor([1, 2]))
    for name in ("number", "column"):
        first[name].zero_()
    first["agents", "seen"].zero_()
    again = storage.get(torch.tensor([1, 2]))
    assert again["number"].tolist() == [1, 2] and again["column"].tolist() == [[10], [20]]
    assert (data == rows()).all()


@pytest.mark.parametrize(
    "index", [slice(1, 3), 2, torch.tensor([[0, 1], [2, 3]]), torch.tensor([True, False, False, True, False])]
)
def test_other_indices_are_torchrls(index):
    data = rows()
    assert (IndexSelectStorage(data).get(index) == data[index]).all()


def test_entries_that_are_replaced_are_seen():
    data = rows()
    storage = IndexSelectStorage(data)
    index = torch.tensor([1])
    assert storage.get(index)["number"].item() == 1
    data["number"] = data["number"] + 100
    assert storage.get(index)["number"].item() == 101
    data["number"].add_(1)
    assert storage.get(index)["number"].item() == 102


def test_following_rows_are_gathered_by_their_numbers():
    observation = torch.tensor([0.0, 1, 2, 3, 10, 30])  # episodes of two steps
    numbers = torch.tensor([1, 4, 3, 5])
    data = TensorDict(
        {
            "seen": observation[:4],
            "next": TensorDict(
                {
                    "seen": FollowingRows(observation, numbers),
                    "column": FollowingRows(2 * observation.unsqueeze(-1), numbers),
                    "other": FollowingRows(observation, torch.tensor([5, 4, 3, 2])),
                },
                [4],
            ),
        },
        [4],
    )
    found = IndexSelectStorage(data).get(torch.tensor([3, 1, 0]))
    assert found["seen"].tolist() == [3, 1, 0]
    assert found["next", "seen"].tolist() == [30, 10, 1]
    assert found["next", "column"].tolist() == [[60], [20], [2]]
    assert found["next", "other"].tolist() == [2, 10, 30]


def test_many_entries_are_forgotten_before_they_fill_the_memory():
    data = rows()
    storage = IndexSelectStorage(data)
    for step in range(1100):
        data["number"] = torch.full((5,), step)
        assert storage.get(torch.tensor([0]))["number"].item() == step
    assert len(storage._entries) <= 1001


def test_a_storage_that_is_not_full_is_torchrls():
    data = rows(3)
    lazy = LazyTensorStorage(10)
    lazy.set(range(3), data)
    own = IndexSelectStorage(rows(10))
    own._len = 3
    with pytest.raises((IndexError, RuntimeError)):
        lazy.get(torch.tensor([5]))
    assert own.get(torch.tensor([2]))["number"].item() == 2
