"""Bounds that are numbers or tensors, and features that agents lack."""

from __future__ import annotations

import math

import pytest
import torch

from omiga_torchrl.functional import (
    clamp_to_bounds,
    feature_mean,
    feature_sum,
    half_ranges,
    log_bound,
    to_unit,
)

# Two agents of three features; the second has only the first.
LOW = torch.tensor([[-1.0, 0.0, -4.0], [-2.0, 0.0, 0.0]])
HIGH = torch.tensor([[1.0, 5.0, 0.0], [2.0, 0.0, 0.0]])
X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, torch.inf]])


def test_half_of_a_range_is_one_where_there_is_none():
    assert half_ranges(-1.0, 5.0) == 3.0
    assert half_ranges(LOW, HIGH).tolist() == [[1.0, 2.5, 2.0], [2.0, 1.0, 1.0]]
    assert half_ranges(-3.0, torch.tensor([1.0, -3.0])).tolist() == [2.0, 1.0]
    assert half_ranges(torch.tensor([1.0, 3.0]), 3.0).tolist() == [1.0, 1.0]


def test_units_are_minus_one_and_one_at_the_bounds():
    assert to_unit(torch.tensor([-2.0, 1.0, 4.0, 7.0]), -2.0, 4.0).tolist() == [-1.0, 0.0, 1.0, 2.0]
    for bound, unit in ((LOW, -1.0), (HIGH, 1.0)):
        assert to_unit(bound, LOW, HIGH).tolist() == [[unit] * 3, [unit, 0.0, 0.0]]
    assert to_unit(torch.tensor([5.0]), torch.tensor([3.0]), torch.tensor([3.0])).tolist() == [2.0]


def test_a_logarithm_of_a_number_or_of_a_tensor():
    assert log_bound(math.e) == 1.0 and isinstance(log_bound(2.0), float)
    torch.testing.assert_close(log_bound(torch.tensor([1.0, 4.0])), torch.tensor([0.0, math.log(4)]))


def test_sums_leave_out_features_without_a_range():
    assert feature_sum(X, LOW, HIGH).tolist() == [6.0, 4.0]
    assert feature_sum(X[:1], -1.0, 1.0).tolist() == [6.0]
    # One bound may be a number; two equal numbers are a range of all.
    assert feature_sum(X, LOW, 0.0).tolist() == [4.0, 4.0]
    assert feature_sum(X, 0.0, HIGH).tolist() == [3.0, 4.0]
    assert feature_sum(torch.ones(2, 3), 0.0, 0.0).tolist() == [3.0, 3.0]


def test_means_divide_by_the_features_that_count():
    assert feature_mean(X, LOW, HIGH).tolist() == [2.0, 4.0]
    assert feature_mean(X[:1], -1.0, 1.0).tolist() == [2.0]
    assert feature_mean(X, LOW, 0.0).tolist() == [2.0, 4.0]
    assert feature_mean(X, 0.0, HIGH).tolist() == [1.5, 4.0]
    assert feature_mean(X, LOW, LOW).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("reduce", [feature_sum, feature_mean])
def test_what_an_agent_lacks_gets_no_gradient(reduce):
    x = X.clone().requires_grad_()
    reduce(x, LOW, HIGH).sum().backward()
    share = 1.0 if reduce is feature_sum else 1 / 3
    torch.testing.assert_close(x.grad, torch.tensor([[share] * 3, [1.0, 0.0, 0.0]]))


def test_clamping_to_numbers_and_tensors():
    x = torch.tensor([[-9.0, 0.5, 9.0]])
    assert clamp_to_bounds(x, -1.0, 2.0).tolist() == [[-1.0, 0.5, 2.0]]
    assert clamp_to_bounds(x, torch.tensor([-2.0, 1.0, -1.0]), 3.0).tolist() == [[-2.0, 1.0, 3.0]]
    assert clamp_to_bounds(x, -5.0, torch.tensor([0.0, 0.0, 20.0])).tolist() == [[-5.0, 0.0, 9.0]]
    of_other_dtype = torch.tensor([0, 0, 4])
    found = clamp_to_bounds(x, -1.0, of_other_dtype)
    assert found.dtype == x.dtype and found.tolist() == [[-1.0, 0.0, 4.0]]
