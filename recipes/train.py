"""Train an algorithm on an offline dataset, evaluate it, and record everything.

The launch command and examples are in ``configs/train.yaml``.
"""

from __future__ import annotations

import importlib
import logging
import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import hydra
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf
from tensordict import TensorDictBase
from torchrl.envs import EnvBase
from torchrl.record.loggers import Logger, get_logger

from omiga_torchrl.algorithms import Algorithm, make_algorithm
from omiga_torchrl.algorithms.saving import save_policy
from omiga_torchrl.data import OfflineDataset, StepSliceSampler, check_dataset, check_dataset_fits
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import Protocol, evaluate
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.report import RunInfo, RunWriter
from omiga_torchrl.trainers import EvaluationHook, OfflineTrainer, latest_checkpoint, schedule_lr

_LOG = logging.getLogger("train")


@dataclass
class TrainerConfig:
    """Arguments of :class:`omiga_torchrl.trainers.OfflineTrainer`.

    Attributes:
        steps: gradient steps.
        lr_schedule: ``cosine`` lets the learning rate fall to zero; null keeps it.
        cosine_decay: deprecated: true is ``lr_schedule: cosine``, false is null.
    """

    steps: int = MISSING
    batch_size: int = MISSING
    lr: float = MISSING
    lr_schedule: str | None = None
    clip_grad_norm: float | None = 1.0
    log_interval: int = 100
    save_interval: int = 10_000
    progress_bar: bool = True
    cosine_decay: bool | None = None

    def __post_init__(self) -> None:
        if self.cosine_decay is not None:
            warnings.warn(
                "train: trainer.cosine_decay is deprecated. Use trainer.lr_schedule=cosine or null.",
                FutureWarning,
                stacklevel=2,
            )
            self.lr_schedule = "cosine" if self.cosine_decay else None
            self.cosine_decay = None


@dataclass
class EvaluationConfig:
    """Arguments of :class:`omiga_torchrl.evaluation.Protocol`."""

    interval: int = MISSING
    episodes: int = 100
    final_episodes: int = 300
    seed: int = 0


@dataclass
class ReadConfig:
    """How the files of a dataset are read: see ``omiga_torchrl.data.ReadOptions``; null is the default."""

    layout: str | None = None
    actions: str | None = None
    timeout_is_terminal: bool | None = None
    max_steps: int | None = None
    team_reward: str | None = None
    incomplete: str | None = None


@dataclass
class TrainConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms or environments of your own.
        algorithm: group ``algorithm``: the arguments of ``make_algorithm``, besides ``slice_len``, the
            length of the slices of episodes to learn from (null learns from single transitions), and
            ``label``, what the run is called in records and reports (default: the name).
        task: task to evaluate in, e.g. ``vmas/navigation``; null trains without evaluating.
        task_kwargs: arguments of the task, e.g. ``+task_kwargs.layout=omiga``; they override those
            on the dataset's card.
        dataset: tier of a bundled dataset of the task, e.g. ``mixed``; a published dataset, e.g.
            ``omiga:hopper-3x1/medium``; or a dataset's file or folder in any layout.
        read: how the dataset's files are read.
        reward_scale: rewards are divided by it in the data: ``std``, a number, or null.
        normalise_observations: standardise observations and state, in the data and in evaluation.
        allow_duplicates: accept episodes that are copies of others.
        seed: seed of networks, batches and order.
        out: folder of all runs; each run makes its own in it.
        existing: if the run is there already: ``error``, ``resume`` or ``overwrite``.
        data_root: folder of the converted data; null is the user's cache.
        trainer: group ``trainer``.
        evaluation: the evaluation protocol.
        logger: ``csv``, ``tensorboard``, ``wandb``, or null.
    """

    imports: list[str] = field(default_factory=list)
    algorithm: dict[str, Any] = MISSING
    task: str | None = "vmas/navigation"
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    dataset: str = "mixed"
    read: ReadConfig = field(default_factory=ReadConfig)
    reward_scale: Any = "std"
    normalise_observations: bool = False
    allow_duplicates: bool = False
    seed: int = 0
    out: str = "runs/train"
    existing: str = "error"
    data_root: str | None = None
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    logger: str | None = "csv"


_STORE = ConfigStore.instance()
_STORE.store("train_schema", TrainConfig)


def open_dataset(config: TrainConfig) -> OfflineDataset:
    """The dataset that ``config`` names, checked against itself."""
    elsewhere = config.task is None or ":" in config.dataset or Path(config.dataset).exists()
    dataset = OfflineDataset(
        config.dataset if elsewhere else f"{config.task}/{config.dataset}",
        batch_size=config.trainer.batch_size,
        sampler=slice_sampler(config),
        root=config.data_root,
        reward_scale=config.reward_scale,
        normalise_observations=config.normalise_observations,
        progress=config.trainer.progress_bar,
        **{name: value for name, value in vars(config.read).items() if value is not None},
    )
    check_dataset(dataset, allow_duplicates=config.allow_duplicates)
    return dataset


def slice_len(config: TrainConfig) -> int | None:
    """Length of the slices of episodes to learn from; ``None`` learns from transitions."""
    return config.algorithm.get("slice_len")


def slice_sampler(config: TrainConfig) -> StepSliceSampler | None:
    """The sampler of slices; those at the ends of episodes are padded, which losses leave out."""
    length = slice_len(config)
    return None if length is None else StepSliceSampler(length)


def as_slices(config: TrainConfig, batch: TensorDictBase) -> TensorDictBase:
    """A batch as the loss takes it: of transitions, or of slices ``[B, T]``."""
    length = slice_len(config)
    return batch if length is None else batch.reshape(-1, length)


def open_env(config: TrainConfig, dataset: OfflineDataset) -> EnvBase | None:
    """The environment for evaluations, checked against the dataset."""
    if config.task is None:
        return None
    options = {**dataset.card.task_kwargs, **config.task_kwargs}
    protocol = config.evaluation
    env = make_env(config.task, num_envs=protocol.episodes, seed=protocol.seed, **options)
    check_dataset_fits(dataset, env)
    return dataset.normalisation.apply_to(env) if dataset.normalisation else env


def open_logger(config: TrainConfig, run: RunWriter) -> Logger | None:
    """TorchRL's logger in the run's folder."""
    if config.logger is None:
        return None
    return get_logger(config.logger, logger_name=str(run.path), experiment_name="log")


def make_trainer(
    config: TrainConfig, parts: Algorithm, dataset: OfflineDataset, run: RunWriter
) -> OfflineTrainer:
    """The trainer of ``parts`` on ``dataset``, with its files in the run's folder."""
    options = config.trainer
    trainer = OfflineTrainer(
        loss_module=parts.loss,
        replay_buffer=dataset,
        parameter_groups=parts.parameter_groups,
        target_updater=parts.target_updater,
        total_steps=options.steps,
        lr=options.lr,
        clip_grad_norm=options.clip_grad_norm,
        logger=open_logger(config, run),
        log_interval=options.log_interval,
        progress_bar=options.progress_bar,
        save_dir=run.path / "checkpoints",
        save_interval=options.save_interval,
        seed=config.seed,
    )
    trainer.register_op("process_optim_batch", lambda batch: as_slices(config, batch))
    schedule_lr(trainer, cast(Any, options.lr_schedule))
    return trainer


