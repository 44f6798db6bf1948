"""The base of all losses: networks, keys, defaults and output."""

from __future__ import annotations

import pytest
import torch
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import keys
from omiga_torchrl.modules import TeamGRU
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.targets import TargetEstimator
from omiga_torchrl.objectives.view import TeamView
from omiga_torchrl.specs import TeamSpec
from tests.objectives.small import (
    SmallLoss,
    batch,
    continuous,
    discrete,
    discrete_qvalue,
    linear_mixer,
    monotonic_mixer,
    value,
)


def data(rows=2, **more):
    return batch(torch.ones(rows, 2, 3), torch.zeros(rows, 2, dtype=torch.long), **more)


def test_defaults():
    loss = SmallLoss()
    assert loss.gamma == 0.99 and loss.lmbda == 0.95 and loss.burn_in == 0
    assert loss.reduction == "mean" and SmallLoss(reduction="mean").reduction == "mean"
    assert loss.value_scale is None and loss.reward_of == "team" and loss.separate_losses is False
    assert loss.reads == ("action", "reward", "terminated", "done") and loss.checks_bounds
    assert loss.value_type == ValueEstimators.TD0 and not loss.is_recurrent and loss.networks == []
    assert not loss.normalizes_mixer and loss.groups is None and loss.parts == ()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"gamma": 1.01}, r"gamma.*in \[0, 1\]"),
        ({"gamma": -0.01}, r"gamma.*in \[0, 1\]"),
        ({"burn_in": -1}, r"burn_in"),
        ({"reduction": "men"}, r"reduction 'men'; did you mean 'mean'"),
        ({"value_scale": "sv"}, r"value_scale 'sv'; did you mean 'svn'"),
        ({"reward_of": "agents"}, r"reward_of 'agents'; did you mean 'agent'"),
    ],
)
def test_arguments_are_in_their_range(arguments, text):
    with pytest.raises(ValueError, match=rf"SmallLoss: .*{text}"):
        SmallLoss(**arguments)
    SmallLoss(gamma=0.0), SmallLoss(gamma=1.0)


def test_rewards_of_agents_are_read_in_place_of_the_team_s():
    loss = discrete(reward_of="agent")
    assert loss.reads == ("action", "agent_reward", "terminated", "done")
    assert ("next", "agents", "reward") in loss.in_keys and ("next", "reward") not in loss.in_keys
    assert TeamLoss.reads[1] == "reward"
    with pytest.raises(ValueError, match=r"reward_of must be 'team' with a mixer"):
        discrete(linear_mixer(), reward_of="group")


def test_no_network_registers_nothing():
    loss = SmallLoss(value_network=None)
    loss.add_network("mixer_network", None, target=True, at_next=True)
    assert loss.networks == [] and not list(loss.parameters()) and not loss.has_mixer


def test_targets_and_next_inputs_only_on_demand():
    loss = SmallLoss()
    loss.add_network("value_network", value())
    assert "target_value_network_params" not in loss._modules
    assert ("next", *keys.OBSERVATION) not in loss.in_keys
    loss.add_network("qvalue_network", discrete_qvalue(), target=True)
    assert "target_qvalue_network_params" in loss._modules
    assert ("next", *keys.OBSERVATION) not in loss.in_keys and loss.networks == [
        "value_network",
        "qvalue_network",
    ]
    loss.add_network("behavior_network", value(), at_next=True)
    assert ("next", *keys.OBSERVATION) in loss.in_keys


def test_inputs_that_a_loss_computes_are_not_asked_for():
    loss = SmallLoss()
    loss.add_network("qvalue_network", discrete_qvalue())
    own = continuous().qvalue_network
    loss.add_network("behavior_network", own, computed=[keys.ACTION])
    assert loss.computed_keys == {keys.ACTION} and keys.ACTION not in loss.in_keys
    # The local values that a mixer reads are computed, too; the state is not.
    assert discrete(monotonic_mixer()).computed_keys == {keys.LOCAL_QVALUE}
    assert discrete(linear_mixer()).computed_keys == set()
    assert keys.STATE in discrete(monotonic_mixer()).in_keys


