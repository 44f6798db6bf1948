from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchrl.objectives import ValueEstimators

from omiga_torchrl import functional as F
from omiga_torchrl.modules import AgentMLP, VDNMixer
from omiga_torchrl.objectives import (
    ForeachSoftUpdate,
    OMIGALoss,
    OMIGAPolicyLoss,
    OMIGAQValueLoss,
    OMIGAValueLoss,
)
from omiga_torchrl.testing import CONTINUOUS, DISCRETE, assert_actions_unread, permute_agents
from tests.objectives.omiga_cases import make, networks


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE])
def test_single_term_losses_equal_the_terms_of_the_whole(spec):
    nets, data = networks(spec), spec.fake_batch(8)
    whole = OMIGALoss(*nets, alpha=0.5)
    ForeachSoftUpdate(whole, tau=0.5)
    out = whole(data)
    for single, term in (
        (OMIGAValueLoss(*nets[1:], alpha=0.5), "loss_value"),
        (OMIGAQValueLoss(*nets[1:]), "loss_qvalue"),
        (OMIGAPolicyLoss(*nets, alpha=0.5), "loss_actor"),
    ):
        if term != "loss_qvalue":
            ForeachSoftUpdate(single, tau=0.5)
        torch.testing.assert_close(single(data)[term], out[term])


def test_every_network_is_evaluated_once(monkeypatch):
    calls = []
    original = AgentMLP.forward
    monkeypatch.setattr(AgentMLP, "forward", lambda self, *x: calls.append(self) or original(self, *x))
    loss, _ = make()
    loss(CONTINUOUS.fake_batch(8))
    assert len(calls) == 5  # Q, target Q, V(s), V(s'), policy


def test_time_outs_bootstrap_and_terminations_do_not():
    loss, data = make()[0], CONTINUOUS.fake_batch(8)
    data["next", "terminated"][:] = False
    data["next", "done"][:] = True
    timed_out = loss.qvalue_loss(data)
    data["next", "done"][:] = False
    torch.testing.assert_close(loss.qvalue_loss(data), timed_out)
    data["next", "terminated"][:] = True
    assert not loss.qvalue_loss(data).isclose(timed_out)


def test_qvalue_loss_by_hand():
    nets, data = networks(CONTINUOUS), CONTINUOUS.fake_batch(8)
    loss = OMIGAQValueLoss(*nets[1:], gamma=0.7)
    now, following = data.clone(), data["next"].clone()
    nets.mixer(nets.qvalue(now)), nets.mixer(nets.value(following))

    def total(td, key):
        return (td["agents", "mixer_weight"] * td["agents", key]).sum(-2) + td["mixer_bias"]

    alive = (~data["next", "terminated"]).float()
    target = data["next", "reward"] + 0.7 * alive * total(following, "local_value")
    expected = (total(now, "local_qvalue") - target).square().mean()
    torch.testing.assert_close(loss(data)["loss_qvalue"], expected)


def test_lambda_target_cuts_where_the_padding_begins():
    data = CONTINUOUS.fake_batch(1, 6)
    data["next", "done"][:] = data["next", "terminated"][:] = False
    loss, _ = make(reduction="none")
    loss.make_value_estimator(ValueEstimators.TDLambda, gamma=0.9, lmbda=0.8)
    expected = loss(data[:, :4])["loss_qvalue"]
    data["collector", "mask"] = torch.tensor([[1, 1, 1, 1, 0, 0]], dtype=torch.bool).unsqueeze(-1)
    torch.testing.assert_close(loss(data)["loss_qvalue"][:, :4], expected)


def test_estimator_arguments_are_checked():
    with pytest.raises(TypeError, match="lmbda"):
        make()[0].make_value_estimator(ValueEstimators.TD0, lmbda=0.5)


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(3)), st.integers(0, 1000))
def test_permuting_agents_permutes_the_losses(order, seed):
    torch.manual_seed(seed)
    nets = networks(CONTINUOUS)
    for net in nets[:3]:  # without the agent id the networks are equivariant
        for module in net.modules():
            if isinstance(module, AgentMLP):
                module.agent_id = False
                sizes = (module.in_features, module.body[-1].out_features, 3)
                module.body = AgentMLP(*sizes, hidden_sizes=(8,), agent_id=False).body
    loss = OMIGALoss(*nets[:3], VDNMixer(3).as_weight_module(), alpha=0.5, reduction="none")
    ForeachSoftUpdate(loss, tau=0.5)
    data, order = CONTINUOUS.fake_batch(4), torch.tensor(order)
    first, second = loss(data), loss(permute_agents(data, order))
    for term in ("loss_value", "loss_actor"):
        torch.testing.assert_close(second[term], first[term][:, order])
    torch.testing.assert_close(second["loss_qvalue"], first["loss_qvalue"])


