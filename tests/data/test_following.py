"""Next rows that are gathered are those that storing them again would give, whatever is done with them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.data import IndexSelectStorage
from omiga_torchrl.data.following import FollowingRows

# Three episodes of 3, 1 and 2 steps: their last rows, 30, 40 and 60, are behind those of the steps.
ROWS = torch.tensor([0.0, 10, 20, 31, 41, 51, 30, 40, 60])
NEXT = torch.tensor([10.0, 20, 30, 40, 51, 60])
INDEX = torch.tensor([1, 2, 6, 7, 5, 8])


def make(*features: int) -> tuple[FollowingRows, torch.Tensor]:
    """The rows above with features that differ by thousandths, and what is expected of them."""
    more = torch.arange(float(np.prod(features, dtype=int))).reshape(features) / 1000
    spread = [rows.reshape(-1, *[1] * len(features)) + more for rows in (ROWS, NEXT)]
    return FollowingRows(spread[0], INDEX), spread[1]


@pytest.mark.parametrize(
    "index",
    [
        *(
            0,
            -1,
            np.int64(2),
            slice(1, 4),
            slice(None, None, 2),
            slice(4, 2),
            [1, 5],
            range(3),
            np.array([3, 0]),
        ),
        *(torch.tensor([2, -1, 2]), torch.tensor([[0, 1], [5, 2]]), torch.tensor(3), torch.tensor([]).long()),
        *(
            torch.arange(6) > 3,
            None,
            ...,
            (..., 1),
            (None, 2),
            (slice(1, 3), 0),
            (torch.tensor([5, 1]), 0, 2),
        ),
        *((torch.tensor([[5, 1]]), slice(None), 2), (torch.tensor([0, 2]), torch.tensor([0, 1])), (3, 1)),
        *((torch.tensor([1]), None), (slice(None), slice(None), [0, 2]), (torch.arange(6) > 3, ..., 1)),
    ],
)
def test_every_index_gives_the_rows_of_a_stored_tensor(index):
    following, expected = make(2, 3)
    found = following[index]
    assert type(found) is torch.Tensor and torch.equal(found, expected[index])


@pytest.mark.parametrize("index", [6, -7, torch.tensor([0, 6])])
def test_rows_that_are_not_there(index):
    with pytest.raises(IndexError):
        make(2, 3)[0][index]


def test_sizes_are_known_without_reading(monkeypatch):
    following, expected = make(2, 3)
    monkeypatch.setattr(FollowingRows, "whole", None)
    for name in ("shape", "dtype", "device", "ndim", "nbytes", "requires_grad", "is_nested"):
        assert getattr(following, name) == getattr(expected, name)
    assert (len(following), following.numel(), following.dim()) == (6, 36, 3)
    assert following.is_floating_point() and not following.is_shared()
    assert "FollowingRows(shape=torch.Size([6, 2, 3])" in repr(TensorDict({"x": following}, [6]))
    assert following[2:4].shape == (2, 2, 3) and following.index_select(0, torch.tensor([5])).shape[0] == 1


def test_anything_else_is_done_with_all_rows():
    following, expected = make(2)
    assert torch.equal(following + 1, expected + 1) and torch.equal(2 - following, 2 - expected)
    assert torch.equal(torch.cat([following, following]), torch.cat([expected, expected]))
    assert (following.numpy() == expected.numpy()).all() and np.asarray(following).shape == (6, 2)
    for other in (following.clone(), copy.deepcopy(following), pickle.loads(pickle.dumps(following))):
        assert type(other) is torch.Tensor and torch.equal(other, expected)
    assert torch.equal(torch.zeros(6, 2).copy_(following), expected)


@pytest.mark.parametrize(
    "write", [lambda x: x.zero_(), lambda x: x.copy_(x + 1), lambda x: x.__setitem__(0, 1.0)]
)
def test_writing_is_an_error(write):
    with pytest.raises(RuntimeError, match=r"gathered, not stored.*clone\(\)"):
        write(make(2)[0])


def test_a_tensordict_holds_them(tmp_path):
    following, expected = make(2)
    data = TensorDict({"now": ROWS[:6], "next": TensorDict({"x": following}, [6])}, [6]).lock_()
    assert data.bytes() == 6 * 4 + ROWS.numel() * 2 * 4
    assert torch.equal(data[2:]["next", "x"], expected[2:])
    assert torch.equal(data.memmap(tmp_path)["next", "x"], expected)
    assert torch.equal(TensorDict.load_memmap(tmp_path)["next", "x"], expected)
    batch = IndexSelectStorage(data).get(torch.tensor([3, 5, 0]))
    assert torch.equal(batch["next", "x"], expected[[3, 5, 0]]) and type(batch["next", "x"]) is torch.Tensor