def test_kinds_of_mixers():
    for mixer, has_one, is_linear in ((None, 0, 0), (linear_mixer(), 1, 1), (monotonic_mixer(), 1, 0)):
        loss = discrete(mixer)
        assert (loss.has_mixer, loss.has_linear_mixer) == (has_one, is_linear)
    weights_only = linear_mixer()
    weights_only.out_keys = [keys.MIXER_WEIGHT]
    assert discrete(weights_only).has_linear_mixer


def test_a_renamed_linear_mixer_is_known_by_its_two_outputs():
    mixer = linear_mixer()
    mixer.out_keys = [("robots", "weight"), "bias"]
    assert discrete(mixer).has_linear_mixer


def test_memories_make_a_loss_recurrent_and_their_keys_are_listed_once():
    spec = TeamSpec(2, 3, 3, 4, discrete=True)
    loss = SmallLoss(value_network=TeamGRU(spec, size=4, name="one"))
    assert loss.is_recurrent and len(loss.prev_action_keys) == 1
    loss.add_network("behavior_network", TeamGRU(spec, size=4, name="one"))
    assert len(loss.prev_action_keys) == 1
    loss.add_network("actor_network", value())
    assert loss.is_recurrent and not discrete().is_recurrent


def test_shared_parameters_belong_to_the_network_added_first():
    network = value()
    loss = SmallLoss(value_network=network, behavior_network=network)
    assert loss.shared_entries["value_network"] == set()
    assert loss.shared_entries["behavior_network"] == {("module", "scale")}


def test_the_first_critic_is_of_q_and_no_submodule():
    loss = discrete()
    assert len(loss.first_critic) == 1 and SmallLoss(value_network=value()).first_critic == []
    assert len(list(loss.parameters())) == 3


def test_the_estimator_and_its_parameters():
    loss = discrete()
    assert loss.make_value_estimator(ValueEstimators.TDLambda, gamma=0.5, lmbda=0.25) is loss
    assert loss.gamma == 0.5 and loss.lmbda == 0.25 and loss.value_type == ValueEstimators.TDLambda
    loss.make_value_estimator()
    assert loss.value_type == ValueEstimators.TD0 and loss.gamma == 0.5
    found = loss.value_estimator
    assert isinstance(found, TargetEstimator) and found.value_type == ValueEstimators.TD0
    assert found.gamma is loss.gamma and found.lmbda is loss.lmbda
    with pytest.raises(TypeError, match=r"SmallLoss: .*got lmbda"):
        loss.make_value_estimator(ValueEstimators.TD0, lmbda=0.5)
    loss.gamma = 0.125  # may be scheduled
    assert isinstance(loss.gamma, torch.Tensor) and loss.gamma == 0.125


def test_the_output_is_losses_and_detached_diagnostics():
    loss, given = discrete(linear_mixer()), data()
    out = loss(given)
    assert list(out.keys()) == loss.out_keys
    assert set(loss.out_keys) == {"loss_qvalue", "td_error", "global_qvalue", "mixer_weight"}
    assert out["loss_qvalue"].requires_grad
    assert not any(value.requires_grad for key, value in out.items() if key != "loss_qvalue")
    assert given["td_error"].shape == (2, 1)
    loss.out_keys = ["own"]
    assert loss.out_keys == ["own"]


def test_names_of_outputs_follow_set_keys():
    loss = discrete()
    assert "global_qvalue" in loss.out_keys
    loss.set_keys(global_qvalue="total")
    assert "total" in loss.out_keys and "global_qvalue" not in loss.out_keys


def test_a_view_is_read_as_it_is():
    loss = discrete()
    view = loss.view(data())
    assert isinstance(view, TeamView) and loss.view(view) is view


def test_a_loss_without_td_terms_writes_no_priority():
    class Cloning(SmallLoss):
        terms = ("actor",)

        def actor_loss(self, given):
            batch_view = self.view(given)
            return batch_view.reduce(-batch_view.log_prob)

    given = data()
    loss = Cloning(actor_network=discrete().actor_network)
    assert set(loss(given).keys()) == {"loss_actor", "entropy"} and "td_error" not in given
