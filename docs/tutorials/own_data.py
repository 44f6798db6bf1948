"""# From arrays to a policy

Two carts on a line are to meet in the middle. Somebody has recorded them, half of the episodes with a controller that
does the job and half at random; all we have are arrays. What can be learned from them?
"""

# %%
# The recording: observations `[E, L + 1, N, O]` of E episodes, N agents, with what was seen at the end; actions
# `[E, L, N, A]` in [-1, 1]; one reward for both.
import numpy as np

rng = np.random.default_rng(0)
EPISODES, LENGTH = 200, 15


def observe(position):
    """Every cart sees itself and the other one, `[..., 2, 2]`."""
    return np.stack([position, position[..., ::-1]], axis=-1)


def advance(position, action):
    """Positions after a step, and the reward: close to each other, and to the middle."""
    position = np.clip(position + 0.2 * action, -1, 1)
    return position, -np.abs(position).sum(-1) - np.abs(position[..., 0] - position[..., 1])


def play(controller, episodes):
    """Observations, actions and rewards of some episodes."""
    position = rng.uniform(-1, 1, (episodes, 2))
    seen, done, earned = [observe(position)], [], []
    for _ in range(LENGTH):
        action = controller(seen[-1])
        position, reward = advance(position, action)
        seen.append(observe(position))
        done.append(action[..., None])
        earned.append(reward)
    return np.stack(seen, 1), np.stack(done, 1), np.stack(earned, 1)


good = play(
    lambda seen: np.clip(-3 * seen[..., 0] + rng.normal(0, 0.3, seen.shape[:2]), -1, 1), EPISODES // 2
)
poor = play(lambda seen: rng.uniform(-1, 1, seen.shape[:2]), EPISODES // 2)
observation, action, reward = (
    np.concatenate(pair).astype(np.float32) for pair in zip(good, poor, strict=True)
)
print("observations", observation.shape, "actions", action.shape, "rewards", reward.shape)

# %%
# They become a dataset. No episode is terminated: time ran out, and the carts could have gone on. As every episode has one
# observation more than actions, it is known what came after its last step.
from omiga_torchrl.data import OfflineDataset, check_dataset

over = np.zeros(LENGTH, dtype=bool)
dataset = OfflineDataset.from_arrays(
    list(observation), list(action), list(reward), [over] * EPISODES, name="carts", batch_size=128
)
check_dataset(dataset)
print(dataset.spec)
print("mean return of the data:", dataset.card.behaviour_return)

# %%
# Two algorithms: cloning, and OMIGA. Both get the same data and steps.
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.trainers import OfflineTrainer

torch.manual_seed(0)  # initial weights
policies = {}
for name, options in (("bc", {}), ("omiga", {"alpha": 0.3})):
    algorithm = make_algorithm(name, dataset.spec, hidden_sizes=(64, 64), **options)
    trainer = OfflineTrainer(
        **algorithm.trainer_arguments,
        replay_buffer=dataset,
        total_steps=600,
        lr=2e-3,
        lr_schedule="cosine",
        progress_bar=False,
        seed=0,
    )
    trainer.train()
    policies[name] = algorithm.policy

# %%
# A `TeamPolicy` acts anywhere: as a TensorDict module in environments, and as a function of arrays in the little
# simulation above.
from omiga_torchrl.policies import TeamPolicy


def controller(policy):
    """The policy's most likely actions, as a function of arrays."""
    return lambda seen: policy.act(seen)[0].squeeze(-1)


policies = {name: TeamPolicy(policy, dataset.spec) for name, policy in policies.items()}
returns = {"data": reward.sum(1)}
for name, policy in policies.items():
    returns[name] = play(controller(policy), 200)[2].sum(1)
for name, values in returns.items():
    print(f"{name:6} {values.mean():6.2f}")

# %%
# Cloning does what the data do on average. OMIGA prefers what was better, and leaves the random half behind.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for i, (name, values) in enumerate(returns.items()):
    axes.hist(values, bins=40, range=(-30, 0), histtype="step", density=True, color=f"C{i}", linewidth=1.8)
    axes.plot([], [], color=f"C{i}", label=f"{name}, mean {values.mean():.1f}")
axes.set(xlabel="return of an episode", yticks=[])
axes.legend(frameon=False, loc="upper left")

# %%
# Saved, it is one small file, which `recipes/evaluate.py` and `load_policy` open.
from omiga_torchrl.policies import load_policy, save_policy

save_policy("policy.pt", policies["omiga"])
again = load_policy("policy.pt")
print(
    "the same return:",
    np.isclose(play(controller(again), 200)[2].sum(1).mean(), returns["omiga"].mean(), atol=2),
)

# %%
# **Next**: other forms of data (PettingZoo's dicts, rollouts, agents that come and go) are in
# [Your own data](../own_data.md); how `alpha` is chosen in [Choosing alpha](choosing_alpha.py).
