"""Padded action features: nothing that an agent does not have changes a loss, a gradient or an action."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.modules import TanhGaussian
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import losses_of, sequences

PADDED = TeamSpec(2, 5, 3, 7, action_low=[[-1] * 3, [-1, -1, 0]], action_high=[[1] * 3, [1, 1, 0]])
CONTINUOUS = sorted(name for name, known in ALGORITHMS.items() if "continuous" in known.actions)


def test_density_by_hand():
    low, high = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0])
    whole = TanhGaussian(torch.zeros(1, 2), torch.full((1, 2), 0.5), low, high)
    one = TanhGaussian(torch.zeros(1, 1), torch.full((1, 1), 0.5))
    action = torch.tensor([[0.3, 0.0]])
    torch.testing.assert_close(whole.log_prob(action), one.log_prob(action[:, :1]))
    sampled, log_prob = whole.rsample_with_log_prob((5,))
    assert (sampled[..., 1] == 0).all()
    torch.testing.assert_close(log_prob, one.log_prob(sampled[..., :1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_output_for_padding_changes_no_loss(name):
    """The last feature of agent 1 is 0 in the data; whatever the networks write for it, nothing changes."""
    torch.manual_seed(0)
    algorithm = make_algorithm(name, PADDED, hidden_sizes=[8], share_params=False)
    data, found = sequences(PADDED, 6), []
    assert (data["agents", "action"][..., 1, 2] == 0).all()
    for shift in (0.0, 5.0):
        for parameter in algorithm.loss.parameters():
            if parameter.shape in ((2, 1, 3), (2, 1, 6)):  # biases of layers that write actions
                parameter.data[1, 0, 2] += shift
        torch.manual_seed(1)
        found.append(losses_of(algorithm.loss(data)))
    for key, value in found[0].items():
        assert value.isfinite().all()
        torch.testing.assert_close(found[1][key], value, msg=str(key))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_policies_write_zeros_for_padding(name):
    torch.manual_seed(0)
    policy = make_algorithm(name, PADDED, hidden_sizes=[8]).policy
    action = policy(PADDED.fake_batch(6).exclude(("agents", "action"), "next"))["agents", "action"]
    assert (action[..., 1, 2] == 0).all() and (action[..., 0, 2] != 0).any()
