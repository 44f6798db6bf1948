"""Every mode of `CQLLoss` is held to the contract."""

from __future__ import annotations

from dataclasses import replace

from tests.objectives.contract import CONTINUOUS, DISCRETE, LossContract
from tests.objectives.cql_cases import continuous, make_cql_loss, one_agent


class _Contract(LossContract):
    """``spec`` decides whether there is an actor: continuous teams and discrete ones by turns."""

    options: dict[str, object] = {}
    team_terms = {"loss_qvalue", "loss_cql"}
    samples = True
    unused_parameters = {
        "loss_cql": ("bias_head", "body.2.bias", "state_value.2.bias")
    }  # what is added to all values cancels

    @classmethod
    def make(cls, spec, **kwargs):
        return make_cql_loss(spec, **cls.options, **kwargs)

    def fit(self, spec):
        return continuous(spec)

    @property
    def trained(self):
        critic = {"qvalue_network"}
        if self.options.get("mixer") != "none":
            critic.add("mixer_network")
        found = {"loss_qvalue": critic, "loss_cql": critic, "loss_actor": {"actor_network"}}
        return found | (
            {"loss_behavior": {"behavior_network"}} if "inverse_temperature" in self.options else {}
        )


class _Discrete(_Contract):
    def fit(self, spec):
        return DISCRETE

    def draw(self, spec, *batch):
        return super().draw(replace(DISCRETE, n_agents=spec.n_agents), *batch)

    @property
    def trained(self):
        return {key: value for key, value in super().trained.items() if key != "loss_actor"}


class TestContinuous(_Contract):
    pass


class TestContinuousShares(_Contract):
    options = {"inverse_temperature": 0.5}


class TestContinuousJoint(_Contract):
    options = {"penalty": "joint"}


class TestContinuousOfficial(_Contract):
    options = {"variant": "official"}
    team_terms = {"loss_qvalue", "loss_cql", "loss_actor"}
    unused_parameters = {"loss_cql": ("body.2.bias",)}  # n - 1 biases of the mixer are left over


class TestContinuousIndependent(_Contract):
    options = {"mixer": "none"}
    team_terms = set()


class TestContinuousOneAgent(TestContinuousIndependent):
    def fit(self, spec):
        return one_agent(CONTINUOUS)


class TestDiscrete(_Discrete):
    pass


class TestDiscreteShares(_Discrete):
    options = {"inverse_temperature": -0.5}


class TestDiscreteJoint(_Discrete):
    options = {"penalty": "joint"}


class TestDiscreteIndependent(_Discrete):
    options = {"mixer": "none"}
    team_terms = set()


class TestContinuousMonotonic(_Contract):
    options = {"mixer": "qmix", "inverse_temperature": 0.5}


class TestDiscreteMonotonic(_Discrete):
    options = {"mixer": "qmix", "penalty": "joint"}
