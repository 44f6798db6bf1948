from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.modules.coupled_mixer import CoupledCredit, CreditWeights
from omiga_torchrl.specs import TeamSpec

SPEC = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
DISCRETE = TeamSpec(n_agents=3, observation_size=5, action_size=4, state_size=7, discrete=True)


def inputs(spec, *batch):
    data = spec.fake_batch(*batch)
    return data["state"], data["agents", "action"], torch.rand(*batch, 3, 1) + 0.1, torch.randn(*batch, 1)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([1.0, 1.5, 4.0]), st.sampled_from([SPEC, DISCRETE]))
def test_credit_in_q_stays_within_the_ratio_of_that_in_v(seed, ratio, spec):
    torch.manual_seed(seed)
    coupled = CoupledCredit(spec, hidden_sizes=(8,), ratio=ratio)
    with torch.no_grad():
        coupled.head.weight.mul_(50)
    state, action, weight, shared = inputs(spec, 2, 8)
    found, total = coupled(state, action, weight, shared)
    quotient = found / weight
    assert (quotient <= ratio * (1 + 1e-5)).all() and (quotient >= (1 - 1e-5) / ratio).all()
    assert found.shape == (2, 8, 3, 1) and total.shape == (2, 8, 1)
    assert (ratio == 1) == bool((found == weight).all())


def test_shared_value_passes_through_with_its_gradient():
    state, action, weight, shared = inputs(SPEC, 8)
    shared.requires_grad_()
    CoupledCredit(SPEC)(state, action, weight, shared)[1].sum().backward()
    assert (shared.grad == 1).all()


def test_actions_of_agents_without_weight_are_not_read():
    coupled = CoupledCredit(SPEC, hidden_sizes=(8,))
    state, action, weight, shared = inputs(SPEC, 8)
    weight[:, 1] = 0
    before = coupled(state, action, weight, shared)
    action[:, 1] = float("nan")
    after = coupled(state, action, weight, shared)
    torch.testing.assert_close(before, after)
    assert (after[0][:, 1] == 0).all()
    action[:, 0] += 1
    assert not coupled(state, action, weight, shared)[1].equal(after[1])


def test_weights_are_positive_and_start_near_one():
    torch.manual_seed(0)
    weight = CreditWeights(SPEC)(torch.randn(4, 64, 7))
    assert weight.shape == (4, 64, 3, 1) and (weight > 0).all()
    assert weight.mean().item() == pytest.approx(1, abs=0.2)


def test_ratio_below_one_is_refused():
    with pytest.raises(ValueError, match=r"ratio is 0.5; expected a number >= 1"):
        CoupledCredit(SPEC, ratio=0.5)


def test_it_needs_a_hidden_layer():
    with pytest.raises(ValueError, match=r"CoupledCredit: hidden_sizes is \(\); expected .* at least one"):
        CoupledCredit(TeamSpec(3, 5, 2, 7), hidden_sizes=())
