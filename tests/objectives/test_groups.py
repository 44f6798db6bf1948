"""Groups of agents of any name: the numbers are those of the default group ``"agents"``."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields

import pytest
import torch
from tensordict.nn import TensorDictModule
from torchrl.modules import MLP

from omiga_torchrl import keys
from omiga_torchrl.modules import (
    LinearMixer,
    QMIXMixer,
    agent_network,
    deterministic_actor,
    make_actor,
)
from omiga_torchrl.modules.coupled_mixer import CoupledCredit, CreditWeights
from omiga_torchrl.objectives import (
    BCQLoss,
    CQLLoss,
    ForeachSoftUpdate,
    ICQLoss,
    IQLLoss,
    OMACLoss,
    OMIGALoss,
    TD3BCLoss,
)
from omiga_torchrl.objectives.loss_keys import TeamKeys
from omiga_torchrl.testing import CONTINUOUS, DISCRETE, gradients, losses_of, sequences

SMALL = {"hidden_sizes": (8,)}


class Team:
    """Small networks of a team whose agents are in the group of a name."""

    def __init__(self, spec, group):
        self.spec, self.key = spec, keys.in_group(group)
        self.seen = {"observation": self.key["observation"]}

    def actor(self, make=make_actor, **network):
        mask = {"action_mask": self.key["action_mask"]} if self.spec.discrete else {}
        return make(self.spec, **self.seen, action=self.key["action"], **mask, **SMALL, **network)

    def qvalue(self, **network):
        size = self.spec.action_size
        outputs, extra = (size, {}) if self.spec.discrete else (1, {self.key["action"]: size})
        key = self.key["local_qvalue"]
        return agent_network(
            self.spec, outputs, key, extra=extra, name="qvalue", **self.seen, **SMALL, **network
        )

    def value(self, **network):
        return agent_network(
            self.spec, 1, self.key["local_value"], name="value", **self.seen, **SMALL, **network
        )

    def linear_mixer(self):
        mixer = LinearMixer(self.spec.n_agents, self.spec.state_size, **SMALL)
        return mixer.as_weight_module(weight=self.key["mixer_weight"])

    def monotonic_mixer(self):
        mixer = QMIXMixer(self.spec.n_agents, self.spec.state_size, embedding=4, hyper_hidden=(8,))
        return mixer.as_value_module(local=(self.key["action"][0], "chosen_action_value"))

    def coupled(self):
        weight, bias = self.key["mixer_weight"], "mixer_bias"
        in_keys = ["state", self.key["action"], weight, bias]
        return (
            TensorDictModule(MLP(self.spec.state_size, 1, num_cells=[8]), ["state"], [bias]),
            TensorDictModule(CreditWeights(self.spec, **SMALL), ["state"], [weight]),
            TensorDictModule(CoupledCredit(self.spec, **SMALL), in_keys, ["coupled_weight", "coupled_bias"]),
        )


def iql(team):
    return IQLLoss(team.actor(), team.qvalue(ensemble_size=2), team.value(), team.linear_mixer())


def iql_with_a_monotonic_mixer(team):
    return IQLLoss(team.actor(), team.qvalue(ensemble_size=2), team.value(), team.monotonic_mixer())


def omiga(team):
    return OMIGALoss(team.actor(), team.qvalue(), team.value(), team.linear_mixer())


def omac(team):
    shared, weights, coupled = team.coupled()
    qvalue = team.qvalue(ensemble_size=2)
    return OMACLoss(team.actor(), qvalue, team.value(), shared, weights, coupled)


def td3_bc(team):
    actor = team.actor(deterministic_actor)
    return TD3BCLoss(actor, team.qvalue(ensemble_size=2), team.linear_mixer(), policy_noise=0.0)


def cql(team):
    actor = None if team.spec.discrete else team.actor()
    return CQLLoss(actor, team.qvalue(ensemble_size=2), team.linear_mixer())


def bcq(team):
    return BCQLoss(None, team.qvalue(ensemble_size=2), behavior_network=team.actor())


def icq(team):
    return ICQLoss(team.actor(), team.qvalue(), team.linear_mixer())


def recurrent_omiga(team):
    memory = {"rnn_hidden_size": 8}
    return OMIGALoss(team.actor(**memory), team.qvalue(**memory), team.value(), team.linear_mixer())


def evaluate(make, spec, group, data):
    """Losses and gradients of the loss with its agents in ``group``; parameters do not depend on it."""
    torch.manual_seed(0)
    loss = make(Team(spec, group))
    ForeachSoftUpdate(loss, tau=0.5)
    loss.set_keys(**keys.in_group(group))
    data = deepcopy(data).rename_key_("agents", group)
    data["next"].rename_key_("agents", group)
    out = losses_of(loss(data))
    sum(out.values()).backward()
    return loss, out, gradients(loss)


@pytest.mark.parametrize(
    ("make", "spec"),
    [
        *[(make, CONTINUOUS) for make in (iql, iql_with_a_monotonic_mixer, omiga, omac, td3_bc, cql, icq)],
        *[(make, DISCRETE) for make in (iql, omiga, omac, cql, bcq, icq)],
        *[(recurrent_omiga, spec) for spec in (CONTINUOUS, DISCRETE)],
    ],
)
def test_another_name_changes_no_number(make, spec):
    data = sequences(spec, 6)
    _, expected, expected_gradients = evaluate(make, spec, "agents", data)
    loss, found, found_gradients = evaluate(make, spec, "robots", data)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key
    torch.testing.assert_close(found_gradients, expected_gradients, rtol=0, atol=0)
    assert not any("agents" in keys.key_path(key) for key in loss.in_keys)


def test_masks_of_another_group_are_read():
    data = sequences(DISCRETE, 6)
    _, expected, _ = evaluate(omiga, DISCRETE, "robots", data)
    data["agents", "agent_mask"] = torch.rand(6, 4, 3) < 0.5
    _, found, _ = evaluate(omiga, DISCRETE, "robots", data)
    _, usual, _ = evaluate(omiga, DISCRETE, "agents", data)
    assert found["loss_value"] != expected["loss_value"]
    assert all(torch.equal(found[key], usual[key]) for key in usual)


def test_every_key_of_the_group_is_renamed():
    of_agents = {f.name: f.default for f in fields(TeamKeys) if keys.key_path(f.default)[0] == keys.GROUP}
    assert keys.in_group("robots") == {name: ("robots", key[-1]) for name, key in of_agents.items()}
    assert keys.in_group(keys.GROUP).items() <= vars(TeamKeys()).items()


def test_a_critic_of_the_groups_action_needs_a_policy():
    team = Team(CONTINUOUS, "robots")
    with pytest.raises(ValueError, match="actor_network must be a policy where qvalue_network reads"):
        CQLLoss(None, team.qvalue(ensemble_size=2), team.linear_mixer())
