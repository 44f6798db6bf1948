"""Networks that the tests of BCQ share."""

from __future__ import annotations

from omiga_torchrl.modules import behavior_model
from omiga_torchrl.modules.builders import perturbation_network
from omiga_torchrl.objectives import BCQLoss
from tests.objectives.cql_cases import builder


def networks(spec, mixer, critics=2, limit=0.05):
    actor = None if spec.discrete else perturbation_network(spec, limit, hidden_sizes=(8,))
    sampling = {} if spec.discrete else {"max_latent": 0.5}
    behavior, build = behavior_model(spec, hidden_sizes=(8,), **sampling), builder(spec, mixer, critics)
    return actor, build.qvalue(), build.mixer(), behavior


def build(nets, **kwargs):
    return BCQLoss(*nets[:3], behavior_network=nets[3], **kwargs)
