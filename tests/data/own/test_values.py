"""Numbers of any kind become arrays with the same values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.data.own.values import to_actions, to_array, to_flags
from omiga_torchrl.errors import DataError


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (torch.tensor([0.5, 2.0], requires_grad=True), "float32"),
        (torch.nn.Parameter(torch.tensor([0.5, 2.0])), "float32"),
        (torch.tensor([0.5, 2.0], dtype=torch.bfloat16, requires_grad=True), "float32"),
        (torch.tensor([0.5, 2.0]).half(), "float32"),
        (np.array([0.5, 2.0], np.float16), "float32"),
        ([0.5, 2.0], "float64"),
    ],
)
def test_arrays_and_tensors_of_any_kind(value: object, dtype: str) -> None:
    found = to_array(value, "reward", "here")
    assert type(found) is np.ndarray and found.dtype == dtype and found.tolist() == [0.5, 2.0]


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(DataError, match=r"here: 'reward' is no array: .*Give arrays of one shape"):
        to_array([[1.0], [1.0, 2.0]], "reward", "here")
    with pytest.raises(DataError, match="'reward' has the type <U1"):
        to_array(["a"], "reward", "here")


def test_flags_are_zeros_and_ones() -> None:
    for values in ([False, True], [0, 1], [0.0, 1.0]):
        assert to_flags(np.array(values), "done", "here").tolist() == [False, True]
    for wrong in (2, -1, 0.5):
        with pytest.raises(DataError, match=f"'done' has the value {wrong}"):
            to_flags(np.array([0, 1, wrong]), "done", "here")


def test_actions_of_absent_agents_are_not_looked_at() -> None:
    present = np.array([[True, False]])
    assert to_actions(np.array([[1, 99]]), 3, present, "here")[0].tolist() == [[1, 0]]
    one_hot = np.array([[[0, 1, 0], [0, 0, 0]]])
    assert to_actions(one_hot, None, present, "here")[0].tolist() == [[1, 0]]
    with pytest.raises(DataError):
        to_actions(one_hot, None, None, "here")
    with pytest.raises(DataError):
        to_actions(np.array([[1, 99]]), 3, None, "here")


def test_kinds_of_actions() -> None:
    continuous = np.array([[[0.5, 0.5], [1.0, 0.0]]])
    assert to_actions(continuous, None, None, "here") == (pytest.approx(continuous), None)
    assert to_actions(np.array([[[2], [0]]]), 3, None, "here")[0].tolist() == [[2, 0]]
    # One feature of 0 or 1 is a continuous action, not a one-hot one of a single action.
    assert to_actions(np.ones((1, 2, 1)), None, None, "here")[0].shape == (1, 2, 1)
    with pytest.raises(DataError, match="one-hot"):
        to_actions(np.array([[[0.0, 1.0], [1.0, 0.0]]]), None, None, "here")
