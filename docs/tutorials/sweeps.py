"""# Sweeps, seeds and reports

One run says little: another seed gives another number. This is the way from a question ("is OMIGA better than cloning
here?") to an answer with an interval, on one machine or on many.
"""

# %%
# Everything below is a command line. `recipe` is what `python -m omiga_torchrl run ...` does, without leaving this script.
import shlex

from omiga_torchrl.cli import main

QUIET = ["hydra.job_logging.root.level=WARNING", "hydra/hydra_logging=none"]


def recipe(command):
    """Run a recipe as the command line does, without its log."""
    main(["run", *shlex.split(command), *QUIET])


# %%
# A sweep is `-m` and lists: here two algorithms times three seeds, each run in a folder of its own. What is there already is
# kept, so that the same command goes on after an interruption, and adds seeds later. Any key can be swept, and is then part
# of the names: `algorithm.alpha=0.3,1,3` makes `omiga-alpha-0.3__vmas-navigation__mixed__seed0`, ...
recipe("""
    train -m algorithm=bc,omiga seed=0,1,2 out=runs/sweep existing=keep
    trainer.steps=1200 trainer.batch_size=128 trainer.progress_bar=false
    evaluation.interval=300 evaluation.episodes=25 evaluation.final_episodes=100
""")

from pathlib import Path

for folder in sorted(Path("runs/sweep").glob("*__seed?")):
    print(folder.name)

# %%
# Seeds need not wait for each other. `vectorize=true` trains them as one compiled graph, with the same folders and, up to
# rounding, the same numbers; for small networks on one core several times as fast ([Speed](../speed.md)):
#
# ```bash
# python -m omiga_torchrl run train algorithm=omiga vectorize=true seeds=0,1,2 algorithm.alpha=0.3,3 out=runs/sweep
# ```
#
# The report averages runs that differ in nothing but the seed.
recipe("report runs=runs/sweep")

# %%
# How to read it:
#
# - **final mean** is what to quote: 100 fresh episodes of the last policy, averaged over seeds. **final IQM** leaves out the
#   lowest and highest quarter; with three seeds it can hardly differ.
# - **95% bootstrap** and **95% Student t** are intervals over *seeds*, not over episodes. Of three seeds the first is too
#   narrow, as it knows nothing outside of what it saw; trust the second. If the intervals of two rows overlap, get more
#   seeds before you say which is better.
# - **best in training** is the largest of several noisy numbers, here of 25 episodes each. It is there because papers report
#   it; compare it with nothing but itself.
# - **behaviour** is the mean return of the data, **best behaviour checkpoint** that of the best policy behind them: below
#   the first something is wrong, above the second something was learned that nobody had shown.
#
# `runs/sweep/report` holds the table, the learning curves and the scores. The raw returns of every episode are there as well,
# for pictures of your own: thin lines are seeds.
import matplotlib.pyplot as plt

from omiga_torchrl.report import load_runs

runs = load_runs("runs/sweep")
names = sorted({run.info.algorithm for run in runs})
figure, (left, right) = plt.subplots(
    1, 2, figsize=(8.5, 3), layout="constrained", sharey=True, width_ratios=(3, 1.4)
)
for number, name in enumerate(names):
    seeds = [run for run in runs if run.info.algorithm == name]
    for run in seeds:
        curve = run.labelled("training")
        left.plot([one.step for one in curve], [one.mean_return for one in curve], color=f"C{number}", lw=1)
    right.scatter([number] * len(seeds), [run.final.mean_return for run in seeds], color=f"C{number}")
left.set(xlabel="training step", ylabel="mean return of 25 episodes")
right.set(xticks=range(len(names)), xticklabels=names, xlabel="final, one dot a seed", xlim=(-0.5, 1.5))
left.axhline(runs[0].info.behaviour_return, color="grey", linestyle=":")
left.annotate(
    "mean of the data",
    (0.99, runs[0].info.behaviour_return),
    xycoords=("axes fraction", "data"),
    ha="right",
    va="bottom",
)

# %%
# **Choose and report with different seeds.** The alpha that was best on seeds 0 to 2 is, a little, the one that was lucky
# there. Run it again with other seeds, `seed=10,11,12,13,14 out=runs/final`, and quote these.
#
# **A whole benchmark** is a suite: cells (a task and a kind of data), algorithms, seeds. It records the data, trains,
# evaluates, keeps one record for every run, and ends in a page with profiles and intervals ([Suites](../benchmark.md)):
#
# ```yaml
# # my_suites/suite/mine.yaml
# title: Is it better here?
# train: [trainer=laptop, trainer.steps=3000]
# cells:
#   navigation: { task: vmas/navigation, tiers: [mixed] }
#   balance: { task: vmas/balance, tiers: [mixed, expert], transitions: 30000 }
# algorithms:
#   bc: {}
#   omiga: {}
#   omiga-greedy: { algorithm: omiga, train: [algorithm.alpha=0.3] }
# ```
#
# ```bash
# python -m omiga_torchrl run benchmark --config-dir my_suites suite=mine seeds=[0,1,2,3,4]
# ```
#
# **A cluster** needs a shared folder and nothing else. Every process that is started with the same `out=` takes a run that
# nobody has taken, until none is left; each run is done once, whoever dies in between. With SLURM:
#
# ```bash
# #SBATCH --array=1-16
# srun python -m omiga_torchrl run benchmark --config-dir my_suites suite=mine out=/shared/mine workers=1
# ```
#
# **Next**: what decides whether two runs are the same one: [Runs](../runs.md). Which numbers to report, and how many
# episodes and seeds: [Protocol](../protocol.md).
