"""What the tests of ICQ share: sizes, networks, and a behaviour model without chance."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from omiga_torchrl.algorithms import icq_networks
from omiga_torchrl.modules import ConditionalVAE, categorical_actor
from omiga_torchrl.objectives import ForeachSoftUpdate, ICQLoss
from tests.objectives.contract import CONTINUOUS, LossContract, sequences

MODES = pytest.mark.parametrize(
    "options",
    [{}, {"variant": "official"}, {"weighting": "behaviour"}],
    ids=["paper", "official", "behaviour"],
)


class SteadyVAE(ConditionalVAE):
    """Draws the same noise for every row, so that batches can be compared entry by entry."""

    def _noise(self, shape, like):
        single = torch.linspace(-1, 1, shape[0] * shape[-1], dtype=like.dtype)
        return single.reshape(shape[0], *[1] * (len(shape) - 2), shape[-1]).expand(*shape)


def steady_behaviour(spec, **kwargs):
    return (
        categorical_actor(spec, hidden_sizes=(8,))
        if spec.discrete
        else SteadyVAE(spec, hidden_sizes=(8,), **kwargs)
    )


def make_loss(spec, *, weighting="softmax", variant="paper", **kwargs):
    networks = icq_networks(spec, hidden=(8,), mixer_hidden=(8,), variant=variant)
    behaviour = steady_behaviour(spec) if weighting == "behaviour" else None
    return ICQLoss(
        networks.actor,
        networks.qvalue,
        networks.mixer,
        behaviour_network=behaviour,
        weighting=weighting,
        variant=variant,
        **{"actor_alpha": 0.5, "critic_alpha": 2.0, "td_lambda": 0.6, **kwargs},
    )


def ready(spec=CONTINUOUS, **kwargs):
    loss = make_loss(spec, **kwargs)
    ForeachSoftUpdate(loss, tau=0.5)
    return loss


def one_agent(spec):
    return replace(spec, n_agents=1)


class ICQContract(LossContract):
    """Subclasses name the weighting and the variant, and whether there is one agent."""

    options: dict[str, str] = {}
    single = False

    def fit(self, spec):
        return one_agent(spec) if self.single else spec

    def draw(self, spec, *batch):
        return sequences(spec, *batch)

    @property
    def trained(self):
        critic = {"qvalue_network"} if self.single else {"qvalue_network", "mixer_network"}
        found = {"loss_qvalue": critic, "loss_actor": {"actor_network"}}
        if self.options.get("weighting") == "behaviour":
            found["loss_behaviour"] = {"behaviour_network"}
        return found
