"""SVN's scale by hand: of each critic, over what counts, never zero."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.functional import mean_absolute_deviation

# Means 3 and 20, deviations 2, 1, 3 and 10, 0, 10.
VALUE = torch.tensor([[1.0, 10.0], [2.0, 20.0], [6.0, 30.0]])


def test_each_critic_has_its_own():
    assert mean_absolute_deviation(VALUE).tolist() == pytest.approx([2.0, 20 / 3])
    several = torch.stack([VALUE, VALUE + 4])  # [2, 3, members]
    flat = several.reshape(6, 2)
    expected = (flat - flat.mean(0)).abs().mean(0)
    torch.testing.assert_close(mean_absolute_deviation(several), expected + 1e-6)


def test_only_what_counts():
    value = VALUE.clone()
    value[1] = torch.nan
    valid = torch.tensor([True, False, True])
    assert mean_absolute_deviation(value, valid).tolist() == pytest.approx([2.5, 10.0], rel=1e-6)
    assert mean_absolute_deviation(VALUE, torch.ones(3, dtype=torch.bool)).tolist() == pytest.approx(
        [2.0, 20 / 3]
    )


def test_it_is_never_zero():
    same, nobody = torch.full((3, 2), 4.0), torch.zeros(3, dtype=torch.bool)
    for found in (
        mean_absolute_deviation(same),
        mean_absolute_deviation(same, ~nobody),
        mean_absolute_deviation(VALUE, nobody),
        mean_absolute_deviation(VALUE, torch.tensor([False, True, False])),
    ):
        assert found.tolist() == pytest.approx([1e-6, 1e-6], rel=1e-3)
    assert mean_absolute_deviation(same, eps=0.5).tolist() == [0.5, 0.5]
    assert mean_absolute_deviation(VALUE, eps=1.0)[0] == 3.0
    assert mean_absolute_deviation(VALUE, ~nobody, eps=1.0)[0] == 3.0


def test_it_grows_with_the_unit_and_has_no_gradient():
    value = VALUE.clone().requires_grad_()
    for valid in (None, torch.tensor([True, True, False])):
        found = mean_absolute_deviation(value, valid, eps=0.0)
        assert not found.requires_grad
        torch.testing.assert_close(mean_absolute_deviation(-10 * VALUE, valid, eps=0.0), 10 * found)
