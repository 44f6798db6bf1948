"""# A loss in 30 lines

Cloning with a filter: clone an action only if a critic says that it is better than what the data do on average there
(the binary indicator of CRR, [arXiv:2006.15134](https://arxiv.org/abs/2006.15134)), here for teams.

    loss_value  = mean (Qbar_i - V_i)^2
    loss_qvalue = mean (Q_tot - r - gamma (1 - terminated) V_tot(s'))^2
    loss_actor  = - mean 1(w_i (Qbar_i - V_i) > 0) log pi_i(a_i | o_i)
"""

# %%
# A loss is a final class on `TeamLoss`: its terms, its networks, one method a term. A method asks for a view of the batch
# and reads like its equation; masks, absent agents, mixers, memories and targets are settled there.
from omiga_torchrl.objectives import TeamLoss


class FilteredCloningLoss(TeamLoss):
    """Cloning of actions that are better than average."""

    terms = ("value", "qvalue", "actor")

    def __init__(self, actor_network, qvalue_network, value_network, mixer_network=None, **kwargs):
        super().__init__(**kwargs)
        self.add_network("qvalue_network", qvalue_network, target=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network)
        self.add_network("value_network", value_network, at_next=True)

    def value_loss(self, data):
        batch = self.view(data)
        return batch.expectile_loss(batch.target.q_min, batch.v, 0.5)

    def qvalue_loss(self, data):
        batch = self.view(data)
        return batch.td_loss(batch.q_tot, batch.td_target(batch.next.target.mix(batch.next.v)))

    def actor_loss(self, data):
        batch = self.view(data)
        better = batch.weighted(batch.target.q_min - batch.v.detach()) > 0
        return batch.reduce(-(better * batch.log_prob))


# %%
# An algorithm is a config and a function that builds networks for a task. `register_algorithm` gives it a name, checks of
# its arguments, and a place in all recipes.
from dataclasses import dataclass

from omiga_torchrl.algorithms import CriticConfig, NetworkBuilder, make_algorithm, register_algorithm


@dataclass(frozen=True, kw_only=True)
class FilteredCloningConfig(CriticConfig):
    """No arguments besides those of every critic."""


@register_algorithm("filtered_cloning", FilteredCloningConfig)
def make_filtered_cloning(spec, config):
    """Filtered cloning."""
    build = NetworkBuilder(spec, config)
    actor, qvalue, value, mixer = build.actor(), build.qvalue(), build.value(), build.mixer()
    loss = FilteredCloningLoss(actor, qvalue, value, mixer, **config.loss_arguments(FilteredCloningLoss))
    groups = {"actor": [actor], "qvalue": [qvalue] + ([mixer] if mixer else []), "value": [value]}
    return build.algorithm(actor, loss, groups)


# %%
# It works for every kind of team: continuous or discrete, with masks, as sequences, recurrent.
from omiga_torchrl.specs import TeamSpec

continuous = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
discrete = TeamSpec(n_agents=3, observation_size=5, action_size=4, state_size=7, discrete=True, masked=True)
for spec, options, batch in (
    (continuous, {}, (8,)),
    (discrete, {"mixer": "qmix"}, (8,)),
    (continuous, {"rnn_hidden_size": 16}, (4, 6)),
):
    out = make_algorithm("filtered_cloning", spec, hidden_sizes=(16,), **options).loss(
        spec.fake_batch(*batch)
    )
    print({key: round(value.item(), 2) for key, value in out.items() if key.startswith("loss_")})

# %%
# Train it on bundled data beside cloning.
import torch

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.trainers import OfflineTrainer

dataset = OfflineDataset("vmas/navigation/mixed", batch_size=128)
env = make_env("vmas/navigation", num_envs=40, seed=0)
torch.manual_seed(0)  # initial weights
returns = {}
for name in ("bc", "filtered_cloning"):
    algorithm = make_algorithm(name, dataset.spec, hidden_sizes=(64, 64))
    OfflineTrainer(
        **algorithm.trainer_arguments,
        replay_buffer=dataset,
        total_steps=1500,
        lr=2e-3,
        lr_schedule="cosine",
        progress_bar=False,
        seed=0,
    ).train()
    returns[name] = evaluate(algorithm.policy, env, episodes=40, seed=0).returns.numpy()
    print(f"{name:17} {returns[name].mean():.2f}   (data: {dataset.card.behaviour_return['mean']:.2f})")

# %%
import matplotlib.pyplot as plt
import numpy as np

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for name, values in returns.items():
    axes.step(np.sort(values), np.linspace(0, 1, len(values)), where="post")
    axes.annotate(name, (np.median(values), 0.5), xytext=(6, -4), textcoords="offset points")
axes.set(xlabel="return of an episode", ylabel="share of episodes below")

# %%
# Before it is believed, a loss should pass the tests that all others do: that padding and absent agents change nothing,
# that each term trains its own networks only, that it compiles, vmaps and is finite in low precision. In a test file:
#
# ```python notest
# from omiga_torchrl.testing import LossContract
#
#
# class TestFilteredCloning(LossContract):
#     make = staticmethod(lambda spec, **kwargs: make_algorithm("filtered_cloning", spec, hidden_sizes=(8,), **kwargs).loss)
#     trained = {
#         "loss_value": {"value_network"},
#         "loss_qvalue": {"qvalue_network", "mixer_network"},
#         "loss_actor": {"actor_network"},
#     }
# ```
#
# [Adding an algorithm](../adding_algorithms.md) says what else one needs that is here to stay.
