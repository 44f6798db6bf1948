from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import expectile_loss


def expectile(samples, tau):
    """The prediction m with tau E[(x - m)+] = (1 - tau) E[(m - x)+], by bisection."""
    low, high = samples.min(), samples.max()
    for _ in range(200):
        middle = (low + high) / 2
        difference = samples - middle
        if tau * np.maximum(difference, 0).sum() > (1 - tau) * np.maximum(-difference, 0).sum():
            low = middle
        else:
            high = middle
    return low


def test_by_hand():
    loss = expectile_loss(torch.tensor([2.0, -2.0, 0.0]), 0.75)
    assert loss.tolist() == pytest.approx([3.0, 1.0, 0.0])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_gradient_vanishes_at_the_expectile_only(seed, tau):
    samples = np.random.default_rng(seed).normal(size=9)
    slopes = []
    for offset in (-0.1, 0.0, 0.1):
        prediction = torch.tensor(expectile(samples, tau) + offset, requires_grad=True)
        expectile_loss(torch.from_numpy(samples) - prediction, tau).sum().backward()
        slopes.append(prediction.grad.item())
    assert slopes[0] < 0 < slopes[2] and slopes[1] == pytest.approx(0, abs=1e-9)


def test_minimiser_is_the_mean_at_one_half_and_tends_to_the_maximum():
    samples = np.random.default_rng(0).normal(size=50)
    assert expectile(samples, 0.5) == pytest.approx(samples.mean())
    errors = []
    for tau in (0.9, 0.99, 0.9999):
        prediction = torch.tensor(samples.mean(), requires_grad=True)
        optimizer = torch.optim.LBFGS([prediction], max_iter=200, line_search_fn="strong_wolfe")

        def closure(prediction=prediction, optimizer=optimizer, tau=tau):
            optimizer.zero_grad()
            loss = expectile_loss(torch.from_numpy(samples) - prediction, tau).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        errors.append(samples.max() - prediction.item())
    assert errors[0] > errors[1] > errors[2] > 0 and errors[2] < 0.02
