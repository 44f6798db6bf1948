"""Train an algorithm on an offline dataset, evaluate it, and record everything.

The launch command and examples are in ``configs/train.yaml``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import hydra
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from omiga_torchrl.algorithms import ALGORITHMS, Algorithm, default_arguments, make_algorithm
from omiga_torchrl.command_line import checked_overrides
from omiga_torchrl.data import READ_OPTIONS, OfflineDataset, check_dataset, check_dataset_fits, check_loss
from omiga_torchrl.evaluation import PolicyFacts, Protocol
from omiga_torchrl.modules import is_censored
from omiga_torchrl.plugins import import_modules
from omiga_torchrl.policies import TeamPolicy, save_policy
from omiga_torchrl.report import RunWriter
from omiga_torchrl.sweeps import mark_sweep, run_job, run_recipe
from omiga_torchrl.trainers import OfflineTrainer
from omiga_torchrl.trainers.best import BestPolicy, Restored
from omiga_torchrl.trainers.dataset_names import dataset_name
from omiga_torchrl.trainers.grids import comma_lists, train_variants
from omiga_torchrl.trainers.loggers import close_logger, open_logger
from omiga_torchrl.trainers.options import SpeedOptions, TrainerOptions
from omiga_torchrl.trainers.precision import CopyOnCPU, use_device
from omiga_torchrl.trainers.runs import evaluation_hook, final_evaluations, open_run, watch_values
from omiga_torchrl.trainers.settings import algorithm_arguments, check_settings

_LOG = logging.getLogger("train")
_EVALUATE = "python -m omiga_torchrl run evaluate"
_CENSORED = "the policy is a censored Gaussian (algorithm.distribution=tanh takes a tanh-Gaussian)"


@dataclass
class TrainConfig(SpeedOptions):
    """Fields of the recipe, besides those of :class:`omiga_torchrl.trainers.options.SpeedOptions`.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        algorithm: group ``algorithm``: arguments of ``make_algorithm``; ``slice_len``, length of slices of
            episodes (null: transitions); ``label``, the run's name in records and reports.
        task: task to evaluate in, e.g. ``vmas/navigation``; null trains without evaluating.
        task_kwargs: arguments of the task, e.g. ``+task_kwargs.layout=omiga``; they go before the card's.
        dataset: tier of a bundled dataset of the task, e.g. ``mixed``; a published dataset, e.g.
            ``omiga:hopper-3x1/medium``; or a dataset's file or folder in any layout.
        read: ``layout`` and the fields of ``omiga_torchrl.data.ReadOptions``; null is the default.
        reward_scale: rewards are divided by it in the data: ``std``, a number, or null.
        normalise_observations: standardise observations and state, in the data and in evaluation.
        allow_duplicates: accept episodes that are copies of others.
        seed: seed of networks, batches and order.
        out: folder of all runs; each run makes its own in it, see docs/runs.md.
        existing: if the run is there already: ``error``; ``keep`` it, or finish it; ``resume``, and refuse
            another run of its name; ``extend`` it to more steps; ``overwrite``.
        data_root: folder of the converted data; null is the user's cache.
        trainer: group ``trainer``.
        evaluation: fields of ``omiga_torchrl.evaluation.Protocol``.
        logger: ``csv``, ``tensorboard``, ``wandb``, ``mlflow``, or null.
        swept: keys of a sweep, which name its runs; the command line writes it.
    """

    imports: list[str] = field(default_factory=list)
    algorithm: dict[str, Any] = MISSING
    task: str | None = "vmas/navigation"
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    dataset: str = "mixed"
    read: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(("layout", *READ_OPTIONS)))
    reward_scale: Any = "std"
    normalise_observations: bool = False
    allow_duplicates: bool = False
    seed: int = 0
    out: str = "runs/train"
    existing: str = "error"
    data_root: str | None = None
    trainer: TrainerOptions = field(default_factory=TrainerOptions)
    evaluation: dict[str, Any] = field(default_factory=lambda: asdict(Protocol()))
    logger: str | None = "csv"
    swept: list[str] = field(default_factory=list)


ConfigStore.instance().store("train_schema", TrainConfig)
for _name in ALGORITHMS:  # presets deviate from an algorithm's defaults
    ConfigStore.instance().store(f"{_name}_defaults", default_arguments(_name), group="algorithm")


def open_dataset(config: TrainConfig) -> OfflineDataset:
    """The dataset that ``config`` names, checked against itself."""
    dataset = OfflineDataset(
        dataset_name(config),
        batch_size=config.trainer.batch_size,
        slice_len=config.algorithm.get("slice_len"),
        root=config.data_root,
        reward_scale=config.reward_scale,
        normalise_observations=config.normalise_observations,
        progress=config.trainer.progress_bar,
        **{name: value for name, value in config.read.items() if value is not None},
    )
    check_dataset(dataset, allow_duplicates=config.allow_duplicates)
    return dataset


def make_trainer(
    config: TrainConfig, parts: Algorithm, dataset: OfflineDataset, run: RunWriter
) -> OfflineTrainer:
    """The trainer of ``parts`` on ``dataset``, with its files in the run's folder."""
    options = {name: value for name, value in vars(config.trainer).items() if name != "cosine_decay"}
    options["save_interval"] = options["save_interval"] or config.evaluation["interval"]
    return OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=dataset,
        total_steps=options.pop("steps"),
        logger=open_logger(config.logger, run, asdict(config)),
        save_dir=run.path / "checkpoints",
        seed=config.seed,
        compile=cast(Any, config.compile),
        precision=cast(Any, config.precision),
        **options,
    )


