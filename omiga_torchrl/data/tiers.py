"""Recording a dataset of a given tier from the checkpoints of a behaviour training."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from omiga_torchrl.data.cards import (
    CARD_FILE,
    DATA_FILE,
    BehaviourEntry,
    DatasetCard,
)
from omiga_torchrl.data.checkpoints import BehaviourCheckpoint, file_sha256, load_behaviour, read_behaviour
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.recorder import record_episodes
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError, unknown_name
from omiga_torchrl.files import library_versions
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.specs import TeamSpec

Tier = Literal["expert", "medium", "medium-replay", "mixed"]

# How far from random (0) to the best checkpoint (1), in sampled return.
_MEDIUM = 0.5
_MIXED = (0.0, 0.4, 0.9)


@dataclass(frozen=True)
class _Part:
    path: Path
    info: BehaviourCheckpoint
    episodes: Episodes


def select_checkpoints(tier: Tier, checkpoints: Sequence[Path], *, random_return: float) -> list[Path]:
    """The checkpoints that make a tier, by their measured sampled returns.

    ``expert``: the best one. ``medium``: the one nearest to halfway between random and
    the best. ``medium-replay``: all up to medium. ``mixed``: the ones nearest to 0%,
    40% and 90% of the way.

    Args:
        tier: which tier.
        checkpoints: files of :func:`omiga_torchrl.data.train_behaviour`, oldest first.
        random_return: mean return of random actions.

    Raises:
        ValueError: unknown tier, or no checkpoints.

    Examples:
        >>> from omiga_torchrl.data import bundled_behaviours
        >>> checkpoints = bundled_behaviours("vmas/navigation")
        >>> len(select_checkpoints("mixed", checkpoints, random_return=-0.5))
        3
    """
    if tier not in get_args(Tier):
        raise unknown_name("select_checkpoints", "tier", tier, get_args(Tier))
    if not checkpoints:
        raise ValueError("select_checkpoints: no checkpoints; train some with train_behaviour first.")
    returns = np.array([read_behaviour(path)[0].stochastic_return for path in checkpoints])
    best = int(returns.argmax())

    def nearest(share: float) -> int:
        target = random_return + share * (returns[best] - random_return)
        return int(np.abs(returns - target).argmin())

    chosen = {
        "expert": [best],
        "medium": [nearest(_MEDIUM)],
        "medium-replay": list(range(nearest(_MEDIUM) + 1)),
        "mixed": sorted({nearest(share) for share in _MIXED}),
    }[tier]
    return [checkpoints[index] for index in chosen]


def record_tier(
    task: str,
    tier: Tier,
    checkpoints: Sequence[Path],
    *,
    folder: str | Path,
    transitions: int = 30_000,
    num_envs: int = 100,
    seed: int = 0,
    task_kwargs: dict[str, Any] | None = None,
) -> DatasetCard:
    """Record a dataset of whole episodes, the same number of them from every policy of the tier.

    Args:
        task: task to record on.
        tier: see :func:`select_checkpoints`.
        checkpoints: files of :func:`omiga_torchrl.data.train_behaviour`, oldest first.
        folder: where ``data.npz`` and ``card.json`` go; an existing recording is replaced.
        transitions: joint transitions wanted; episodes are whole, so it is exceeded by
            at most one episode per policy.
        num_envs: environments stepped together.
        seed: seed of environments and action noise.
        task_kwargs: arguments of the task.

    Returns:
        The card that was written.

    Raises:
        DataError: a checkpoint was trained on another team.
    """
    task_kwargs = dict(task_kwargs or {})
    with isolated_random(seed):
        env = make_env(task, num_envs=256, seed=seed, **task_kwargs)
        random_return = float(record_episodes(None, env, episodes=512).returns().mean())
    # Its own streams again: the data do not depend on how random actions were measured.
    with isolated_random(seed):
        env = make_env(task, num_envs=num_envs, seed=seed, **task_kwargs)
        spec = TeamSpec.from_env(env)
        paths = select_checkpoints(tier, checkpoints, random_return=random_return)
        infos = [read_behaviour(path)[0] for path in paths]
        _require_fit(paths, infos, spec)
        # Long enough for any split of the transitions; cut to equal episodes below.
        played = [record_episodes(load_behaviour(path), env, transitions=transitions) for path in paths]
    each = _episodes_each(played, transitions)
    parts = [_Part(p, i, e.first(each)) for p, i, e in zip(paths, infos, played, strict=True)]
    card = _card(task, tier, parts, spec, random_return, seed, task_kwargs)
    return write_recording(folder, Episodes.concatenate([part.episodes for part in parts]), card)


def write_recording(folder: str | Path, episodes: Episodes, card: DatasetCard) -> DatasetCard:
    """Write a dataset folder atomically: it appears whole or not at all.

    Args:
        folder: the folder; an existing recording in it is replaced.
        episodes: the data, rewards raw.
        card: its card; counts, checksum and statistics of the data are filled in here.

    Returns:
        The card as written.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / CARD_FILE).is_file() and any(folder.iterdir()):
        raise ValueError(
            f"write_recording: {folder} exists and holds no dataset; refusing to replace it. "
            "Give a new folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix="partial-"))
    try:
        episodes.save(partial / DATA_FILE)
        returns = episodes.returns()
        card.transitions, card.episodes = episodes.steps, len(episodes)
        card.reward_std = float(episodes.reward.astype(np.float64).std())
        card.behaviour_return = {"mean": float(returns.mean()), "std": float(returns.std())}
        card.data_sha256 = file_sha256(partial / DATA_FILE)
        (partial / CARD_FILE).write_text(card.to_json())
        partial.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return card


def _episodes_each(played: Sequence[Episodes], transitions: int) -> int:
    """The smallest number of episodes per policy that gives enough transitions in all."""
    shortest = min(map(len, played))
    steps = sum(np.cumsum(part.length[:shortest]) for part in played)
    return min(int(np.searchsorted(steps, transitions)) + 1, shortest)


def _require_fit(paths: Sequence[Path], infos: Sequence[BehaviourCheckpoint], spec: TeamSpec) -> None:
    for path, info in zip(paths, infos, strict=True):
        if TeamSpec(**info.spec) != spec:
            raise DataError(
                f"record_tier: {path.name} was trained on {info.task} {info.task_kwargs} with sizes "
                f"{info.spec}; the environment has {spec.to_dict()}. Record on the task it was trained on."
            )


def _card(
    task: str,
    tier: str,
    parts: Sequence[_Part],
    spec: TeamSpec,
    random_return: float,
    seed: int,
    task_kwargs: dict[str, Any],
) -> DatasetCard:
    behaviour = [
        BehaviourEntry(
            file=part.path.name,
            sha256=file_sha256(part.path),
            step=part.info.frames,
            stochastic_return=part.info.stochastic_return,
            deterministic_return=part.info.deterministic_return,
            measured_episodes=part.info.episodes,
            episodes=len(part.episodes),
        )
        for part in parts
    ]
    total = sum(part.episodes.steps for part in parts)
    return DatasetCard(
        name=f"{task}/{tier}",
        task=task,
        tier=tier,
        transitions=total,
        episodes=sum(len(part.episodes) for part in parts),
        sizes=spec.to_dict(),
        data_sha256="0" * 64,
        reward_std=0.0,
        behaviour_return={"mean": 0.0, "std": 0.0},
        best_checkpoint_return=max(entry.deterministic_return for entry in behaviour),
        random_return=random_return,
        behaviour=behaviour,
        task_kwargs=task_kwargs,
        seeds={"recording": seed, "behaviour": parts[0].info.seed},
        team_reward=str(task_kwargs.get("team_reward", "mean")),
        library_versions=library_versions(),
    )
