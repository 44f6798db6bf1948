"""Record a dataset: train behaviour policies or take existing ones, play them, write a folder.

The launch command and an example are in ``configs/record_dataset.yaml``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from omiga_torchrl.data import DatasetCard, bundled_behaviours, read_behaviour, record_tier, train_behaviour

_LOG = logging.getLogger("record_dataset")


@dataclass
class RecordDataset:
    """Fields of the recipe.

    Attributes:
        task: task to record on, e.g. ``vmas/navigation``.
        tier: expert, medium, medium-replay or mixed.
        transitions: joint transitions wanted; episodes are whole.
        out: folder of the dataset; default ``runs/datasets/<task>/<tier>``.
        train_behaviour: train policies first; otherwise ``checkpoints`` are used.
        checkpoints: folder of checkpoints; default is the ones bundled with the package, or
            when training ``runs/behaviour/<task>``.
        total_frames: environment steps of the training.
        checkpoint_every: batches between checkpoints.
        eval_episodes: episodes behind each measured return.
        num_envs: environments stepped together while recording.
        seed: seed of training and recording.
        task_kwargs: arguments of the task, e.g. ``+task_kwargs.n_agents=4``.
        ppo: fields of ``omiga_torchrl.data.PPOSettings``, e.g. ``+ppo.lr=1e-3``.
    """

    task: str = "vmas/navigation"
    tier: str = "mixed"
    transitions: int = 30_000
    out: str | None = None
    train_behaviour: bool = False
    checkpoints: str | None = None
    total_frames: int = 500_000
    checkpoint_every: int = 1
    eval_episodes: int = 128
    num_envs: int = 100
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
    checkpoints = find_checkpoints(options)
    for path in checkpoints:
        info = read_behaviour(path)[0]
        _LOG.info(
            "%s: return %.2f sampled, %.2f mode", path, info.stochastic_return, info.deterministic_return
        )
    out = Path(options.out or Path("runs/datasets") / options.task / options.tier)
    card = record_tier(
        options.task,
        cast(Any, options.tier),
        checkpoints,
        folder=out,
        transitions=options.transitions,
        num_envs=options.num_envs,
        seed=options.seed,
        task_kwargs=options.task_kwargs,
    )
    _LOG.info(
        "wrote %s: %d transitions, %d episodes, behaviour return %.2f +- %.2f, random %.2f",
        out.resolve(),
        card.transitions,
        card.episodes,
        card.behaviour_return["mean"],
        card.behaviour_return["std"],
        card.random_return or 0.0,
    )
    return card


def find_checkpoints(options: RecordDataset) -> list[Path]:
    """The behaviour policies to play: freshly trained, given, or bundled."""
    if options.train_behaviour:
        return train_behaviour(
            options.task,
            total_frames=options.total_frames,
            folder=options.checkpoints or Path("runs/behaviour") / options.task,
            checkpoint_every=options.checkpoint_every,
            eval_episodes=options.eval_episodes,
            seed=options.seed,
            task_kwargs=options.task_kwargs,
            **options.ppo,
        )
    if options.checkpoints:
        return sorted(Path(options.checkpoints).glob("*.pt"))
    return bundled_behaviours(options.task)


@hydra.main(config_path="configs", config_name="record_dataset", version_base="1.3")
def main(config: Any) -> None:
    """Entry point of the command line."""
    run(cast(RecordDataset, OmegaConf.to_object(config)))


if __name__ == "__main__":
    main()
