"""Networks that share a torso, with and without `separate_losses`."""

from __future__ import annotations

import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential

from omiga_torchrl import keys
from omiga_torchrl.modules import TeamGRU, make_mixer, tanh_gaussian_actor
from omiga_torchrl.modules.networks import AgentMLP
from omiga_torchrl.objectives import ForeachSoftUpdate, IQLLoss
from omiga_torchrl.testing import CONTINUOUS, losses_of, sequences

TERMS = ("loss_qvalue", "loss_value", "loss_actor")


class PlusOne(torch.nn.Module):
    """An ensemble of one critic: adds the last dimension."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, *inputs):
        return self.network(*inputs).unsqueeze(-1)


def make_loss(**kwargs):
    """IQL whose critic and values read the features of one memory."""
    memory = TeamGRU(CONTINUOUS, size=8, name="team")
    features, small = memory.out_keys[0], {"hidden_sizes": (8,)}
    critic = PlusOne(AgentMLP(8 + CONTINUOUS.action_size, 1, 3, **small))
    value = AgentMLP(8, 1, 3, **small)
    loss = IQLLoss(
        tanh_gaussian_actor(CONTINUOUS, **small),
        TensorDictSequential(memory, TensorDictModule(critic, [features, keys.ACTION], [keys.LOCAL_QVALUE])),
        TensorDictSequential(memory, TensorDictModule(value, [features], [keys.LOCAL_VALUE])),
        make_mixer(CONTINUOUS, "linear", (8,)),
        **kwargs,
    )
    ForeachSoftUpdate(loss, tau=0.5)
    return loss


def torso_gradient(loss, data, *terms):
    loss.zero_grad()
    out = loss(data)
    sum(out[term] for term in terms).backward()
    (torso,) = (p for name, p in loss.named_parameters() if name.endswith("encoder.weight"))
    return torch.zeros_like(torso) if torso.grad is None else torso.grad.clone()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_shared_torso_learns_from_the_first_network_only(dtype):
    torch.manual_seed(0)
    data = sequences(CONTINUOUS, 6).apply(lambda x: x.to(dtype) if x.is_floating_point() else x)
    separate, joint = make_loss(separate_losses=True).to(dtype), make_loss().to(dtype)
    separate.load_state_dict(joint.state_dict())
    critic = torso_gradient(joint, data, "loss_qvalue")
    assert critic.abs().sum() > 0 and torso_gradient(joint, data, "loss_value").abs().sum() > 0
    torch.testing.assert_close(torso_gradient(separate, data, *TERMS), critic)
    assert not torso_gradient(separate, data, "loss_value").any()
    assert (torso_gradient(joint, data, *TERMS) - critic).abs().max() > 1e-4


def test_values_are_those_of_the_shared_torso_after_a_step():
    torch.manual_seed(0)
    separate, joint, data = make_loss(separate_losses=True), make_loss(), sequences(CONTINUOUS, 6)
    joint.load_state_dict(separate.state_dict())
    sum(losses_of(separate(data)).values()).backward()
    torch.optim.SGD(separate.parameters(), lr=0.1).step()
    joint.load_state_dict(separate.state_dict())
    for key, value in losses_of(separate(data)).items():
        torch.testing.assert_close(joint(data)[key], value)
    # Heads of their own still learn from every term.
    assert all(p.grad is not None and p.grad.any() for p in separate.value_network_params.parameters())
