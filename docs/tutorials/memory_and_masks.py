"""# A discrete team with memories and masks

Some tasks cannot be solved from what is seen now, and some actions are not always legal. Both are entries of the data
and options of the algorithm; no loss has to know.
"""

# %%
# A game of memory. In the first step each of two agents sees one of two signs; for four steps there is nothing to see, and
# waiting is all that is legal; in the last step each says a sign, and the team wins if both are right. The data are of
# random play: a quarter of the episodes is won.
import numpy as np
import torch

rng = np.random.default_rng(0)
EPISODES, LENGTH = 400, 5


def first_observations(episodes):
    """Signs `[E, N]`, and what is seen of them `[E, N, 3]`: the sign as one-hot, and the time left."""
    signs = rng.integers(2, size=(episodes, 2))
    return signs, np.concatenate([np.eye(2)[signs], np.ones((episodes, 2, 1))], -1)


def later_observation(episodes, step):
    """Only the time left is seen."""
    return np.concatenate([np.zeros((episodes, 2, 2)), np.full((episodes, 2, 1), 1 - step / LENGTH)], -1)


def legal(step):
    """Legal actions `[K]`: wait before the last step, then one of two signs."""
    return np.array([False, True, True]) if step == LENGTH - 1 else np.array([True, False, False])


signs, seen = first_observations(EPISODES)
observation = np.stack([seen] + [later_observation(EPISODES, t) for t in range(1, LENGTH + 1)], 1)
action = np.zeros((EPISODES, LENGTH, 2), dtype=np.int64)
action[:, -1] = rng.integers(1, 3, size=(EPISODES, 2))
won = (action[:, -1] == signs + 1).all(-1)
reward = np.zeros((EPISODES, LENGTH))
reward[:, -1] = won
mask = np.stack([legal(t) for t in range(LENGTH)] + [legal(0)])
mask = np.broadcast_to(mask[:, None], (LENGTH + 1, 2, 3))
end = np.arange(LENGTH) == LENGTH - 1
print(f"won: {won.mean():.0%} of {EPISODES} episodes")

# %%
# `slice_len` gives slices of episodes instead of transitions: networks with a memory need them. Slices that begin or
# end with an episode are padded, and the padding is masked everywhere.
from omiga_torchrl.data import OfflineDataset

dataset = OfflineDataset.from_arrays(
    list(observation.astype(np.float32)),
    list(action),
    list(reward),
    [end] * EPISODES,
    action_mask=[mask] * EPISODES,
    batch_size=160,
    slice_len=LENGTH,
)
batch = dataset.sample()
print(dataset.spec)
print("actions", tuple(batch["agents", "action"].shape), "masks", tuple(batch["agents", "action_mask"].shape))

# %%
# The same algorithm without and with a memory. OMIGA weighs actions by values of single agents: of the episodes that were
# won, and those that were half right.
from tensordict import TensorDict
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import set_recurrent_mode

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.trainers import OfflineTrainer


def train(**options):
    """A policy."""
    algorithm = make_algorithm("omiga", dataset.spec, hidden_sizes=(32,), alpha=0.2, **options)
    OfflineTrainer(
        **algorithm.trainer_arguments,
        replay_buffer=dataset,
        total_steps=400,
        lr=3e-3,
        progress_bar=False,
        seed=0,
    ).train()
    return algorithm.policy


@torch.no_grad()
def share_won(policy, episodes=500):
    """Plays whole episodes as one sequence, since nothing that is seen depends on actions."""
    signs, seen = first_observations(episodes)
    sequence = np.stack([seen] + [later_observation(episodes, t) for t in range(1, LENGTH)], 1)
    is_init = torch.zeros(episodes, LENGTH, 1, dtype=torch.bool)
    is_init[:, 0] = True
    entries = {
        ("agents", "observation"): torch.as_tensor(sequence, dtype=torch.float32),
        ("agents", "action_mask"): torch.as_tensor(mask[:LENGTH].copy()).expand(episodes, -1, -1, -1),
        "is_init": is_init,
        # Agents with a memory also read what they did last; -1: nothing yet. Until the last step they wait.
        ("agents", "last_action"): torch.as_tensor([-1] + [0] * (LENGTH - 1))[:, None].expand(
            episodes, LENGTH, 2
        ),
    }
    # Whole sequences, as losses read them; in an environment, networks go step by step.
    with set_recurrent_mode(True), set_exploration_type(ExplorationType.DETERMINISTIC):
        said = policy(TensorDict(entries, [episodes, LENGTH]))["agents", "action"][:, -1].numpy()
    return (said == signs + 1).all(-1).mean()


results = {"random play": won.mean()}
results["without memory"] = share_won(train())
results["with memory"] = share_won(train(rnn_hidden_size=32))
for name, share in results.items():
    print(f"{name:15} {share:.0%} won")

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 2.2), layout="constrained")
axes.barh(list(results), list(results.values()), color=["#9aa5b1", "#9aa5b1", "#2563eb"])
axes.set(xlim=(0, 1), xlabel="share of episodes won")
axes.invert_yaxis()

# %%
# From the command line the same is `algorithm.rnn_hidden_size=32 algorithm.slice_len=5`. In long episodes slices are shorter
# than an episode: `burn_in` steps then fill the memories and have no terms. In an environment the memory is carried from
# step to step; `evaluate` sees to it. What is masked, and how: [Keys and shapes](../concepts/keys.md).
