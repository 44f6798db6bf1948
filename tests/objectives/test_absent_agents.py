"""A team is the agents that take part: in this step and the next, in mixers, penalties and means."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.conservative import equal_weights
from tests.objectives.contract import CONTINUOUS, DISCRETE
from tests.objectives.cql_cases import make_cql_loss

NOW, NEXT = [True, True, False], [False, True, True]


def make_loss(spec, mixer="linear", **options):
    torch.manual_seed(0)
    loss = make_cql_loss(spec, mixer=mixer, **options)
    ForeachSoftUpdate(loss, tau=0.5)
    return loss


def batch(spec, now, following=(True, True, True)):
    torch.manual_seed(1)
    data = spec.fake_batch(4)
    data["agents", "agent_mask"] = torch.tensor(now).expand(4, 3)
    data["next", "agents", "agent_mask"] = torch.tensor(following).expand(4, 3)
    return data


def mixed_by_hand(loss, state, local, present):
    """The mixer's own formula, of the values of those that take part, and zeros for the others."""
    module = loss.mixer_network
    with loss.mixer_network_params.to_module(module, preserve_module_state=False):
        local = torch.where(torch.tensor(present), local, 0.0)
        if not loss.has_linear_mixer:
            return module.module(local.unsqueeze(-1), state).squeeze(-1)
        weight, bias = module.module.weights(state)
        return (weight.squeeze(-1) * local).sum(-1) + bias.squeeze(-1)


@pytest.mark.parametrize("mixer", ["linear", "vdn", "qmix"])
def test_the_mixer_reads_those_that_take_part_in_that_step(mixer):
    loss, data, local = make_loss(DISCRETE, mixer), batch(DISCRETE, NOW, NEXT), torch.randn(4, 3)
    view = loss.view(data)
    for place, state, present in ((view, data["state"], NOW), (view.next, data["next", "state"], NEXT)):
        expected = mixed_by_hand(loss, state, local, present)
        torch.testing.assert_close(place.mix(local), expected)
        several = place.mix(torch.stack([local, 2 * local], -1))
        torch.testing.assert_close(several[..., 0], expected)
        torch.testing.assert_close(several[..., 1], mixed_by_hand(loss, state, 2 * local, present))


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
@pytest.mark.parametrize("mixer", ["linear", "none"])
def test_the_penalty_is_a_mean_over_those_that_take_part(spec, mixer):
    loss = make_loss(spec, mixer)

    def penalty(*present):
        torch.manual_seed(2)  # the same candidates
        return loss(batch(spec, [agent in present for agent in range(3)]))["loss_cql"]

    alone = [penalty(agent) for agent in range(3)]
    torch.testing.assert_close(penalty(0, 2), (alone[0] + alone[2]) / 2)
    torch.testing.assert_close(penalty(0, 1, 2), sum(alone) / 3)


def test_equal_weights_have_sum_one():
    view = make_loss(DISCRETE).view(batch(DISCRETE, NOW))
    assert equal_weights(view)[0].tolist() == [0.5, 0.5, 0.0]
    view = make_loss(DISCRETE).view(batch(DISCRETE, [False] * 3))
    assert equal_weights(view)[0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("options", [{}, {"penalty": "joint"}, {"inverse_temperature": 2.0}])
def test_illegal_actions_are_no_candidates(options):
    """Their values may be anything."""
    loss, data = make_loss(DISCRETE, **options), batch(DISCRETE, NOW)
    data["agents", "action_mask"] = torch.ones(4, 3, DISCRETE.action_size, dtype=torch.bool)
    data["agents", "action_mask"][..., -1] = False
    data["agents", "action"] = torch.zeros_like(data["agents", "action"])
    found = []
    for shift in (0.0, 1e3):
        torch.manual_seed(2)
        with torch.no_grad():
            bias = next(p for p in loss.qvalue_network_params.values(True, True) if p.shape[-1:] == (4,))
            bias[..., -1] += shift
        found.append(loss(data)["loss_cql"])
    torch.testing.assert_close(*found)
