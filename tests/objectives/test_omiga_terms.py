"""OMIGA's terms with numbers that can be done by hand: exponents, clipping, alpha, variants, gradients."""

from __future__ import annotations

import math

import pytest
import torch

from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.omiga_terms import OMIGAPolicyLoss, OMIGAQValueLoss, OMIGATerms, OMIGAValueLoss
from tests.objectives.small import (
    batch,
    discrete_qvalue,
    linear_mixer,
    monotonic_mixer,
    policy,
    scale_gradients,
    set_scale,
    value,
)

# Q of the data's actions 1, 2 and 3, 0; V, the last feature, 2, 0 and 1, 1.
OBSERVATION = torch.tensor([[[1.0, 2.0], [2.0, 0.0]], [[3.0, 1.0], [0.0, 1.0]]])
ACTION = torch.zeros(2, 2, dtype=torch.long)
Q, V = OBSERVATION[..., 0], OBSERVATION[..., 1]
STATE = torch.tensor([[1.0, 2.0, 5.0], [0.5, 3.0, -1.0]])
NEXT_STATE = torch.tensor([[1.0, 1.0, 2.0], [0.0, 1.0, 1.0]])
W = STATE[:, :2]
# Targets: Q of the target network is twice, V and the mixer's weights three times and half the online ones.
Z = W * (2 * Q - V) / 4


def data(**more):
    given = {"state": STATE, "next_state": NEXT_STATE, "reward": torch.tensor([1.0, -1.0]), **more}
    return batch(OBSERVATION, ACTION, **given)


def make(kind, **arguments):
    networks = [discrete_qvalue(), value(), linear_mixer()]
    loss = kind(*[policy()] * (kind is OMIGAPolicyLoss), *networks, **{"alpha": 4.0, **arguments})
    if loss.terms != ("qvalue",) or loss.is_official:
        ForeachSoftUpdate(loss, tau=0.5)
    if loss.terms != ("qvalue",):
        set_scale(loss, "target_qvalue_network", 2.0)
    if loss.is_official:
        set_scale(loss, "target_mixer_network", 0.5)
        if loss.terms == ("qvalue",):
            set_scale(loss, "target_value_network", 3.0)
    return loss


def test_the_value_loss_is_its_equation():
    loss = make(OMIGAValueLoss)
    out = loss(data())
    torch.testing.assert_close(out["loss_value"], (Z.exp() + W * V / 4).mean())
    out["loss_value"].backward()
    assert scale_gradients(loss) == {"value_network"}
    # d/dV: - w / alpha exp(z) + w / alpha, and V itself is the derivative by its scale.
    slope = (W / 4 * (1 - Z.exp()) * V).mean()
    torch.testing.assert_close(loss.value_network_params["module", "scale"].grad, slope)


def test_the_policy_loss_weighs_log_probabilities():
    loss = make(OMIGAPolicyLoss)
    out = loss(data())
    log_prob = OBSERVATION.log_softmax(-1)[..., 0]
    torch.testing.assert_close(out["loss_actor"], (-Z.exp() * log_prob).mean())
    out["loss_actor"].backward()
    assert scale_gradients(loss) == {"actor_network"}


def test_the_q_loss_bootstraps_with_the_online_value():
    loss = make(OMIGAQValueLoss, gamma=0.5)
    out = loss(data())
    next_v = torch.tensor([12.0 + 10 + 2, 0 + 11.0 + 1])
    error = torch.tensor([1.0, -1.0]) + 0.5 * next_v
    q_tot = (W * Q).sum(-1) + STATE[:, 2]
    of_second = q_tot + W.sum(-1)  # the second critic is one more
    expected = ((q_tot - error).square() + (of_second - error).square()).mean()
    torch.testing.assert_close(out["loss_qvalue"], expected)
    out["loss_qvalue"].backward()
    assert scale_gradients(loss) == {"qvalue_network", "mixer_network"}


