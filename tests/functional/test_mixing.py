from __future__ import annotations

import torch

from omiga_torchrl import functional as F


def test_weights_of_sum_one_keep_their_ratios_and_absent_teams_have_none():
    weight = torch.tensor([[2.0, 6.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(F.normalized_weight(weight), expected)


def test_mixing_by_hand():
    local, weight = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.5]])
    assert F.mix_linearly(local, weight, torch.tensor([4.0])).tolist() == [6.0]
