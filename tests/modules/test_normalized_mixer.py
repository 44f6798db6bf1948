from __future__ import annotations

import pytest
import torch

from omiga_torchrl.modules import NormalizedMixer


@pytest.mark.parametrize("batch", [(4,), (2, 3)])
def test_weights_are_positive_of_sum_one_without_bias(batch):
    weight, bias = NormalizedMixer(3, 5).weights(torch.randn(*batch, 5))
    assert weight.shape == (*batch, 3, 1) and bias.shape == (*batch, 1)
    torch.testing.assert_close(weight.sum(-2), torch.ones(*batch, 1))
    assert (weight >= 0).all() and (bias == 0).all()


def test_mixes_a_mean_and_every_parameter_learns():
    mixer = NormalizedMixer(3, 5)
    local, state = torch.full((4, 3, 1), 2.0), torch.randn(4, 5)
    torch.testing.assert_close(mixer(local, state), torch.full((4, 1), 2.0))
    mixer(torch.randn(4, 3, 1), state).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in mixer.parameters())


def test_a_state_that_silences_all_agents_gives_zeros_not_nan():
    mixer = NormalizedMixer(2, 1)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.zero_()
    assert mixer.weights(torch.ones(1, 1))[0].tolist() == [[[0.0], [0.0]]]
