from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.modules import QValueModule
from torchrl.objectives import QMixerLoss, SoftUpdate

from omiga_torchrl.modules import LinearMixer, NormalizedMixer, QMIXMixer, VDNMixer

MIXERS = [LinearMixer, QMIXMixer, lambda n, s: VDNMixer(n)]


@pytest.mark.parametrize("make", MIXERS)
def test_is_monotonic_in_every_local_value(make):
    torch.manual_seed(0)
    mixer = make(3, 5)
    local = torch.randn(64, 3, 1, requires_grad=True)
    inputs = (local, torch.randn(64, 5)) if mixer.needs_state else (local,)
    mixer(*inputs).sum().backward()
    assert (local.grad >= 0).all()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 3), max_size=2))
def test_extra_batch_dimensions_change_nothing(batch):
    torch.manual_seed(0)
    for make in MIXERS:
        mixer = make(3, 5)
        local, state = torch.randn(*batch, 4, 3, 1), torch.randn(*batch, 4, 5)
        inputs = (local, state) if mixer.needs_state else (local,)
        flat = (local.reshape(-1, 3, 1), state.reshape(-1, 5))[: len(inputs)]
        torch.testing.assert_close(mixer(*inputs).reshape(-1, 1), mixer(*flat))


@pytest.mark.parametrize("make", [*MIXERS, NormalizedMixer])
@pytest.mark.parametrize("further", [(2,), (5, 2)])
def test_an_ensemble_of_values_is_mixed_member_by_member_and_the_state_is_read_once(make, further):
    torch.manual_seed(0)
    mixer, read = make(3, 5), []
    for layer in mixer.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda *call: read.append(len(call[1][0])))
    local, state = torch.randn(*further, 4, 6, 3, 1), torch.randn(4, 6, 5)
    inputs = [state] if mixer.needs_state else []
    found = mixer(local, *inputs)
    assert found.shape == (*further, 4, 6, 1) and set(read) <= {4 * 6}
    each = torch.stack([mixer(member, *inputs) for member in local.flatten(0, len(further) - 1)])
    torch.testing.assert_close(found.flatten(0, len(further) - 1), each)


def test_qmix_by_hand():
    """Equations 4-5 of the paper, one state at a time."""
    torch.manual_seed(0)
    mixer, local, state = QMIXMixer(3, 5, embedding=4), torch.randn(6, 3, 1), torch.randn(6, 5)
    for q, s, found in zip(local, state, mixer(local, state), strict=True):
        first = mixer.first_weight(s).abs().reshape(3, 4)
        hidden = nn.functional.elu(first.T @ q.squeeze(-1) + mixer.first_bias(s))
        wanted = mixer.second_weight(s).abs() @ hidden + mixer.state_value(s)
        torch.testing.assert_close(found, wanted)


def test_qmix_lets_actions_gain_by_each_other_and_never_lose():
    """With convex units and weights >= 0 a step of one agent adds no less beside a step of the other."""
    torch.manual_seed(0)
    low, step = 3 * torch.randn(2, 2000, 2, 1, dtype=torch.float64)
    step, state = step.abs(), torch.randn(2000, 3, dtype=torch.float64)
    mixer = QMIXMixer(2, 3).double()
    one, other = (step * torch.tensor(agents).reshape(2, 1) for agents in ([1.0, 0.0], [0.0, 1.0]))
    alone = mixer(low + one, state) - mixer(low, state)
    beside = mixer(low + step, state) - mixer(low + other, state)
    assert (beside - alone).min() > -1e-9 and (beside - alone).max() > 1e-2


def test_strided_states_are_mixed_like_contiguous_ones():
    state = torch.randn(5, 4).t()
    for mixer in (LinearMixer(3, 5), QMIXMixer(3, 5)):
        local = torch.randn(4, 3, 1)
        torch.testing.assert_close(mixer(local, state), mixer(local, state.contiguous()))


def test_linear_mixer_is_its_weights():
    mixer = LinearMixer(3, 5)
    local, state = torch.randn(4, 3, 1), torch.randn(4, 5)
    weight, bias = mixer.weights(state)
    assert weight.shape == (4, 3, 1) and bias.shape == (4, 1) and (weight >= 0).all()
    torch.testing.assert_close(mixer(local, state), (weight * local).sum(-2) + bias)


def test_vdn_has_weights_one_and_bias_zero():
    weight, bias = VDNMixer(3).weights(torch.randn(4, 5))
    assert (weight == 1).all() and (bias == 0).all()


def test_a_mixer_without_weights_says_so():
    with pytest.raises(TypeError, match=r"QMIXMixer.*not linear.*LinearMixer"):
        QMIXMixer(3, 5).as_weight_module()


def test_weight_module_writes_the_keys():
    out = LinearMixer(3, 5).as_weight_module()(TensorDict({"state": torch.zeros(4, 5)}, [4]))
    assert out["agents", "mixer_weight"].shape == (4, 3, 1) and out["mixer_bias"].shape == (4, 1)


@pytest.mark.parametrize("make", MIXERS)
def test_works_in_torchrls_qmixer_loss(make):
    network = TensorDictSequential(
        TensorDictModule(nn.Linear(6, 4), [("agents", "observation")], [("agents", "action_value")]),
        QValueModule(
            action_value_key=("agents", "action_value"),
            out_keys=[("agents", "action"), ("agents", "action_value"), ("agents", "chosen_action_value")],
            action_space="categorical",
        ),
    )
    loss = QMixerLoss(network, make(3, 5).as_value_module(), action_space="categorical")
    loss.set_keys(
        action=("agents", "action"),
        action_value=("agents", "action_value"),
        local_value=("agents", "chosen_action_value"),
        global_value="chosen_action_value",
    )
    loss.make_value_estimator(gamma=0.9)
    SoftUpdate(loss, tau=0.1)
    step = {"agents": TensorDict({"observation": torch.randn(8, 3, 6)}, [8, 3]), "state": torch.randn(8, 5)}
    data = TensorDict(
        {
            **step,
            "next": {
                **{k: v.clone() for k, v in step.items()},
                "reward": torch.randn(8, 1),
                "done": torch.zeros(8, 1, dtype=torch.bool),
                "terminated": torch.zeros(8, 1, dtype=torch.bool),
            },
        },
        [8],
    )
    data["agents", "action"] = torch.randint(4, (8, 3))
    loss(data)["loss"].backward()
    assert all(p.grad is not None for p in loss.parameters())


@pytest.mark.parametrize("none", [(), []])
def test_a_linear_mixer_needs_a_hidden_layer(none):
    with pytest.raises(ValueError, match=r"LinearMixer: hidden_sizes is .*; expected .* at least one hidden"):
        LinearMixer(3, 7, hidden_sizes=none)
