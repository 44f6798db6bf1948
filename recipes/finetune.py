"""Go on training a policy with steps of its environment, beside the data that it was learned from.

The launch command and examples are in ``configs/finetune.yaml``.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING
from torchrl.collectors import BaseCollector
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType

from omiga_torchrl.algorithms import ALGORITHMS, Algorithm, make_algorithm
from omiga_torchrl.command_line import checked_overrides, run_once
from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.recording.collecting import collecting
from omiga_torchrl.errors import SettingsError
from omiga_torchrl.evaluation import Protocol
from omiga_torchrl.files import file_sha256
from omiga_torchrl.online import CollectionHook, Explorers, ExploringPolicy, OnlineBuffer, WarmUpHook
from omiga_torchrl.plugins import import_modules
from omiga_torchrl.policies import TeamPolicy, save_policy
from omiga_torchrl.report import Run, RunWriter, load_runs
from omiga_torchrl.selection import Candidate, OpenCandidate, find_candidates, open_candidate, open_data
from omiga_torchrl.trainers import OfflineTrainer
from omiga_torchrl.trainers.best import BestPolicy, Restored
from omiga_torchrl.trainers.loggers import close_logger, open_logger
from omiga_torchrl.trainers.options import TrainerOptions
from omiga_torchrl.trainers.runs import evaluation_hook, final_evaluations, open_run

_LOG = logging.getLogger("finetune")


@dataclass
class OnlineOptions(TrainerOptions):
    """Fields ``trainer`` of the recipe, besides those of the trainer itself.

    Attributes:
        collect_interval: gradient steps between two rounds in the environment.
        collect_envs: environments of a round.
        collect_batches: of 25 steps of each environment; a round should be as long as an episode.
        capacity: most online transitions that are kept.
        offline_fraction: share of a batch that is offline, in (0, 1).
        anneal_steps: gradient steps until that share is 0; null keeps it.
        noise: exploration noise in half ranges; of discrete actions the probability of another one.
        explorers: ``all`` agents explore, or ``one`` at a time.
        warmup_steps: first gradient steps, in which the critics learn and the policy stays.
        started_from: checksum of the policy that it goes on from; the recipe writes it.
    """

    collect_interval: int = 50
    collect_envs: int = 10
    collect_batches: int = 4
    capacity: int = 100_000
    offline_fraction: float = 0.5
    anneal_steps: int | None = None
    noise: float = 0.1
    explorers: str = "all"
    warmup_steps: int = 100
    started_from: str = ""


@dataclass
class FinetuneConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        policy: folder of a finished run of ``recipes/train.py``.
        task: task to play; null is the run's.
        task_kwargs: arguments of the task, over those of the run.
        dataset: place of the run's data; null is where they were.
        seed: of batches and of the environment; null is the run's.
        out: folder of all runs.
        existing: as of ``recipes/train.py``: ``error``, ``keep``, ``resume``, ``extend`` or ``overwrite``.
        trainer: fields of :class:`OnlineOptions`.
        evaluation: fields of ``omiga_torchrl.evaluation.Protocol``; the first is of the policy as it came.
        logger: ``csv``, ``tensorboard``, ``wandb``, ``mlflow``, or null.
    """

    imports: list[str] = field(default_factory=list)
    policy: str = MISSING
    task: str | None = None
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    dataset: str | None = None
    seed: int | None = None
    out: str = "runs/finetune"
    existing: str = "error"
    trainer: OnlineOptions = field(default_factory=OnlineOptions)
    evaluation: dict[str, Any] = field(default_factory=lambda: asdict(Protocol()))
    logger: str | None = "csv"


ConfigStore.instance().store("finetune_schema", FinetuneConfig)


@dataclass
class _Settings(FinetuneConfig):
    """All settings of a run: those of the recipe, and those that the run before decides."""

    algorithm: dict[str, Any] = field(default_factory=dict)
    reward_scale: Any = None
    normalise_observations: bool = False
    read: dict[str, Any] = field(default_factory=dict)
    precision: str = "highest"
    background_evaluation: bool = False


def complete(config: FinetuneConfig, run: Run, candidate: Candidate, opened: OpenCandidate) -> _Settings:
    """The settings of a run that goes on from ``candidate``."""
    name = opened.algorithm
    if opened.loss is None:
        raise SettingsError(
            f"finetune: {run.path} must have the checkpoint of its last step, which holds the critics, got "
            "policy.pt alone. Train it again."
        )
    if ALGORITHMS[name].sequences or opened.loss.is_recurrent:
        raise SettingsError(
            f"finetune: {run.path} must be of an algorithm that learns from single transitions, got {name} "
            "along sequences. Use e.g. omiga, iql or td3_bc without a memory."
        )
    before = run.info.audit.get("config", {})
    label = f"{run.info.algorithm}_finetuned"
    settings = _Settings(
        **vars(config),
        algorithm={"name": name, **opened.arguments, "label": label, "slice_len": None},
        **{key: before.get(key) for key in ("reward_scale", "normalise_observations", "read")},
    )
    settings.task = config.task or opened.facts.task
    settings.seed = run.info.seed if config.seed is None else config.seed
    settings.trainer.started_from = file_sha256(candidate.file)
    return settings