def test_is_in_sample_changing_q_of_other_actions_changes_nothing():
    loss, data = make(DISCRETE)[0], DISCRETE.fake_batch(8)
    data["agents", "action"][:] = 0
    data["agents", "action_mask"][..., 0] = True
    assert_actions_unread(loss, data, 1)


def test_reward_per_agent_is_refused():
    loss, data = make()[0], CONTINUOUS.fake_batch(8)
    data["next", "reward"] = torch.zeros(8, 3)
    with pytest.raises(ValueError, match=r"OMIGALoss: .*reward.*shape \(8, 3\).*\[\*batch, 1\].*per agent"):
        loss(data)
    data["next", "reward"] = torch.zeros(8)
    with pytest.raises(ValueError, match="unsqueeze"):
        loss(data)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"variant": "offical"}, "did you mean 'official'"),
        ({"clip_mode": "clip"}, "unknown clip_mode"),
        ({"alpha": -1.0}, "alpha must be a number > 0 or 'auto', got -1.0"),
        ({"alpha": "adaptive"}, "alpha must be a number > 0 or 'auto', got 'adaptive'"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make(**kwargs)


def test_alpha_is_a_schedulable_buffer():
    loss, data = make()[0], CONTINUOUS.fake_batch(8)
    loss.alpha = 5.0
    assert loss(data)["alpha"].item() == 5.0 and "alpha" in loss.state_dict()


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_auto_alpha_follows_the_sample_size_whatever_the_scale(scale):
    torch.manual_seed(0)
    nets, data = networks(CONTINUOUS), CONTINUOUS.fake_batch(128)
    last = nets.qvalue.module.body[-1]
    with torch.no_grad():
        last.weight *= 3 * scale
    loss = OMIGAValueLoss(*nets[1:], alpha="auto", target_effective_sample_size=0.4)
    ForeachSoftUpdate(loss, tau=0.5)
    for _ in range(1000):
        out = loss(data)
        loss.advance(out)
    assert out["effective_sample_size"].item() == pytest.approx(0.4, abs=0.03)


def test_auto_alpha_moves_by_advance_only():
    loss, _ = make(alpha="auto")
    out = loss(CONTINUOUS.fake_batch(8))
    assert loss.alpha.item() == 1.0 and out["alpha"].item() == 1.0
    moved = F.updated_alpha(loss.alpha, out["effective_sample_size"], target=0.4 ** (1 / 3))
    assert out["next_alpha"].item() == moved.item() != 1.0
    loss.advance(out)
    assert loss.alpha.item() == moved.item() and out["alpha"].item() == 1.0
    assert "next_alpha" not in make()[0].out_keys


def test_diagnostics():
    torch.manual_seed(2)
    loss, data = make(alpha=0.1, max_exponent=0.5)[0], CONTINUOUS.fake_batch(64)
    out = loss(data)
    assert 1 / 192 < out["effective_sample_size"] < 1
    assert out["scaled_advantage_max"] > out["scaled_advantage"]
    assert 0 < out["clip_fraction"] < 1
    assert out["mixer_weight"].shape == (3,) and (out["mixer_weight"] >= 0).all()


def test_target_update_moves_every_target_halfway():
    loss, updater = make(variant="official")
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.add_(1)
    before = {k: v.clone() for k, v in loss.named_buffers() if k.startswith("target_")}
    updater.step()
    for key, value in loss.named_buffers():
        if key in before:
            torch.testing.assert_close(value, before[key] + 0.5)


def test_variants_keep_the_targets_they_document():
    def targets(loss):
        return {name.split("_network")[0] for name, _ in loss.named_buffers() if name.startswith("target_")}

    assert targets(make()[0]) == {"target_qvalue"}
    assert targets(make(variant="official")[0]) == {"target_qvalue", "target_value", "target_mixer"}
