from __future__ import annotations

import torch

from omiga_torchrl.functional import brac_actor_loss


def test_actor_loss_and_its_gradients_by_hand():
    q, divergence, entropy = (torch.tensor([x, 2 * x], requires_grad=True) for x in (1.0, 2.0, 3.0))
    loss = brac_actor_loss(q, divergence, entropy, 0.5, 0.25)  # 1 - 1 - 3/4, 2 - 2 - 3/2
    assert loss.tolist() == [-0.75, -1.5]
    slopes = torch.autograd.grad(loss.sum(), (q, divergence, entropy))
    assert [slope.tolist() for slope in slopes] == [[-1.0, -1.0], [0.5, 0.5], [-0.25, -0.25]]


def test_published_defaults_price_divergence_at_one_and_entropy_at_zero():
    one = torch.ones(3)
    assert brac_actor_loss(3 * one, 2 * one, 5 * one).tolist() == [-1.0] * 3
