"""Every mode of `BCQLoss` is held to the contract."""

from __future__ import annotations

from dataclasses import replace

from tests.objectives.bcq_cases import build, networks
from tests.objectives.contract import CONTINUOUS, DISCRETE, LossContract


class TestMixed(LossContract):
    samples = True
    mixer = "linear"
    kind = CONTINUOUS
    options: dict[str, str] = {}
    trained = {
        "loss_qvalue": {"qvalue_network", "mixer_network"},
        "loss_actor": {"actor_network"},
        "loss_behavior": {"behavior_network"},
    }

    def fit(self, spec):  # its terms depend on the kind of actions
        return self.kind

    @classmethod
    def make(cls, spec, **kwargs):
        return build(networks(spec, cls.mixer), **cls.options, **kwargs)


class TestIndependent(TestMixed):
    mixer = "none"
    team_terms = set()
    trained = {**TestMixed.trained, "loss_qvalue": {"qvalue_network"}}


class TestOneAgent(TestIndependent):
    kind = replace(CONTINUOUS, n_agents=1)


class TestDiscrete(TestMixed):
    kind = DISCRETE
    trained = {key: TestMixed.trained[key] for key in ("loss_qvalue", "loss_behavior")}

    def draw(self, spec, *batch):
        return replace(self.kind, n_agents=spec.n_agents).fake_batch(*batch)


class TestDiscreteIndependent(TestDiscrete):
    mixer = "none"
    team_terms = set()
    trained = {**TestDiscrete.trained, "loss_qvalue": {"qvalue_network"}}


class TestDiscreteOneAgent(TestDiscreteIndependent):
    kind = replace(DISCRETE, n_agents=1)


class TestMonotonic(TestMixed):
    mixer = "qmix"


class TestDiscreteMonotonic(TestDiscrete):
    mixer = "qmix"