def make_trainer(
    settings: _Settings, parts: Algorithm, dataset: OfflineDataset, run: RunWriter, collector: BaseCollector
) -> OfflineTrainer:
    """The trainer of ``parts`` on offline and online transitions."""
    options = settings.trainer
    buffer = OnlineBuffer(dataset, capacity=options.capacity, offline_fraction=options.offline_fraction)
    collection = CollectionHook(
        collector,
        buffer,
        interval=options.collect_interval,
        batches=options.collect_batches,
        anneal_steps=options.anneal_steps,
        seed=1_000_000 * (cast(int, settings.seed) + 1),
    )
    return OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=cast(Any, buffer),
        batch_size=options.batch_size,
        total_steps=options.steps,
        lr=options.lr,
        lr_schedule=cast(Any, options.lr_schedule),
        clip_grad_norm=options.clip_grad_norm,
        log_interval=options.log_interval,
        save_interval=options.save_interval or settings.evaluation["interval"],
        keep_checkpoints=options.keep_checkpoints,
        on_nonfinite=cast(Any, options.on_nonfinite),
        progress_bar=options.progress_bar,
        logger=open_logger(settings.logger, run, asdict(settings)),
        hooks=[WarmUpHook(options.warmup_steps), collection],
        save_dir=run.path / "checkpoints",
        seed=settings.seed,
        compile="none",
    )


def finetune(config: FinetuneConfig) -> float:
    """Go on training; the mean return of the final evaluation."""
    import_modules(config.imports)
    (before,) = load_runs(config.policy)
    (candidate,) = find_candidates([before], "last").candidates
    opened = open_candidate(candidate)
    settings, protocol = complete(config, before, candidate, opened), Protocol(**config.evaluation)
    dataset = open_data(before, config.dataset, normalise_observations=opened.normalisation or False)
    parts = make_algorithm(opened.algorithm, opened.spec, **opened.arguments)
    parts.loss.load_state_dict(cast(Any, opened.loss).state_dict())
    options = {**opened.facts.task_kwargs, **settings.task_kwargs}
    facts = replace(opened.facts, task=settings.task, task_kwargs=options)
    policy = TeamPolicy(
        parts.policy,
        opened.spec,
        algorithm=opened.algorithm,
        arguments=opened.arguments,
        metadata=facts.to_dict(),
    )
    sizes = protocol.episodes, settings.trainer.collect_envs
    env, played = (policy.make_env(num_envs=number, seed=protocol.seed) for number in sizes)
    run = open_run(settings, dataset, facts)
    if run.finished:
        _LOG.info("%s is finished and is kept", run.path)
        return run.final_return
    best = BestPolicy(run)
    step = _train(settings, parts, policy, dataset, best, env, played)
    save_policy(run.path / "policy.pt", policy)
    found = best.restored(policy)
    if found is not None:
        save_policy(run.path / "best.pt", found.policy)
    final_evaluations(protocol, env, run, Restored(step, policy), found)
    best.prune()
    run.finish()
    _LOG.info("finished: %s", run.path)
    _LOG.info("next: python -m omiga_torchrl run report runs=%s", settings.out)
    return run.final_return


def _train(
    settings: _Settings,
    parts: Algorithm,
    policy: TeamPolicy,
    dataset: OfflineDataset,
    best: BestPolicy,
    env: EnvBase,
    played: EnvBase,
) -> int:
    """Train to the end, resumed if the run goes on; evaluated in ``env``, collecting in ``played``."""
    options = settings.trainer
    acting = ExploringPolicy(
        policy, policy.team, noise=options.noise, explorers=cast(Explorers, options.explorers)
    )
    with collecting(acting, played, exploration=ExplorationType.DETERMINISTIC) as collector:
        trainer = make_trainer(settings, parts, dataset, best.run, collector)
        hook = evaluation_hook(settings, lambda: policy, env, policy.facts, best)
        hook.at_start = True  # the offline score is the first point
        hook.register(trainer)
        if best.run.continues:
            trainer.resume(best.run.path / "checkpoints")
        trainer.train()
    close_logger(trainer.logger)
    return trainer.step_count


@hydra.main(version_base="1.3", config_path="configs", config_name="finetune")
def main(config: Any) -> None:
    """Fine-tune the policy that the configuration names."""
    run_once("finetune", config, finetune)


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("finetune", sys.argv[1:], FinetuneConfig, configs)
    main()
