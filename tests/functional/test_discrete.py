from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import best_value, expected_value, supported_actions

SEED = st.integers(0, 2**31)
GARBAGE = st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.0])


def random_rows(seed, garbage):
    """Values and probabilities of 5 actions in 6 rows, the first without any legal one."""
    generator = torch.Generator().manual_seed(seed)
    legal = torch.rand(6, 5, generator=generator) < 0.6
    legal[0], legal[1, 0] = False, True
    value, logits = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    probability = logits.masked_fill(~legal, -torch.inf).softmax(-1)
    return value.masked_fill(~legal, garbage), probability.masked_fill(~legal, garbage), legal


def test_supported_actions_by_hand():
    mu = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]])
    assert supported_actions(mu.log(), 0.5).tolist() == [[True, False, True], [False, True, False]]
    # without the first, 0.2 / 0.3 is enough
    legal = torch.tensor([False, True, True])
    assert supported_actions(mu.log(), 0.5, legal).tolist() == [[False, True, True], [False, True, False]]


@settings(deadline=None, max_examples=50)
@given(SEED, GARBAGE, st.floats(0, 1))
def test_supported_actions_are_legal_and_at_least_one(seed, garbage, threshold):
    _, probability, legal = random_rows(seed, garbage)
    log_prob = probability.log().masked_fill(~legal, garbage)
    found = supported_actions(log_prob, threshold, legal)
    for row, mu, may in zip(found.numpy(), probability.numpy(), legal.numpy(), strict=True):
        largest = max(mu[may], default=0)
        expected = [
            bool(ok and (p / largest >= threshold or p == largest)) for p, ok in zip(mu, may, strict=True)
        ]
        near = [bool(ok) and abs(p / largest - threshold) < 1e-9 for p, ok in zip(mu, may, strict=True)]
        assert [e or n for e, n in zip(expected, near, strict=True)] == [
            bool(f) or n for f, n in zip(row, near, strict=True)
        ]
    assert (found.any(-1) == legal.any(-1)).all()


def test_supported_actions_at_the_ends():
    log_prob = torch.tensor([[0.5, 0.5, 0.0]]).log()
    assert supported_actions(log_prob, 0.0).tolist() == [[True, True, True]]
    assert supported_actions(log_prob, 1.0).tolist() == [[True, True, False]]
    # all mass on an illegal action: the model knows nothing of the legal ones
    legal, certain = torch.tensor([[False, True, True]]), torch.tensor([[1.0, 0.0, 0.0]]).log()
    assert supported_actions(certain, 0.3, legal).tolist() == [[False, True, True]]


@settings(deadline=None, max_examples=50)
@given(SEED, GARBAGE)
def test_forbidden_actions_change_neither_value_nor_gradient(seed, garbage):
    value, probability, legal = random_rows(seed, garbage)
    value.requires_grad_(), probability.requires_grad_()
    best, mean = best_value(value, legal), expected_value(value, probability, legal)
    (best.value + mean).sum().backward()
    assert best.value[0] == 0 and best.action[0] == 0 and mean[0] == 0
    for leaf in (value, probability):
        assert (leaf.grad[~legal] == 0).all() and leaf.grad.isfinite().all()
    for row in range(1, 6):
        may = legal[row].numpy()
        if may.any():
            of_legal, mass = value.detach()[row].numpy()[may], probability.detach()[row].numpy()[may]
            assert best.value[row].item() == of_legal.max()
            assert best.action[row].item() == np.flatnonzero(may)[of_legal.argmax()]
            assert mean[row].item() == pytest.approx((of_legal * mass).sum())
            torch.testing.assert_close(value.grad[row].sum().item(), 2.0)


def test_best_and_expected_value_by_hand():
    value, allowed = torch.tensor([[1.0, 7.0, 3.0]]), torch.tensor([[True, False, True]])
    best = best_value(value, allowed)
    assert best.value.tolist() == [3.0] and best.action.tolist() == [2]
    probability = torch.tensor([[0.25, 0.0, 0.75]])
    assert expected_value(value, probability, allowed).tolist() == [2.5]
    assert expected_value(value, torch.full((1, 3), 1 / 3)).item() == pytest.approx(11 / 3)


def test_the_largest_of_negative_values_is_found():
    assert best_value(torch.tensor([-5.0, -3.0, -math.pi]), torch.tensor([True, False, True])).action == 2
