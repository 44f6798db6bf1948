"""Networks on a batch: which parameters, which inputs, which gradients, which steps of a memory."""

from __future__ import annotations

import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.modules import set_recurrent_mode

from omiga_torchrl import keys
from omiga_torchrl.algorithms import CriticConfig, NetworkBuilder, make_algorithm
from omiga_torchrl.modules import ConditionalVAE, TeamGRU
from omiga_torchrl.objectives.evaluation import full_precision
from omiga_torchrl.specs import TeamSpec
from tests.objectives.small import (
    SmallLoss,
    batch,
    continuous,
    discrete,
    monotonic_mixer,
    network,
    scale_gradients,
    set_scale,
    value,
)

OBSERVATION = torch.tensor([[[1.0, 5.0], [0.0, 3.0], [2.0, 2.0]], [[6.0, 1.0], [4.0, 4.0], [7.0, 0.0]]])
ACTION = torch.zeros(2, 3, 1)


def view(loss=None, **more):
    return (loss or continuous()).view(batch(OBSERVATION, ACTION, **more))


def test_half_precision_becomes_single():
    for half in (torch.bfloat16, torch.float16):
        assert full_precision(torch.ones(1, dtype=half)).dtype == torch.float32
    for dtype in (torch.float32, torch.float64, torch.int64):
        x = torch.ones(1, dtype=dtype)
        assert full_precision(x) is x


def test_outputs_are_in_a_tensordict_of_their_own():
    data = batch(OBSERVATION, ACTION)
    before = set(data.keys(True, True))
    out = continuous().view(data).run("value_network")
    assert out[keys.LOCAL_VALUE].squeeze(-1).tolist() == OBSERVATION[..., -1].tolist()
    assert set(data.keys(True, True)) == before


def test_a_network_that_a_loss_lacks():
    with pytest.raises(
        ValueError, match=r"SmallLoss: has no behavior_network, got networks qvalue_network, value"
    ):
        view().run("behavior_network")


def test_outputs_are_one_feature_of_each_agent():
    assert view().output("value_network", keys.LOCAL_VALUE).tolist() == OBSERVATION[..., -1].tolist()
    with pytest.raises(KeyError, match=r"SmallLoss: .*local_qvalue.*value_network write it"):
        view().output("value_network", keys.LOCAL_QVALUE)
    with pytest.raises(ValueError, match=r"SmallLoss: .*local_value.*Check the behavior_network"):
        loss = continuous()
        loss.add_network("behavior_network", network(lambda o: o, [keys.OBSERVATION], keys.LOCAL_VALUE))
        view(loss).output("behavior_network", keys.LOCAL_VALUE)


def test_samples_of_actions_come_first_in_all_outputs():
    action = torch.arange(24.0).reshape(4, 2, 3, 1)
    out = view().run("qvalue_network", action)[keys.LOCAL_QVALUE]
    assert out.shape == (4, 2, 3, 1, 2)
    torch.testing.assert_close(out[..., 0, 0], OBSERVATION[..., 0] + 2 * action.squeeze(-1))
    one = view().run("qvalue_network", action[1])[keys.LOCAL_QVALUE]
    assert torch.equal(one, out[1])


def test_parameters_get_gradients_online_and_at_this_step_only():
    loss = continuous()
    seen = view(loss)
    for place, detach, trains in (
        (seen, False, True),
        (seen.next_with_grad, False, True),
        (seen, True, False),
        (seen.target, False, False),
        (seen.next, False, False),
        (seen.next, True, False),
        (seen.target, True, False),
    ):
        action = torch.zeros(2, 3, 1, requires_grad=True)
        out = place.run("qvalue_network", action, detach_params=detach)[keys.LOCAL_QVALUE]
        assert out.requires_grad is (trains or detach)
        if out.requires_grad:
            out.sum().backward()
            assert action.grad.unique().tolist() == [4.0]
        assert scale_gradients(loss) == ({"qvalue_network"} if trains else set())
        loss.zero_grad()
    with torch.no_grad():
        for detach in (True, False):
            out = seen.run("qvalue_network", action, detach_params=detach)
            assert not out[keys.LOCAL_QVALUE].requires_grad


def test_the_first_critic_alone():
    critics = NetworkBuilder(
        TeamSpec(3, 2, 1, 4), CriticConfig(hidden_sizes=(4,), num_qvalue_nets=3)
    ).qvalue()
    loss = SmallLoss(qvalue_network=critics)
    seen = loss.view(batch(OBSERVATION, ACTION, state=torch.zeros(2, 4)))
    other = torch.rand(2, 3, 1, requires_grad=True)
    every, first = seen.q_at(other), seen.q_at(other, first_critic=True)
    assert every.shape == (2, 3, 3) and first.shape == (2, 3, 1)
    torch.testing.assert_close(first, every[..., :1])
    assert torch.equal(seen.q_at(other, detach_params=True, first_critic=True), first)


def test_target_parameters_are_those_of_the_target():
    loss = continuous()
    set_scale(loss, "target_value_network", -2.0)
    seen = view(loss)
    assert torch.equal(seen.target.run("value_network")[keys.LOCAL_VALUE], -2 * OBSERVATION[..., -1:])
    assert torch.equal(seen.run("value_network", detach_params=True)[keys.LOCAL_VALUE], OBSERVATION[..., -1:])
    # A network without a target is its own.
    loss.add_network("behavior_network", value())
    assert torch.equal(view(loss).target.run("behavior_network")[keys.LOCAL_VALUE], OBSERVATION[..., -1:])