def test_the_official_q_loss_bootstraps_with_target_networks():
    loss = make(OMIGAQValueLoss, gamma=0.5, variant="official")
    # Half the mixer and three times V: bias halves, weights with V are one and a half.
    next_v = torch.tensor([1.5 * 22 + 1, 1.5 * 11 + 0.5])
    error = torch.tensor([1.0, -1.0]) + 0.5 * next_v
    q_tot = (W * Q).sum(-1) + STATE[:, 2]
    expected = ((q_tot - error).square() + (q_tot + W.sum(-1) - error).square()).mean()
    torch.testing.assert_close(loss(data())["loss_qvalue"], expected)


def test_the_official_value_loss_reads_the_target_mixer_and_scales_by_the_batch():
    loss = make(OMIGAValueLoss, variant="official")
    z = Z / 2
    assert z.max() > -1
    expected = ((z.exp() + W / 2 * V / 4) * (-z.max()).exp()).mean()
    torch.testing.assert_close(loss(data())["loss_value"], expected)


def test_what_does_not_count_scales_no_batch_and_is_no_maximum():
    absent = torch.tensor([[True, False], [True, True]])  # z is largest at [0, 1]
    assert Z.argmax() == 1
    official = make(OMIGAValueLoss, variant="official")
    z = Z / 2
    expected = ((z.exp() + W / 2 * V / 4) * (-z[absent].max()).exp())[absent].mean()
    out = official(data(agent_mask=absent))
    torch.testing.assert_close(out["loss_value"], expected)
    torch.testing.assert_close(out["scaled_advantage_max"], z[absent].max())
    torch.testing.assert_close(out["scaled_advantage"], z[absent].mean())
    torch.testing.assert_close(official(data())["scaled_advantage_max"], z.max())


@pytest.mark.parametrize(
    ("arguments", "clipped"),
    [({}, 0.25), ({"clip_mode": "clamp"}, 0.5), ({"variant": "official"}, 0.5)],
)
def test_what_is_clipped_on_which_side(arguments, clipped):
    """z is 0, 4, -2 and 0.5: linear clipping has one side, the clamp two."""
    observation = torch.tensor([[[1.0, 2.0], [4.0, 0.0]], [[-1.5, 1.0], [1.0, 1.0]]])
    state = torch.tensor([[1.0, 1.0, 0.0]] * 2) * (2 if "variant" in arguments else 1)
    given = batch(observation, ACTION, state=state)
    out = make(OMIGAPolicyLoss, alpha=2.0, max_exponent=1.5, **arguments)(given)
    assert out["clip_fraction"] == clipped
    torch.testing.assert_close(out["scaled_advantage_max"], torch.tensor(4.0))


def test_a_weight_at_the_end_of_the_exponents_is_not_beyond_it():
    out = make(OMIGAPolicyLoss, max_exponent=Z.max().item())(data())
    assert out["clip_fraction"] == 0
    assert make(OMIGAPolicyLoss, max_exponent=Z.max().item() * 0.99)(data())["clip_fraction"] == 0.25


def test_linear_and_clamped_weights_beyond_the_end():
    log_prob = OBSERVATION.log_softmax(-1)[..., 0]
    end = 0.5
    clamped = Z.clamp(-end, end).exp()
    linear = torch.where(end < Z, math.exp(end) * (1 + Z - end), Z.exp())
    for mode, weight in (("clamp", clamped), ("linear", linear)):
        out = make(OMIGAPolicyLoss, max_exponent=end, clip_mode=mode)(data())
        torch.testing.assert_close(out["loss_actor"], (-weight * log_prob).mean())
    default = make(OMIGAPolicyLoss, max_exponent=end)(data())["loss_actor"]
    torch.testing.assert_close(default, (-linear * log_prob).mean())


def test_diagnostics_are_in_units_of_return():
    out = make(OMIGAPolicyLoss)(data())
    torch.testing.assert_close(out["advantage"], (4 * Z).mean())
    weight = Z.exp()
    torch.testing.assert_close(out["effective_sample_size"], weight.sum() ** 2 / (4 * weight.square().sum()))
    assert out["alpha"] == 4.0 and "next_alpha" not in out


