"""# From runs to a policy in use

Training has left checkpoints of several runs. Which one is to be used, if there is no environment to try them in? How does
it get to a machine without PyTorch? And what if there is an environment in the end?
"""

# %%
# Two algorithms, and three checkpoints of each. They are evaluated here, so that the choice can be judged below; with
# `task=null` there is no environment at all, as with data of your own.
import shlex

from omiga_torchrl.cli import main

QUIET = ["hydra.job_logging.root.level=WARNING", "hydra/hydra_logging=none"]


def recipe(command):
    """Run a recipe as the command line does, `python -m omiga_torchrl run ...`, without its log."""
    main(["run", *shlex.split(command), *QUIET])


recipe("""
    train -m algorithm=iql,td3_bc out=runs/mine
    trainer.steps=600 trainer.keep_checkpoints=3 trainer.progress_bar=false
    evaluation.interval=200 evaluation.episodes=50 evaluation.final_episodes=50
""")

# %%
# **Choosing.** Fitted-Q evaluation asks the data what each policy would earn, several times; coverage asks whether the data
# know what it does. Candidates are ranked by the lower end of their interval, as a policy that leaves the data gets values
# that are too high and uncertain.
recipe("""
    select_policy runs=runs/mine critics=[linear]
    fqe.steps=400 fqe.behavior_steps=800 fqe.seeds=3
""")

# %%
# A ranking is not to be believed because it is one. Here there is an environment to compare it with: the medians of returns
# that it did not read are on the right. (A mean of fifty episodes would mostly count the collisions in a few of them.)
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from omiga_torchrl.report import load_runs

selection = json.loads(Path("runs/mine/selection/selection.json").read_text())
returns = {
    f"{run.path.name}@{one.step}": np.median(one.returns)
    for run in load_runs("runs/mine")
    for one in run.evaluations
    if one.label != "best"
}
ranked = [one for one in selection["policies"] if one["values"]]  # others have too little coverage
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for row, policy in enumerate(ranked):
    values = policy["values"]["linear"]
    axes.plot([min(values), max(values)], [row, row], color="#9aa5b1")
    axes.plot(np.mean(values), row, "o", color="#2563eb")
    axes.text(1.02, row, f"{returns[policy['name']]:.2f}", transform=axes.get_yaxis_transform(), va="center")
axes.set(
    xlabel="fitted value: mean and range over seeds",
    yticks=range(len(ranked)),
    yticklabels=[f"{one['run'].rpartition('/')[2].split('__')[0]}, step {one['step']}" for one in ranked],
)
axes.invert_yaxis()
axes.text(1.02, 1.03, "return", transform=axes.transAxes)
print("chosen:", selection["chosen"])

# %%
# What leaves the data gets values that its seeds do not agree on, and comes last. Among policies that stay close to the data
# such short fits tell little, and the warning above says so: the defaults fit five times as long, in some minutes. What a
# ranking is worth, and when it warns: [Selection](../selection.md).
#
# **Exporting.** ONNX needs numpy and onnxruntime where it is used: no PyTorch, no TorchRL, nothing of this library.
# Scaling of observations and the bounds of actions are inside. Beside the program there is a page for a model hub.
recipe("export_policy policy=runs/mine/selection/chosen format=onnx license=mit out=exported/chosen")
print(sorted(path.name for path in Path("exported/chosen").iterdir()))

# %%
# These lines are all that the other machine runs:
import onnxruntime

session = onnxruntime.InferenceSession("exported/chosen/policy.onnx")
card = json.loads(Path("exported/chosen/card.json").read_text())
for port in (*card["inputs"], *card["outputs"]):
    print(port["name"], port["shape"], port["dtype"])

observation = np.random.default_rng(0).normal(size=(5, 3, 18)).astype(np.float32)
(action,) = session.run(["action"], {"observation": observation})

# %%
# The same actions as here:
from omiga_torchrl.policies import load_policy

expected, _ = load_policy("runs/mine/selection/chosen", mode="deterministic").act(observation)
print(f"largest difference: {np.abs(action - expected).max():.1e}")

# %%
# **Fine-tuning.** With an environment the policy goes on learning, half of every batch from the data and half from what it
# does now. The first evaluation is the policy as it came.
recipe("""
    finetune policy=runs/mine/iql__vmas-navigation__mixed__seed0 out=runs/finetune
    trainer.steps=600 trainer.progress_bar=false
    evaluation.interval=100 evaluation.episodes=50 evaluation.final_episodes=50
""")
(run,) = load_runs("runs/finetune")
curve = run.labelled("training")
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for low, high in ((25, 75), (10, 90)):
    band = [np.percentile(one.returns, (low, high)) for one in curve]
    axes.fill_between([one.step for one in curve], *np.transpose(band), color="#2563eb", alpha=0.15, lw=0)
axes.plot([one.step for one in curve], [np.median(one.returns) for one in curve], color="#2563eb")
axes.set(xlabel="steps of fine-tuning", ylabel="return: median, 50 and 80%")

# %%
# How exploration, the share of the data and the warm-up are set: [From offline to online](../finetuning.md). How a policy is
# called in a loop of your own, and someone else's is evaluated here: [Policies](../policies.md).