def describe(config: TrainConfig, dataset: OfflineDataset) -> RunInfo:
    """What the run is, for its records."""
    card = dataset.card
    parts = {part: vars(getattr(config, part)) for part in ("trainer", "evaluation")}
    return RunInfo(
        algorithm=config.algorithm.get("label") or config.algorithm["name"],
        task=config.task or card.task or "no task",
        dataset=card.tier,
        seed=config.seed,
        hyperparameters={
            "reward_scale": config.reward_scale,
            "normalise_observations": config.normalise_observations,
            "read": vars(config.read),
            "algorithm": config.algorithm,
            **parts,
        },
        behaviour_return=card.behaviour_return["mean"],
        best_checkpoint_return=card.best_checkpoint_return,
        random_return=card.random_return,
        card={"name": card.name, "sha256": card.data_sha256, "reward_scale": dataset.reward_scale},
    )


def train(config: TrainConfig) -> float:
    """Train and evaluate as ``config`` says.

    Args:
        config: the recipe's fields.

    Returns:
        The mean return of the final evaluation; NaN without a task.
    """
    for module in config.imports:
        importlib.import_module(module)
    protocol = Protocol(**vars(config.evaluation))
    dataset = open_dataset(config)
    env = open_env(config, dataset)
    name = config.algorithm["name"]
    arguments = {k: v for k, v in config.algorithm.items() if k not in ("name", "label", "slice_len")}
    torch.manual_seed(config.seed)  # decides the initial weights
    parts = make_algorithm(name, dataset.spec, **arguments)
    # Nothing is written before everything fits together, the data's entries and shapes, too.
    with isolated_random(0), torch.no_grad():
        parts.loss(as_slices(config, dataset.sample()))
    run = RunWriter(config.out, describe(config, dataset), existing=cast(Any, config.existing))
    trainer = make_trainer(config, parts, dataset, run)
    if env is not None:
        hook = EvaluationHook(
            lambda: evaluate(parts.policy, env, episodes=protocol.episodes, seed=protocol.seed),
            protocol.interval,
            on_result=lambda step, result: run.evaluation(step, "training", **cast(Any, result).to_record()),
        )
        hook.register(trainer)
    last = latest_checkpoint(run.path / "checkpoints") if config.existing == "resume" else None
    if last is not None:
        trainer.load_from_file(last)
    trainer.train()
    save_policy(
        run.path / "policy.pt",
        parts.policy,
        algorithm=name,
        spec=dataset.spec,
        arguments=arguments,
        metadata=facts_of_policy(config, dataset),
    )
    if env is None:
        return math.nan
    final = evaluate(parts.policy, env, episodes=protocol.final_episodes, seed=protocol.final_seed)
    run.evaluation(trainer.step_count, "final", **final.to_record())
    behaviour = dataset.card.behaviour_return["mean"]
    _LOG.info("final return %.3f (behaviour %.3f)", final.mean_return, behaviour)
    return final.mean_return


def facts_of_policy(config: TrainConfig, dataset: OfflineDataset) -> dict[str, Any]:
    """What evaluate.py needs to know besides the network."""
    return {
        "task": config.task or dataset.card.task,
        "task_kwargs": {**dataset.card.task_kwargs, **config.task_kwargs},
        "dataset": dataset.card.name,
        "normalisation": dataset.normalisation.to_dict() if dataset.normalisation else None,
    }


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: Any) -> float:
    """Train, and give the final return to Hydra, so that sweepers can optimise it."""
    return train(cast(TrainConfig, OmegaConf.to_object(config)))


if __name__ == "__main__":
    main()