@pytest.mark.parametrize("separate", [True, False])
def test_shared_parameters_are_trained_by_the_network_added_first(separate):
    shared = value()
    loss = SmallLoss(value_network=shared, actor_network=discrete().actor_network, separate_losses=separate)
    loss.add_network("behavior_network", shared)
    seen = loss.view(batch(OBSERVATION, torch.zeros(2, 3, dtype=torch.long)))
    assert seen.run("value_network")[keys.LOCAL_VALUE].requires_grad
    assert seen.run("behavior_network")[keys.LOCAL_VALUE].requires_grad is not separate
    assert seen.run("actor_network")[("agents", "logits")].requires_grad


def test_computed_inputs_are_left_to_who_uses_them():
    loss = discrete(monotonic_mixer())
    seen = loss.view(batch(OBSERVATION, torch.zeros(2, 3, dtype=torch.long)))
    found = seen.with_network("mixer_network", lambda net, inputs: set(inputs.keys(True, True)))
    assert found == {keys.STATE}


def test_a_model_s_distribution_is_used_with_its_parameters_in_place():
    torch.manual_seed(0)
    spec = TeamSpec(3, 2, 1, 4)
    loss = continuous()
    loss.add_network("behavior_network", ConditionalVAE(spec, hidden_sizes=(4,)))
    seen = view(loss)
    action = ACTION.clone().requires_grad_()
    for detach in (True, False):
        found = seen.with_distribution("behavior_network", lambda d: d.log_prob(action), detach_params=detach)
        found.sum().backward()
        grads = [p.grad is not None for p in loss.behavior_network_params.parameters()]
        assert any(grads) is not detach and action.grad is not None
    loss = discrete()
    seen = loss.view(batch(OBSERVATION, torch.zeros(2, 3, dtype=torch.long)))
    assert seen.with_distribution("actor_network", lambda d: d.logits).requires_grad
    assert not seen.with_distribution("actor_network", lambda d: d.logits, detach_params=True).requires_grad
    assert not seen.next.with_distribution("actor_network", lambda d: d.logits).requires_grad


# Memories -----------------------------------------------------------------------------------

SPEC = TeamSpec(2, 3, 2, 4)


def recurrent():
    """V and Q of a memory of observations and the actions before."""
    torch.manual_seed(0)
    memory = TeamGRU(SPEC, size=4, name="team")
    features = memory.out_keys[0]
    head = TensorDictModule(torch.nn.Linear(4, 1), [features], [keys.LOCAL_VALUE])
    critic = network(lambda f, a: f.sum(-1, True) + a[..., :1], [features, keys.ACTION], keys.LOCAL_QVALUE)
    return SmallLoss(
        value_network=TensorDictSequential(memory, head), qvalue_network=TensorDictSequential(memory, critic)
    )


def sequences(steps=5):
    data = SPEC.fake_batch(3, steps)
    data[keys.IS_INIT][:] = False  # the memory keeps what it has seen
    data["next", "done"][:] = False
    data["next", "terminated"][:] = False
    # A sequence whose next step is the step that follows.
    for key in (keys.OBSERVATION, keys.STATE):
        data["next"].set(key, torch.cat([data[key][:, 1:], torch.randn_like(data[key][:, :1])], 1))
    return data


def test_a_memory_at_the_next_step_has_seen_the_first():
    loss, data = recurrent(), sequences()
    with set_recurrent_mode(True):
        seen = loss.view(data)
        now, later = seen.v, seen.next_with_grad.v
    assert now.shape == later.shape == (3, 5, 2)
    torch.testing.assert_close(later[:, :-1], now[:, 1:])
    assert not torch.allclose(later[:, -1], now[:, -1])


@set_recurrent_mode(True)
def test_a_memory_at_the_next_step_takes_samples_of_actions():
    seen = recurrent().view(sequences())
    later = seen.next_with_grad
    action = torch.randn(4, 3, 5, 2, 2)
    found = later.q_at(action)
    assert found.shape == (4, 3, 5, 2, 1)
    torch.testing.assert_close(found[2], later.q_at(action[2]))
    zero = later.q_at(torch.zeros(3, 5, 2, 2))
    torch.testing.assert_close(found[1] - zero, action[1][..., :1])


# Kinds of actions ---------------------------------------------------------------------------


def test_of_a_mixed_team_each_part_has_its_own_module():
    groups = {"a": TeamSpec(1, 4, 3, 5, discrete=True), "b": TeamSpec(2, 4, 2, 5)}
    spec = TeamSpec.from_groups(groups)
    loss = make_algorithm("bc", spec, hidden_sizes=[4]).loss
    seen = loss.view(spec.fake_batch(3))
    modules = [part.network("actor_network") for part in seen.parts]
    kinds = loss.actor_network.kinds
    assert modules == [kinds["continuous"], kinds["discrete"]]
    with pytest.raises(ValueError, match=r"the actor_network is of .*actions, got a batch of mixed ones"):
        seen.network("actor_network")
