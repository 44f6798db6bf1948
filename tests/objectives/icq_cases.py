"""What the tests of ICQ share: sizes, networks, and a behavior model without chance."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from omiga_torchrl.algorithms import icq_networks
from omiga_torchrl.modules import ConditionalVAE, categorical_actor
from omiga_torchrl.objectives import ForeachSoftUpdate, ICQLoss
from omiga_torchrl.testing import CONTINUOUS, LossContract, sequences

MODES = pytest.mark.parametrize(
    "options",
    [{}, {"variant": "official"}, {"partition_estimate": "behavior"}],
    ids=["paper", "official", "behavior"],
)


class SteadyVAE(ConditionalVAE):
    """Draws the same noise for every row, so that batches can be compared entry by entry."""

    def _noise(self, shape, like):
        single = torch.linspace(-1, 1, shape[0] * shape[-1], dtype=like.dtype, device=like.device)
        return single.reshape(shape[0], *[1] * (len(shape) - 2), shape[-1]).expand(*shape)


def steady_behavior(spec, **kwargs):
    return (
        categorical_actor(spec, hidden_sizes=(8,))
        if spec.discrete
        else SteadyVAE(spec, hidden_sizes=(8,), **kwargs)
    )


def make_loss(spec, *, partition_estimate="batch", variant="paper", mixer="auto", **kwargs):
    networks = icq_networks(spec, hidden_sizes=(8,), mixer_hidden_sizes=(8,), variant=variant, mixer=mixer)
    behavior = steady_behavior(spec) if partition_estimate == "behavior" else None
    return ICQLoss(
        networks.actor,
        networks.qvalue,
        networks.mixer,
        behavior_network=behavior,
        partition_estimate=partition_estimate,
        variant=variant,
        **{"policy_temperature": 0.5, "critic_temperature": 2.0, "td_lambda": 0.6, **kwargs},
    )


def ready(spec=CONTINUOUS, **kwargs):
    loss = make_loss(spec, **kwargs)
    ForeachSoftUpdate(loss, tau=0.5)
    return loss


def total(loss, data, *, target=False):
    """Q_tot of the data actions, by calling the networks outside of the loss."""
    with torch.no_grad():
        batch = loss.view(data)
        return (batch.target if target else batch).q_tot.squeeze(-1)


def one_agent(spec):
    return replace(spec, n_agents=1)


class ICQContract(LossContract):
    """Subclasses name the partition estimate, the variant and the mixer, and whether there is one agent."""

    options: dict[str, str] = {}
    single = False

    def fit(self, spec):
        return one_agent(spec) if self.single else spec

    def draw(self, spec, *batch):
        return sequences(spec, *batch)

    @property
    def is_mixed(self):
        return not self.single and self.options.get("mixer") != "none"

    @property
    def team_terms(self):
        return {"loss_qvalue"} if self.is_mixed else set()

    @property
    def trained(self):
        critic = {"qvalue_network", "mixer_network"} if self.is_mixed else {"qvalue_network"}
        found = {"loss_qvalue": critic, "loss_actor": {"actor_network"}}
        if self.options.get("partition_estimate") == "behavior":
            found["loss_behavior"] = {"behavior_network"}
        return found

    def test_multi_step_rewards_are_discounted_by_their_steps(self):
        """They are refused: the next step in the sequence is not the one that they end at."""
        data = self.data(CONTINUOUS, 8)
        data["steps_to_next_obs"] = torch.full((*data.batch_size, 1), 3)
        with pytest.raises(ValueError, match=r"must be of one step.*steps_to_next_obs.*MultiStep"):
            self.build(CONTINUOUS)(data)