def test_an_automatic_alpha_starts_at_one_and_moves_towards_its_sample_size():
    loss = make(OMIGAPolicyLoss, alpha="auto")
    out = loss(data())
    assert out["alpha"] == 1.0
    found = out["effective_sample_size"].double()
    agents = data()["agents", "action"].shape[-2]
    assert agents > 1
    torch.testing.assert_close(out["next_alpha"].double(), (0.01 * (0.4 ** (1 / agents) - found)).exp())
    loss.advance(out)
    torch.testing.assert_close(loss.alpha, out["next_alpha"].double())
    other = make(OMIGAPolicyLoss, alpha="auto", target_effective_sample_size=1.0)(data())
    assert other["next_alpha"] >= 1.0 and other["next_alpha"] > out["next_alpha"]


def test_defaults():
    loss = OMIGAPolicyLoss(policy(), discrete_qvalue(), value(), linear_mixer())
    assert loss.alpha == 10.0 and loss.max_exponent == 10.0 and loss.clip_mode == "linear"
    assert make(OMIGAValueLoss, alpha=0.125).alpha == 0.125
    assert loss.target_effective_sample_size is None and not loss.is_official and not loss.has_auto_alpha
    assert make(OMIGAPolicyLoss, variant="official").clip_mode == "clamp"
    assert make(OMIGAPolicyLoss, variant="official", clip_mode="linear").clip_mode == "linear"
    assert OMIGAQValueLoss(discrete_qvalue(), value(), linear_mixer()).metrics == ()


def targets(loss):
    return {name for name in loss.networks if f"target_{name}_params" in loss._modules}


@pytest.mark.parametrize(
    ("kind", "variant", "expected"),
    [
        (OMIGAValueLoss, "paper", {"qvalue_network"}),
        (OMIGAValueLoss, "official", {"qvalue_network", "mixer_network"}),
        (OMIGAQValueLoss, "paper", set()),
        (OMIGAQValueLoss, "official", {"value_network", "mixer_network"}),
    ],
)
def test_targets_are_kept_of_what_is_read_there(kind, variant, expected):
    loss = kind(discrete_qvalue(), value(), linear_mixer(), variant=variant)
    assert targets(loss) == expected
    assert (("next", "state") in loss.in_keys) == (kind is OMIGAQValueLoss)


@pytest.mark.parametrize("alpha", [0, -1.0, math.inf, "often", None])
def test_alpha_is_positive_and_finite_or_automatic(alpha):
    with pytest.raises(ValueError, match=r"OMIGAValueLoss: alpha must be a number > 0 or 'auto'"):
        make(OMIGAValueLoss, alpha=alpha)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"variant": "papr"}, r"variant 'papr'; did you mean 'paper'"),
        ({"clip_mode": "linar"}, r"clip_mode 'linar'; did you mean 'linear'"),
        ({"max_exponent": 0.0}, r"max_exponent.*> 0"),
        ({"target_effective_sample_size": 1.1}, r"target_effective_sample_size.*in \[0, 1\]"),
        ({"target_effective_sample_size": -0.1}, r"target_effective_sample_size.*in \[0, 1\]"),
    ],
)
def test_other_arguments_are_in_their_range(arguments, text):
    with pytest.raises(ValueError, match=rf"OMIGAValueLoss: .*{text}"):
        make(OMIGAValueLoss, **arguments)


def test_the_mixer_is_linear():
    for mixer, found in ((None, "None"), (monotonic_mixer(), "global_qvalue")):
        with pytest.raises(
            ValueError, match=rf"OMIGAQValueLoss: mixer_network must be linear.*got .*{found}"
        ):
            OMIGAQValueLoss(discrete_qvalue(), value(), mixer)
    assert issubclass(OMIGAQValueLoss, OMIGATerms)