def prepare(config: TrainConfig) -> tuple[OfflineTrainer | None, Callable[[], float]]:
    """A run's trainer, resumed if ``config`` says so, and what to do after it; no trainer: it is finished."""
    device = use_device(config.device, config.threads)
    protocol = Protocol(**config.evaluation)
    dataset = open_dataset(config)
    facts = PolicyFacts.of_dataset(dataset, task=config.task, task_kwargs=config.task_kwargs)
    env, fits = None, partial(check_dataset_fits, dataset, horizon="max_steps" not in config.task_kwargs)
    if config.task is not None:
        env = facts.make_env(num_envs=protocol.episodes, seed=protocol.seed, check=fits)
    name = config.algorithm["name"]
    arguments = algorithm_arguments(config.algorithm)
    torch.manual_seed(config.seed)  # decides the initial weights
    parts = make_algorithm(name, dataset.spec, **arguments)
    if is_censored(parts.policy):
        _LOG.info("actions on a bound: %s; %s", dataset.card.told_clipping, _CENSORED)
    check_loss(parts.loss, dataset)  # nothing is written before everything fits together
    run = open_run(config, dataset, facts)
    if run.finished:
        _LOG.info("%s is finished and is kept", run.path)
        return None, lambda: run.final_return
    parts.loss.to(device)
    known = {"algorithm": name, "arguments": arguments, "metadata": facts.to_dict()}
    acting = CopyOnCPU(TeamPolicy(parts.policy, dataset.spec, **known))
    trainer, best = make_trainer(config, parts, dataset, run), BestPolicy(run)
    watch_values(trainer, dataset)
    if env is not None:
        evaluation_hook(config, acting, env, facts, best).register(trainer)
    if run.continues:
        trainer.resume(run.path / "checkpoints")

    def finish() -> float:
        save_policy(run.path / "policy.pt", acting())
        close_logger(trainer.logger)
        if env is not None:
            last, found = Restored(trainer.step_count, acting()), best.restored(acting())
            if found is not None:
                save_policy(run.path / "best.pt", found.policy)
            final_evaluations(protocol, env, run, last, found)
            best.prune()
        run.finish()
        _LOG.info("finished: %s", run.path)
        if env is not None:
            _LOG.info("next: %s policy=%s video=true", _EVALUATE, run.path)
        return run.final_return

    return trainer, finish


def train(config: TrainConfig) -> float:
    """Train and evaluate; the mean return of the final evaluation, NaN without a task."""
    import_modules(config.imports)
    check_settings(config)
    if config.vectorize:
        return train_variants(config, prepare)
    trainer, finish = prepare(config)
    if trainer is not None:
        trainer.train()
    return finish()


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: Any) -> float:
    """Train, and give the final return to Hydra's sweepers."""
    return run_job("train", config, train)


if __name__ == "__main__":
    arguments = mark_sweep(comma_lists(sys.argv[1:]))
    sys.argv[1:] = checked_overrides("train", arguments, TrainConfig, Path(__file__).parent / "configs")
    run_recipe(main)
