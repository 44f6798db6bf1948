"""What every registered algorithm can do, whatever its losses: memories, burn-in, absent agents."""

from __future__ import annotations

import pickle

import pytest
import torch

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.specs import TeamSpec
from tests.objectives.contract import assert_actions_unread, losses_of, sequences, without_chance

CONTINUOUS = TeamSpec(3, 5, 2, 7)
DISCRETE = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
CASES = [
    pytest.param(name, spec, id=f"{name}-{kind}")
    for name, known in sorted(ALGORITHMS.items())
    for kind, spec in (("continuous", CONTINUOUS), ("discrete", DISCRETE))
    if kind in known.actions
]
EVERY = pytest.mark.parametrize(("name", "spec"), CASES)


def losses(parts, data):
    torch.manual_seed(7)  # of sampled actions
    return losses_of(parts.loss(data))


def build(name, spec, **kwargs):
    torch.manual_seed(0)
    return make_algorithm(name, spec, hidden_sizes=[8], **kwargs)


def padded(data, steps):
    """The same sequences with ``steps`` steps of NaN after them, and the mask that says so."""
    rest = data[:, :1].expand(data.shape[0], steps).clone()
    for value in rest.values(True, True):
        if value.dtype.is_floating_point:
            value.fill_(float("nan"))
    longer = torch.cat([data, rest], 1)
    longer["collector", "mask"] = torch.arange(longer.shape[1]).lt(data.shape[1]).expand(longer.shape)
    return longer


@EVERY
@pytest.mark.parametrize("recurrent", [None, 8])
def test_every_parameter_group_and_every_layer_is_trained(name, spec, recurrent):
    parts = build(name, spec, rnn_hidden_size=recurrent)
    torch.stack(list(losses(parts, sequences(spec, 32)).values())).sum().backward()
    names = {parameter: key for key, parameter in parts.loss.named_parameters()}
    still = {
        names[parameter]
        for group in parts.parameter_groups.values()
        for parameter in group
        if parameter.grad is None or not parameter.grad.any()
    }
    assert still == set()
    assert {p for group in parts.parameter_groups.values() for p in group} == set(names)


@EVERY
def test_padding_changes_nothing(name, spec):
    parts, data = build(name, spec, rnn_hidden_size=8, reduction="none"), sequences(spec, 8)
    longer = padded(data, 3)
    with without_chance():
        expected, found = losses(parts, data), losses(parts, longer)
    for key, value in found.items():
        torch.testing.assert_close(value[:, : data.shape[1]], expected[key], msg=key)
        assert (value[:, data.shape[1] :] == 0).all()


@EVERY
def test_padding_of_nan_leaves_finite_gradients(name, spec):
    parts = build(name, spec, rnn_hidden_size=8)
    torch.stack(list(losses(parts, padded(sequences(spec, 8), 3)).values())).sum().backward()
    assert all(p.grad.isfinite().all() for p in parts.loss.parameters() if p.grad is not None)


@EVERY
def test_memories_see_the_first_step_of_what_follows(name, spec):
    """A change at the first step moves losses at later ones, with memories and not without."""
    for recurrent in (None, 8):
        parts, data = build(name, spec, rnn_hidden_size=recurrent, reduction="none"), sequences(spec, 8)
        before = losses(parts, data)
        data["agents", "observation"][:, 0] += 1
        after = losses(parts, data)
        moved = any((before[key] != after[key])[:, 2:].any() for key in before)
        assert moved == (recurrent is not None) or name in SHARED_OVER_BATCH


@EVERY
def test_burn_in_has_no_terms_and_fills_memories(name, spec):
    parts, data = build(name, spec, rnn_hidden_size=8, burn_in=2, reduction="none"), sequences(spec, 8)
    before = losses(parts, data)
    assert all((value[:, :2] == 0).all() and (value != 0).any() for value in before.values())
    data["agents", "observation"][:, 0] += 1
    after = losses(parts, data)
    assert any((before[key] != after[key]).any() for key in before)


@EVERY
def test_burn_in_longer_than_the_sequences_is_refused(name, spec):
    parts = build(name, spec, rnn_hidden_size=8, burn_in=4)
    with pytest.raises(ValueError, match="Increase slice_len"):
        parts.loss(sequences(spec, 8))


@EVERY
def test_single_transitions_are_refused_by_memories(name, spec):
    with pytest.raises(ValueError, match=r"StepSliceSampler\(slice_len=T"):
        build(name, spec, rnn_hidden_size=8).loss(spec.fake_batch(8))


@EVERY
def test_sequences_that_go_on_after_their_end_are_refused(name, spec):
    data = sequences(spec, 8)
    data["next", "done"][3, 1] = True
    parts = build(name, spec, rnn_hidden_size=8)
    if ("next", "done") in parts.loss.in_keys:
        with pytest.raises(ValueError, match="a sequence goes on after a step that is done"):
            parts.loss(data)


@EVERY
@pytest.mark.parametrize("recurrent", [None, 8])
@pytest.mark.parametrize("by", ["agent_mask", "action_mask"])
def test_absent_agents_have_no_terms_and_no_say(name, spec, recurrent, by):
    if by == "action_mask" and not spec.masked:
        return
    parts = build(name, spec, rnn_hidden_size=recurrent, reduction="none")
    data = sequences(spec, 8)
    present = torch.ones(8, 4, 3, dtype=torch.bool)
    present[::2, 1:, 2] = False  # agent 2 leaves after the first step of half of the sequences
    following = torch.cat([present[:, 1:], present[:, -1:]], 1)
    for where, rows in ((data, present), (data["next"], following)):
        if by == "agent_mask":
            where["agents", "agent_mask"] = rows
        else:
            where["agents", "action_mask"] = where["agents", "action_mask"] & rows.unsqueeze(-1)
    before = losses(parts, data)
    for where, rows in ((data, present), (data["next"], following)):
        where["agents", "observation"][~rows] = float("nan")
    if not spec.discrete:
        data["agents", "action"][~present] = 0.5
    after = losses(parts, data)
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, msg=key)
        if value.shape == present.shape:
            assert (value[~present] == 0).all()
        torch.testing.assert_close(losses(parts, data)[key], value)
    torch.stack([value.sum() for value in after.values()]).sum().backward()
    assert all(p.grad.isfinite().all() for p in parts.loss.parameters() if p.grad is not None)


# A factor of theirs is an average over the batch, so that every step moves every other.
SHARED_OVER_BATCH = {"awr", "comadice", "icq", "matd3_bc", "rebrac", "td3_bc"}


@pytest.mark.parametrize("name", ["iql", "omac"])
def test_other_actions_of_the_critic_are_never_read(name):
    loss, data = build(name, DISCRETE).loss, DISCRETE.fake_batch(8)
    data["agents", "action"][:] = 0
    data["agents", "action_mask"][..., 0] = True
    assert_actions_unread(loss, data, 1)


@EVERY
def test_the_policy_can_be_sent_to_another_process(name, spec):
    policy, data = build(name, spec).policy, spec.fake_batch(4).exclude("next")
    again = pickle.loads(pickle.dumps(policy))
    torch.manual_seed(3)
    expected = policy(data.clone())["agents", "action"]
    torch.manual_seed(3)
    assert torch.equal(again(data.clone())["agents", "action"], expected)
