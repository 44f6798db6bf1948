"""What the tests of CQL and OMAR share: sizes and networks."""

from __future__ import annotations

from dataclasses import replace

from omiga_torchrl.algorithms.common import make_mixer, qvalue_ensemble
from omiga_torchrl.modules import behaviour_model, deterministic_actor, make_actor
from omiga_torchrl.objectives.cql import CQLLoss
from omiga_torchrl.objectives.omar import OMARLoss
from tests.objectives.contract import CONTINUOUS

SMALL = {"hidden_sizes": (8,)}


def cql_networks(spec, mixer="linear", share_sharpness=0.0, critics=2):
    actor = None if spec.discrete else make_actor(spec, **SMALL)
    qvalue, mixing = qvalue_ensemble(spec, critics, **SMALL), make_mixer(spec, mixer, (8,))
    return actor, qvalue, mixing, behaviour_model(spec, **SMALL) if share_sharpness else None


def make_cql_loss(spec, *, mixer="linear", critics=2, share_sharpness=0.0, **kwargs):
    *networks, behaviour = cql_networks(spec, mixer, share_sharpness, critics)
    return CQLLoss(
        *networks,
        behaviour_network=behaviour,
        share_sharpness=share_sharpness,
        masked=spec.masked,
        **{"samples": 3, **kwargs},
    )


def make_omar_loss(spec, *, mixer="none", **kwargs):
    actor, qvalue = deterministic_actor(spec, **SMALL), qvalue_ensemble(spec, 2, **SMALL)
    return OMARLoss(actor, qvalue, make_mixer(spec, mixer, (8,)), **{"samples": 3, **kwargs})


def one_agent(spec):
    return replace(spec, n_agents=1)


def continuous(spec):
    """The same agents with continuous actions."""
    return replace(CONTINUOUS, n_agents=spec.n_agents)
