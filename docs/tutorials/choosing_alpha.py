"""# Choosing alpha

`alpha` decides how far OMIGA's policy goes from the data's towards what its critic prefers. It has the unit of return.
Two numbers tell where it stands: the effective sample size during training, and the return of evaluations.
"""

# %%
# Bundled data of three policies (bad, medium, good), rewards divided by their standard deviation, which is the default.
from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.trainers import OfflineTrainer

dataset = OfflineDataset("vmas/navigation/mixed", batch_size=128)
env = make_env("vmas/navigation", num_envs=40, seed=0)
print(
    f"returns: data {dataset.card.behaviour_return['mean']:.2f}, best policy {dataset.card.best_checkpoint_return:.2f}"
)

# %%
# A sweep over a factor of a thousand; half as many steps as the presets have, which is enough to see the shape.
import torch

torch.manual_seed(0)  # initial weights


def train(**options):
    """OMIGA after training, and its mean return."""
    algorithm = make_algorithm("omiga", dataset.spec, hidden_sizes=(64, 64), **options)
    OfflineTrainer(
        **algorithm.trainer_arguments,
        replay_buffer=dataset,
        total_steps=1500,
        lr=2e-3,
        lr_schedule="cosine",
        progress_bar=False,
        seed=0,
    ).train()
    return algorithm, evaluate(algorithm.policy, env, episodes=40, seed=0).mean_return


rows = []
for alpha in (30.0, 3.0, 1.0, 0.3, 0.03):
    algorithm, mean = train(alpha=alpha)
    out = algorithm.loss(dataset.sample(128))
    rows.append((alpha, out["effective_sample_size"].item(), out["clip_fraction"].item(), mean))
    print("alpha {:5}: effective sample size {:.2f}, clipped {:.2f}, return {:5.2f}".format(*rows[-1]))

# %%
# Large: every weight is 1, and this is cloning. Small: few transitions have all the weight, and the policy follows what the
# critic gets wrong. In between there is a broad best range, mostly with an effective sample size of 0.3 to 0.9.
import matplotlib.pyplot as plt

alphas, sizes, clipped, returns = zip(*rows, strict=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(alphas, sizes, marker="o")
left.plot(alphas, clipped, marker="o", color="C1")
left.annotate(
    "effective sample size", (alphas[1], sizes[1]), xytext=(-20, -18), textcoords="offset points", color="C0"
)
left.annotate(
    "share clipped", (alphas[-1], clipped[-1]), xytext=(8, 8), textcoords="offset points", color="C1"
)
left.set(xscale="log", xlabel="alpha", ylim=(-0.05, 1.05))
right.plot(alphas, returns, marker="o", color="C2")
right.axhline(dataset.card.behaviour_return["mean"], color="grey", linestyle=":")
right.annotate(
    "mean of the data",
    (0.03, dataset.card.behaviour_return["mean"]),
    xytext=(0, 4),
    textcoords="offset points",
)
right.set(xscale="log", xlabel="alpha", ylabel="return")

# %%
# `alpha="auto"` moves alpha until the effective sample size is as asked for. It is a first guess that needs no unit.
algorithm, mean = train(alpha="auto", target_effective_sample_size=0.5)
print(f"alpha {algorithm.loss.alpha.item():.2f}, return {mean:.2f}")

# %%
# In earnest: `python recipes/train.py -m algorithm.alpha=0.3,1,3 seed=0,1,2 out=runs/alpha`, then
# `python recipes/report.py runs=runs/alpha`. Choose by returns of a few seeds; report with others.
# The other algorithms' temperatures, and their units: [Temperatures and alpha](../concepts/temperatures.md).
