"""Which networks and entries the losses of OMIGA take."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm, omiga_networks
from omiga_torchrl.modules import LinearMixer, QMIXMixer
from omiga_torchrl.objectives import OMIGALoss, OMIGAPolicyLoss, OMIGAQValueLoss, OMIGAValueLoss
from omiga_torchrl.specs import TeamSpec
from tests.objectives.contract import CONTINUOUS
from tests.objectives.omiga_cases import make_loss_of, networks


def test_terms_alone_demand_only_what_they_read():
    nets = networks(CONTINUOUS)
    for loss in (OMIGAValueLoss(*nets[1:]), OMIGAPolicyLoss(*nets)):
        assert not any(key[0] == "next" for key in loss.in_keys)
    loss = OMIGAQValueLoss(*nets[1:])
    assert {("next", "state"), ("next", "reward"), ("next", "agents", "observation")} <= set(loss.in_keys)
    assert set(loss.out_keys) == {"loss_qvalue", "td_error", "global_qvalue", "mixer_weight"}
    assert "actor_network" not in loss.networks


def test_of_an_ensemble_the_smallest_member_counts_and_all_learn():
    nets, data = networks(CONTINUOUS), CONTINUOUS.fake_batch(8)
    twins = omiga_networks(CONTINUOUS, hidden_sizes=(8,), num_qvalue_nets=2).qvalue
    both = make_loss_of(nets._replace(qvalue=twins))
    batch = both.view(data)
    smallest = batch.target.q.amin(-1)
    z = batch.mixer_output.weight * (smallest - batch.v) / 0.5
    torch.testing.assert_close(both.actor_loss(batch), (-z.exp() * batch.log_prob).mean())
    target = data["next", "reward"] + 0.99 * ~data["next", "terminated"] * batch.next.v_tot.unsqueeze(-1)
    torch.testing.assert_close(both.qvalue_loss(batch), (batch.q_tot - target).square().sum(-1).mean())


def test_only_linear_mixers_are_taken():
    nets = networks(CONTINUOUS)
    monotonic = QMIXMixer(3, 7).as_value_module()
    for mixer, found in ((None, "got None"), (monotonic, "got one that writes")):
        with pytest.raises(ValueError, match=f"OMIGALoss: mixer_network must be linear in Q_i .* {found}"):
            OMIGALoss(*nets[:3], mixer)
    with pytest.raises(
        ValueError, match=r"mixer must be one of linear, vdn for a team, got 'qmix'\. OMIGA splits"
    ):
        make_algorithm("omiga", CONTINUOUS, mixer="qmix")


def test_one_agent_has_a_mixer_of_its_own():
    single = TeamSpec(1, 5, 2, 5)
    assert isinstance(omiga_networks(single).mixer.module, LinearMixer)
    with pytest.raises(ValueError, match="mixer_network must be linear in Q_i"):
        make_algorithm("omiga", single, mixer="none")


def test_a_mixer_may_write_other_keys():
    nets, data = networks(CONTINUOUS), CONTINUOUS.fake_batch(8)
    expected = make_loss_of(nets)(data)
    renamed = nets.mixer.module.as_weight_module(weight=("walkers", "w"), bias="b")
    loss = make_loss_of(nets._replace(mixer=renamed))
    loss.set_keys(mixer_weight=("walkers", "w"), mixer_bias="b")
    torch.testing.assert_close(loss(data)["loss_qvalue"], expected["loss_qvalue"])
