from __future__ import annotations

import inspect
import warnings
from functools import partial

import pytest

from omiga_torchrl import modules
from omiga_torchrl.modules.candidate_policy import CandidatePolicy, supported_action_policy
from omiga_torchrl.modules.coupled_mixer import CoupledCredit, CreditWeights
from omiga_torchrl.specs import TeamSpec

SPEC, DISCRETE = TeamSpec(3, 5, 2, 7), TeamSpec(3, 5, 4, 7, discrete=True)
NETWORK = {"hidden": "hidden_sizes", "share_parameters": "share_params", "recurrent": "rnn_hidden_size"}
VALUES = {"hidden": (8,), "share_parameters": False, "recurrent": 6, "members": 2, "latent_limit": 0.5}
RENAMED = {
    partial(modules.AgentMLP, 5, 1, 3): {"hidden", "share_parameters"},
    partial(modules.agent_network, SPEC, 1, "out"): {*NETWORK, "members"},
    partial(modules.qvalue_network, SPEC): {*NETWORK, "members"},
    partial(modules.qvalue_ensemble, SPEC, 2): set(NETWORK),
    partial(modules.value_network, SPEC): set(NETWORK),
    partial(modules.perturbation_network, SPEC, 0.05): set(NETWORK),
    partial(modules.make_mixer, SPEC, "linear"): {"hidden"},
    partial(modules.deterministic_actor, SPEC): set(NETWORK),
    partial(modules.tanh_gaussian_actor, SPEC): set(NETWORK),
    partial(modules.categorical_actor, DISCRETE): set(NETWORK),
    partial(modules.make_actor, SPEC): set(NETWORK),
    partial(modules.behaviour_model, DISCRETE): set(NETWORK),
    partial(modules.behaviour_model, SPEC): {"hidden", "latent_limit"},
    partial(modules.ConditionalVAE, SPEC): {"hidden", "share_parameters", "latent_limit"},
    partial(modules.LinearMixer, 3, 7): {"hidden"},
    partial(CreditWeights, SPEC): {"hidden"},
    partial(CoupledCredit, SPEC): {"hidden"},
}


@pytest.mark.parametrize("make", RENAMED, ids=lambda make: make.func.__name__)
def test_old_names_of_arguments_work_and_warn_of_the_line_that_calls(make):
    for name in sorted(RENAMED[make]):
        with pytest.warns(DeprecationWarning, match=f"{name!r} is now") as caught:
            make(**{name: VALUES[name]})
        assert {warning.filename for warning in caught} == {__file__} and len(caught) == 1


def test_an_old_name_does_what_the_new_one_does():
    with pytest.warns(DeprecationWarning):
        network = modules.agent_network(SPEC, 1, "out", hidden=(8,), recurrent=6, members=2)
    assert str(network) == str(
        modules.agent_network(SPEC, 1, "out", hidden_sizes=(8,), rnn_hidden_size=6, ensemble_size=2)
    )


def test_old_and_new_name_together_are_refused():
    with pytest.raises(
        TypeError, match=r"AgentMLP: argument 'hidden' must be left out beside 'hidden_sizes'"
    ):
        modules.AgentMLP(5, 1, 3, hidden=(8,), hidden_sizes=(8,))


def test_a_line_is_warned_of_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            modules.LinearMixer(3, 7, hidden=(8,))
    assert len(caught) == 1


def test_policies_among_supported_actions_take_the_old_name_of_their_model():
    critics, model = modules.qvalue_ensemble(DISCRETE, 2), modules.behavior_model(DISCRETE)
    with pytest.warns(DeprecationWarning, match="'behaviour_network' is now 'behavior_network'"):
        supported_action_policy(critics, behaviour_network=model)
    with pytest.warns(DeprecationWarning, match="'behaviour_network' is now 'behavior_network'"):
        CandidatePolicy(behaviour_network=modules.ConditionalVAE(SPEC), qvalue_network=critics)


def test_old_names_of_things_are_the_things():
    from omiga_torchrl.modules import behaviour_models

    assert modules.NormalisedMixer is modules.NormalizedMixer
    assert behaviour_models.ConditionalVAE is modules.ConditionalVAE
    assert "hidden_sizes" in inspect.signature(modules.LinearMixer).parameters
