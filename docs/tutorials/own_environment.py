"""# An environment of your own

A game in PettingZoo's parallel interface becomes a task: data are recorded in it, and policies are judged in it.
"""

# %%
# The game: two agents on a ring of eight fields are to stand on the same one. Each sees both places, and steps left,
# right, or not at all. It ends when they meet (terminated) or after ten steps (truncated).
import numpy as np
from gymnasium.spaces import Box, Discrete

FIELDS = 8


class Meeting:
    """PettingZoo's parallel interface; no base class is needed."""

    possible_agents = ["red", "blue"]
    rng = np.random.default_rng()

    def observation_space(self, agent):
        return Box(-1, 1, (4,), np.float32)

    def action_space(self, agent):
        return Discrete(3)

    def _observations(self):
        angle = {agent: 2 * np.pi * place / FIELDS for agent, place in self.place.items()}
        point = {agent: [np.cos(a), np.sin(a)] for agent, a in angle.items()}
        return {
            "red": np.array(point["red"] + point["blue"], np.float32),
            "blue": np.array(point["blue"] + point["red"], np.float32),
        }

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.place = {agent: int(self.rng.integers(FIELDS)) for agent in self.possible_agents}
        self.steps, self.agents = 0, list(self.possible_agents)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions):
        for agent, action in actions.items():
            self.place[agent] = (self.place[agent] + int(action) - 1) % FIELDS
        self.steps += 1
        met = self.place["red"] == self.place["blue"]
        late = self.steps == 10
        out = (
            self._observations(),
            dict.fromkeys(actions, 1.0 if met else -0.1),
            dict.fromkeys(actions, met),
            dict.fromkeys(actions, late and not met),
            {agent: {} for agent in actions},
        )
        if met or late:
            self.agents = []
        return out


# %%
# `register_env` makes it a task by name. It is built, reset and stepped at once, and everything that is not as it has to be
# is named in one message.
from omiga_torchrl.envs import from_pettingzoo, make_env, register_env

register_env("ring", lambda name, **options: from_pettingzoo(Meeting, **options))
env = make_env("ring/meeting", num_envs=10, seed=0)
print(env.rollout(3)["next", "reward"].squeeze(-1)[0])

# %%
# Data: 60 rollouts of random actions. A rollout of TorchRL is a TensorDict, and rollouts are a dataset.
import torch

from omiga_torchrl.data import OfflineDataset

torch.manual_seed(0)
rollouts = [env.rollout(30, break_when_any_done=False) for _ in range(20)]
dataset = OfflineDataset.from_rollouts(
    rollouts, batch_size=128, n_actions=3, card={"task": "ring/meeting", "tier": "random"}
)
print(
    len(dataset),
    "steps,",
    dataset.card.episodes,
    "episodes, mean return",
    dataset.card.behaviour_return["mean"],
)

# %%
# Train, and judge in the same task. Random play is all that the data have; what is learned is in their rewards.
from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.trainers import OfflineTrainer

results = {}
for name, options in (("bc", {}), ("omiga", {"alpha": 0.2}), ("cql", {})):
    algorithm = make_algorithm(name, dataset.spec, hidden_sizes=(64, 64), **options)
    OfflineTrainer(
        **algorithm.trainer_arguments,
        replay_buffer=dataset,
        total_steps=400,
        lr=2e-3,
        progress_bar=False,
        seed=0,
    ).train()
    results[name] = evaluate(algorithm.policy, env, episodes=100, seed=1)
    print(
        f"{name:6} return {results[name].mean_return:5.2f}, met in {results[name].terminated.float().mean():.0%}"
    )

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.boxplot([result.returns.numpy() for result in results.values()], orientation="horizontal")
axes.set_yticks(range(1, len(results) + 1), list(results))
axes.axvline(dataset.card.behaviour_return["mean"], color="grey", linestyle=":")
axes.set(xlabel="return of an episode (dotted: mean of the data)")
axes.invert_yaxis()

# %%
# From the command line: put the class and the call of `register_env` in `my_game.py`, save the data with
# `write_recording`, and every recipe knows the task: `imports=[my_game] task=ring/meeting`. Gymnasium's and TorchRL's
# environments take the same three lines: [Environments of your own](../own_environments.md).
