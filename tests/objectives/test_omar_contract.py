"""Every mode of `OMARLoss` is held to the contract."""

from __future__ import annotations

from tests.objectives.contract import CONTINUOUS, LossContract
from tests.objectives.cql_cases import make_omar_loss, one_agent


class TestIndependent(LossContract):
    samples = True
    team_terms = set()
    trained = {
        "loss_qvalue": {"qvalue_network"},
        "loss_cql": {"qvalue_network"},
        "loss_actor": {"actor_network"},
    }
    unused_parameters = {"loss_cql": ("body.2.bias",)}  # what is added to all values cancels
    options: dict[str, object] = {}

    @classmethod
    def make(cls, spec, **kwargs):
        return make_omar_loss(spec, **cls.options, **kwargs)

    def fit(self, spec):
        return CONTINUOUS


class TestOfficial(TestIndependent):
    options = {"variant": "official"}


class TestMixed(TestIndependent):
    options = {"mixer": "linear", "cem_update": "softmax"}
    team_terms = {"loss_qvalue", "loss_cql"}
    unused_parameters = {"loss_cql": ("body.2.bias", "bias_head", "state_value.2.bias")}
    trained = {
        "loss_qvalue": {"qvalue_network", "mixer_network"},
        "loss_cql": {"qvalue_network", "mixer_network"},
        "loss_actor": {"actor_network"},
    }


class TestOneAgent(TestIndependent):
    def fit(self, spec):
        return one_agent(CONTINUOUS)


class TestMonotonic(TestMixed):
    options = {"mixer": "qmix"}
