"""What losses read of a batch: real rows, behind the burn-in, of agents that take part."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.objectives.batch import read_team, zero_where_not
from tests.objectives.contract import CONTINUOUS, sequences

STEPS = 4


def make_loss(**options):
    return make_algorithm("omiga", CONTINUOUS, hidden_sizes=[4], **options).loss


def data():
    torch.manual_seed(0)
    return sequences(CONTINUOUS, 2)


@pytest.mark.parametrize("burn_in", [1, STEPS - 1])
def test_exactly_the_burn_in_has_no_terms(burn_in):
    loss = make_loss(rnn_hidden_size=4, burn_in=burn_in)
    expected = [step >= burn_in for step in range(STEPS)]
    assert read_team(loss, data()).mask.tolist() == [expected, expected]
    padded = data()
    padded["collector", "mask"] = torch.tensor([[True] * STEPS, [True] * (STEPS - 1) + [False]])
    assert read_team(loss, padded).mask.tolist() == [expected, [*expected[:-1], False]]


def test_a_burn_in_as_long_as_the_sequence_is_refused():
    with pytest.raises(ValueError, match=f"burn_in={STEPS} needs sequences .* of at least {STEPS + 1} steps"):
        read_team(make_loss(rnn_hidden_size=4, burn_in=STEPS), data())


def test_padding_and_absent_agents_are_zeroed_and_nothing_else():
    given = data()
    mask = torch.rand(2, STEPS) < 0.7
    present = torch.rand(2, STEPS, 3) < 0.7
    given["collector", "mask"], given["agents", "agent_mask"] = mask, present
    before = given.clone()
    read = read_team(make_loss(), given)
    assert (given == before).all()
    kept = mask.unsqueeze(-1) & present
    for key in (("agents", "observation"), ("agents", "action")):
        assert torch.equal(read.data[key], before[key] * kept.unsqueeze(-1))
    assert torch.equal(read.data["state"], before["state"] * mask.unsqueeze(-1))
    assert torch.equal(read.data["next", "reward"], before["next", "reward"] * mask.unsqueeze(-1))
    # Who takes part at this step says nothing about the next.
    now_masked = before["next", "agents", "observation"] * mask[..., None, None]
    assert torch.equal(read.data["next", "agents", "observation"], now_masked)


@pytest.mark.parametrize("shape", [(), (3,), (3, 2)])
def test_zeros_take_the_place_of_anything(shape):
    mask = torch.tensor([[True, False], [False, True]])
    for value in (torch.full((2, 2, *shape), torch.nan), torch.ones(2, 2, *shape, dtype=torch.bool)):
        found = zero_where_not(mask, value)
        assert found.dtype == value.dtype and not found[~mask].any() and (found[mask] != 0).all()


@pytest.mark.parametrize(("beyond", "is_refused"), [(0.5e-4, False), (1e-4, False), (1.5e-4, True)])
@pytest.mark.parametrize("side", [-1, 1])
def test_actions_may_leave_their_bounds_by_rounding_only(beyond, is_refused, side):
    """By a ten-thousandth of their range, which is 2."""
    given, loss = data(), make_loss()
    given["agents", "action"][0, 1, 2, 0] = side * (1 + 2 * beyond)
    if not is_refused:
        loss(given)
        return
    with pytest.raises(ValueError, match=r"action.* must be in \[-1.0, 1.0\]"):
        loss(given)
