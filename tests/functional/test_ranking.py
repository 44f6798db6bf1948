"""Ranks, correlation, regret and soft-OPC by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl import functional as F


def test_equal_scores_share_their_rank():
    score = torch.tensor([[5.0, 1.0, 5.0, 9.0], [2.0, 2.0, 2.0, 2.0]])
    expected = torch.tensor([[2.5, 1.0, 2.5, 4.0], [2.5, 2.5, 2.5, 2.5]])
    assert torch.equal(F.average_rank(score), expected)


def test_rank_correlation_is_that_of_the_ranks():
    one, other = torch.tensor([3.0, 1.0, 2.0, 2.0, 8.0]), torch.tensor([0.1, 0.2, 0.0, 0.5, 0.3])
    # ranks 4, 1, 2.5, 2.5, 5 and 2, 3, 1, 5, 4
    expected = np.corrcoef([4, 1, 2.5, 2.5, 5], [2, 3, 1, 5, 4])[0, 1]
    assert float(F.rank_correlation(one, other)) == pytest.approx(expected, abs=1e-6)
    assert float(F.rank_correlation(one, -one)) == pytest.approx(-1.0)
    assert F.rank_correlation(torch.ones(3), torch.arange(3.0)).isnan()


def test_regret_is_what_the_best_of_the_top_k_lacks():
    estimate, truth = torch.tensor([1.0, 4.0, 3.0, 2.0]), torch.tensor([10.0, 2.0, 7.0, 9.0])
    assert [float(F.regret_at_k(estimate, truth, k)) for k in (1, 2, 3, 4, 9)] == [8.0, 3.0, 1.0, 0.0, 0.0]


def test_soft_opc_is_the_lead_of_successful_steps():
    value = torch.tensor([[1.0, 2.0, 6.0], [3.0, 3.0, 3.0]])
    assert torch.equal(F.soft_opc(value, torch.tensor([False, False, True])), torch.tensor([3.0, 0.0]))
