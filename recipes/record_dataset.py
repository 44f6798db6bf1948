"""Record a dataset: train behaviour policies or take existing ones, play them, write a folder.

The launch command and an example are in ``configs/record_dataset.yaml``.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import hydra
from hydra.core.config_store import ConfigStore

from omiga_torchrl.behaviors import GameTier, read_behaviour, record_tier, train_behaviour
from omiga_torchrl.command_line import checked_overrides, run_once
from omiga_torchrl.data import DatasetCard, bundled_behaviours, read_card
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.evaluation import PolicyFacts
from omiga_torchrl.plugins import import_modules
from omiga_torchrl.policies import TeamPolicy, find_policy, record_policy
from omiga_torchrl.trainers.settings import check_task

_LOG = logging.getLogger("record_dataset")


@dataclass
class RecordDataset:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        task: task to record on, e.g. ``vmas/navigation``.
        tier: random, poor, medium, good or expert, medium-replay, medium-expert, or mixed; of a tabular game
            experts, lone-experts or random.
        behaviour: play this policy instead of a tier's: folder of a run, ``policy.pt``, a behaviour
            checkpoint, or one of your own as ``module:function``, see docs/policies.md.
        transitions: joint transitions wanted; episodes are whole.
        out: folder of the dataset; default ``runs/datasets/<task>/<tier>``, with ``behaviour`` the name of
            its algorithm. A recording that was stopped goes on when it is launched again with the same
            fields.
        existing: if the dataset is there already: ``error``, ``keep`` or ``overwrite``.
        train_behaviour: train policies first; otherwise ``checkpoints`` are used.
        checkpoints: folder of checkpoints; default is the ones bundled with the package, or
            when training ``runs/behaviour/<task>``.
        total_frames: environment steps of the training.
        checkpoint_every: batches between checkpoints.
        eval_episodes: episodes behind each measured return.
        num_envs: environments stepped together by each worker while recording.
        launcher: ``local``, ``process`` (several processes) or ``ray`` (a Ray cluster).
        workers: processes or Ray actors.
        shard_transitions: transitions between two writes to the disk.
        progress: show a progress bar.
        seed: seed of training and recording.
        task_kwargs: arguments of the task, e.g. ``+task_kwargs.n_agents=4``.
        ppo: fields of ``omiga_torchrl.behaviors.PPOSettings``, e.g. ``+ppo.lr=1e-3``.
    """

    imports: list[str] = field(default_factory=list)
    task: str = "vmas/navigation"
    tier: str = "mixed"
    behaviour: str | None = None
    transitions: int = 30_000
    out: str | None = None
    existing: str = "error"
    train_behaviour: bool = False
    checkpoints: str | None = None
    total_frames: int = 500_000
    checkpoint_every: int = 1
    eval_episodes: int = 128
    num_envs: int = 100
    launcher: str = "local"
    workers: int = 1
    shard_transitions: int = 50_000
    progress: bool = True
    seed: int = 0
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    ppo: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store("record_dataset_schema", RecordDataset)


def run(options: RecordDataset) -> DatasetCard:
    """Record the dataset that `options` describe.

    Args:
        options: the recipe's fields.

    Returns:
        The card of the dataset.
    """
    import_modules(options.imports)
    check_task(options)
    played = None if options.behaviour is None else find_behaviour(options)
    label = options.tier if played is None else played.algorithm or "policy"
    out = Path(options.out or Path("runs/datasets") / options.task / label)
    if keeps_existing(out, options.existing):
        _LOG.info("%s is there already and is kept", out.resolve())
        return read_card(out)
    settings: dict[str, Any] = {
        "folder": out,
        **{name: getattr(options, name) for name in ("transitions", "num_envs", "task_kwargs", "seed")},
        **{name: getattr(options, name) for name in ("launcher", "workers", "shard_transitions", "progress")},
    }
    if played is not None:
        if played.facts.task == options.task:
            settings["task_kwargs"] = {**played.facts.task_kwargs, **options.task_kwargs}
        card = record_policy(played, options.task, eval_episodes=options.eval_episodes, **settings)
    else:
        checkpoints = find_checkpoints(options)
        for path in checkpoints:
            info = read_behaviour(path)[0]
            _LOG.info(
                "%s: return %.2f sampled, %.2f mode", path, info.stochastic_return, info.deterministic_return
            )
        card = record_tier(options.task, cast(Any, options.tier), checkpoints, **settings)
    _LOG.info(
        "wrote %s: %d transitions, %d episodes, behaviour return %.2f +- %.2f, random %.2f",
        out.resolve(),
        card.transitions,
        card.episodes,
        card.behaviour_return["mean"],
        card.behaviour_return["std"],
        card.random_return or 0.0,
    )
    _LOG.info("next: python -m omiga_torchrl run train task=%s dataset=%s", options.task, out)
    return card


def find_behaviour(options: RecordDataset) -> TeamPolicy:
    """The policy that ``behaviour`` names, for the recipe's task."""
    return find_policy(cast(str, options.behaviour), PolicyFacts(options.task, options.task_kwargs))


def keeps_existing(out: Path, existing: str) -> bool:
    """Whether the dataset in `out` stays as it is.

    Raises:
        ValueError: it is there and must not be, or `existing` is unknown.
    """
    if existing not in ("error", "keep", "overwrite"):
        raise unknown_name("record_dataset", "value of existing", existing, ("error", "keep", "overwrite"))
    if not (out / "card.json").is_file() or existing == "overwrite":
        return False
    if existing == "error":
        raise ValueError(
            f"record_dataset: {out} holds a dataset; expected a new folder. "
            "Pass existing=keep or existing=overwrite, or another out=."
        )
    return True


def find_checkpoints(options: RecordDataset) -> list[Path]:
    """The behaviour policies to play: freshly trained, given, or bundled; random actions, games: none."""
    if options.tier == "random" or options.tier in get_args(GameTier):
        if options.checkpoints or options.train_behaviour:
            raise ValueError(
                f"record_dataset: tier={options.tier} plays no trained policy, got checkpoints="
                f"{options.checkpoints} and train_behaviour={options.train_behaviour}. Leave them out."
            )
        return []
    if options.train_behaviour:
        return train_behaviour(
            options.task,
            total_frames=options.total_frames,
            folder=options.checkpoints or Path("runs/behaviour") / options.task,
            checkpoint_every=options.checkpoint_every,
            eval_episodes=options.eval_episodes,
            seed=options.seed,
            progress=options.progress,
            task_kwargs=options.task_kwargs,
            **options.ppo,
        )
    if options.checkpoints:
        found = sorted(Path(options.checkpoints).glob("*.pt"))
        if not found:
            raise FileNotFoundError(
                f"record_dataset: checkpoints={options.checkpoints} has no files *.pt; expected a folder "
                "that train_behaviour=true has written."
            )
        return found
    return bundled_behaviours(options.task)


@hydra.main(config_path="configs", config_name="record_dataset", version_base="1.3")
def main(config: Any) -> None:
    """Entry point of the command line."""
    run_once("record_dataset", config, run)


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("record_dataset", sys.argv[1:], RecordDataset, configs)
    main()
