"""Mixers of local values, by hand: weights, bias, absent agents, members of an ensemble, slopes."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl import keys
from omiga_torchrl.objectives.mixing import agent_weight, mix_linear, mix_monotonic, read_mixer_output
from tests.objectives.small import (
    SmallLoss,
    batch,
    discrete,
    discrete_qvalue,
    linear_mixer,
    monotonic_mixer,
    network,
    scale_gradients,
    set_scale,
)

STATE = torch.tensor([[2.0, 3.0, 10.0], [1.0, 0.5, -1.0], [4.0, 4.0, 0.0]])
LOCAL = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
PRESENT = torch.tensor([[True, False], [True, True], [False, True]])


def view(mixer, **more):
    loss = mixer if isinstance(mixer, SmallLoss) else discrete(mixer)
    data = batch(
        torch.ones(3, 2, 3) * torch.tensor([1.0, 2.0, 3.0]), torch.ones(3, 2).long(), state=STATE, **more
    )
    return loss.view(data)


def test_a_linear_mixer_s_output():
    weight, bias = read_mixer_output(view(linear_mixer()))
    assert torch.equal(weight, STATE[:, :2]) and torch.equal(bias, STATE[:, 2])
    weight, bias = read_mixer_output(view(linear_mixer(), agent_mask=PRESENT))
    assert weight.tolist() == [[2.0, 0.0], [1.0, 0.5], [0.0, 4.0]] and torch.equal(bias, STATE[:, 2])


def test_linear_mixing_of_values_and_of_ensembles():
    seen = view(linear_mixer(), agent_mask=PRESENT)
    assert mix_linear(seen, LOCAL).tolist() == [2.0 + 10, 3 + 2 - 1, 24.0]
    members = torch.stack([LOCAL, -LOCAL, 0 * LOCAL], -1)
    assert mix_linear(seen, members).tolist() == [[12.0, 8.0, 10.0], [4.0, -6.0, -1.0], [24.0, -24.0, 0.0]]


def test_normalized_weights_have_sum_one_over_those_present_and_no_bias():
    loss = discrete(linear_mixer())
    loss.normalizes_mixer = True
    weight, bias = read_mixer_output(view(loss))
    torch.testing.assert_close(weight, torch.tensor([[0.4, 0.6], [2 / 3, 1 / 3], [0.5, 0.5]]))
    assert not bias.any()
    weight, _ = read_mixer_output(view(loss, agent_mask=PRESENT))
    torch.testing.assert_close(weight[[0, 2]], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


def test_another_network_may_write_the_bias():
    weights = network(lambda s: s[..., :2].unsqueeze(-1), [keys.STATE], keys.MIXER_WEIGHT)
    bias = network(lambda s: 7 * s[..., -1:], [keys.STATE], keys.MIXER_BIAS)
    loss = SmallLoss(qvalue_network=discrete_qvalue(), mixer_network=weights, value_network=bias)
    found = read_mixer_output(view(loss))
    assert found.bias.tolist() == [70.0, -7.0, 0.0] and torch.equal(found.weight, STATE[:, :2])


def test_one_weight_an_agent_is_asked_for():
    flat = network(lambda s: (s[..., :2], s[..., -1:]), [keys.STATE], keys.MIXER_WEIGHT, keys.MIXER_BIAS)
    with pytest.raises(ValueError, match=r"SmallLoss: .*mixer_weight.*agents, 1"):
        read_mixer_output(view(flat))


def test_monotonic_mixing_of_values_and_of_ensembles():
    """``sum_i s_i x_i^2 / 2``."""
    seen = view(monotonic_mixer())
    assert mix_monotonic(seen, LOCAL).tolist() == [1 + 6.0, 4.5 + 4.0, 50 + 72.0]
    members = torch.stack([LOCAL, 2 * LOCAL, 0 * LOCAL], -1)
    assert mix_monotonic(seen, members).tolist() == [[7.0, 28.0, 0.0], [8.5, 34.0, 0.0], [122.0, 488.0, 0.0]]
    absent = view(monotonic_mixer(), agent_mask=PRESENT)
    local = torch.where(PRESENT, LOCAL, torch.nan)
    assert mix_monotonic(absent, local).tolist() == [1.0, 8.5, 72.0]


def test_a_monotonic_mixer_reads_its_own_step():
    seen = view(monotonic_mixer(), next_state=2 * STATE)
    assert mix_monotonic(seen.next, LOCAL).tolist() == [14.0, 17.0, 244.0]
    set_scale(seen.loss, "target_mixer_network", 0.5)
    assert mix_monotonic(seen.target, LOCAL).tolist() == [3.5, 4.25, 61.0]


def test_local_values_have_a_gradient_where_the_mixer_s_parameters_have_none():
    seen = view(monotonic_mixer())
    for place, trains in ((seen, True), (seen.target, False), (seen.next, False)):
        local = LOCAL.clone().requires_grad_()
        mix_monotonic(place, local).sum().backward()
        assert local.grad.tolist() == (STATE[:, :2] * LOCAL).tolist()
        assert scale_gradients(seen.loss) == ({"mixer_network"} if trains else set())
        seen.loss.zero_grad()


def test_an_agent_s_weight_is_its_slope():
    assert agent_weight(view(None)).tolist() == [[1.0, 1.0]] * 3
    linear = agent_weight(view(linear_mixer()))
    assert torch.equal(linear, STATE[:, :2]) and not linear.requires_grad
    # Q of action 1 is 2, and 3 of the second critic.
    slope = agent_weight(view(monotonic_mixer()))
    assert torch.equal(slope, 2 * STATE[:, :2]) and not slope.requires_grad
    assert agent_weight(view(monotonic_mixer(), agent_mask=PRESENT)).tolist() == [
        [4.0, 0],
        [2.0, 1.0],
        [0, 8.0],
    ]
