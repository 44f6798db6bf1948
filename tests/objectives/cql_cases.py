"""Sizes, networks and recorders that the tests of losses with a critic of sampled actions share."""

from __future__ import annotations

from dataclasses import replace

from omiga_torchrl.algorithms import CriticConfig, NetworkBuilder
from omiga_torchrl.modules import behavior_model, deterministic_actor
from omiga_torchrl.objectives import CQLLoss, OMARLoss
from omiga_torchrl.objectives.view import TeamView
from tests.objectives.contract import CONTINUOUS

SMALL = {"hidden_sizes": (8,)}


def builder(spec, mixer="linear", critics=2):
    """Networks of one hidden layer with eight units."""
    sizes = {"hidden_sizes": (8,), "mixer_hidden_sizes": (8,)}
    return NetworkBuilder(spec, CriticConfig(**sizes, mixer=mixer, num_qvalue_nets=critics))


def cql_networks(spec, mixer="linear", inverse_temperature=0.0, critics=2):
    build = builder(spec, mixer, critics)
    actor = None if spec.discrete else build.actor()
    qvalue, mixer_network = build.qvalue(), build.mixer()
    return actor, qvalue, mixer_network, behavior_model(spec, **SMALL) if inverse_temperature else None


def make_cql_loss(spec, *, mixer="linear", critics=2, inverse_temperature=0.0, **kwargs):
    *networks, behavior = cql_networks(spec, mixer, inverse_temperature, critics)
    return CQLLoss(
        *networks,
        behavior_network=behavior,
        penalty_inverse_temperature=inverse_temperature,
        **{"num_action_samples": 3, "has_action_mask": spec.masked, **kwargs},
    )


def make_omar_loss(spec, *, mixer="none", **kwargs):
    build, actor = builder(spec, mixer), deterministic_actor(spec, **SMALL)
    return OMARLoss(actor, build.qvalue(), build.mixer(), **{"num_action_samples": 3, **kwargs})


def one_agent(spec):
    return replace(spec, n_agents=1)


def continuous(spec):
    """The same agents with continuous actions."""
    return replace(CONTINUOUS, n_agents=spec.n_agents)


def record_actions(monkeypatch):
    """The first actions that a loss's critics are asked about, by "next", "candidates" and "policy"."""
    actions, original = {}, TeamView.q_at

    def q_at(view, action, **options):
        if view.data is not view.batch.data:
            actions.setdefault("next", action)
        elif action.ndim > view.action.ndim:
            actions.setdefault("candidates", action)
        elif options.get("detach_params"):
            actions.setdefault("policy", action)
        return original(view, action, **options)

    monkeypatch.setattr(TeamView, "q_at", q_at)
    return actions
