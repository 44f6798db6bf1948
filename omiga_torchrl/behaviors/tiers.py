"""Recording a dataset of a given tier from the checkpoints of a behaviour training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from tensordict.nn import TensorDictModuleBase
from torchrl.envs import EnvBase

from omiga_torchrl.behaviors.checkpoints import BehaviourCheckpoint, load_behaviour, read_behaviour
from omiga_torchrl.behaviors.games import GameTier, record_game
from omiga_torchrl.behaviors.joint_policy import as_team_policy
from omiga_torchrl.behaviors.random_baseline import (
    EPISODES,
    EPISODES_ONE_BY_ONE,
    RandomBaseline,
    random_baseline,
)
from omiga_torchrl.data.cards import BehaviourEntry, DatasetCard
from omiga_torchrl.data.recording.dataset_recorder import UNKNOWN, Part, record_parts
from omiga_torchrl.data.recording.recorder import record_episodes
from omiga_torchrl.data.recording.settings import RecordingSettings
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError, unknown_name
from omiga_torchrl.files import file_sha256
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.team_env import team_env

# Good, medium and poor are the tiers of published StarCraft data.
Tier = Literal["random", "poor", "medium", "good", "expert", "medium-replay", "medium-expert", "mixed"]

# How far from random (0) to the best checkpoint (1), in sampled return.
_POOR = 0.25
_MEDIUM = 0.5
_MIXED = (0.0, 0.4, 0.9)


_GAMES = "tabular/"


def available_tiers(task: str) -> tuple[str, ...]:
    """The tiers that can be recorded of a task: those of checkpoints, or a game's own.

    Args:
        task: the task.

    Examples:
        >>> available_tiers("tabular/xor")
        ('experts', 'lone-experts', 'random')
    """
    return get_args(GameTier if task.startswith(_GAMES) else Tier)


def select_checkpoints(tier: Tier, checkpoints: Sequence[Path], *, random_return: float) -> list[Path]:
    """The checkpoints that make a tier, by their measured sampled returns.

    ``expert``, or ``good``: the best one. ``medium``: the one nearest to halfway between random
    and the best. ``poor``: the one nearest to a quarter of the way. ``medium-replay``: all up to
    medium. ``medium-expert``: medium and expert. ``mixed``: the ones nearest to 0%, 40% and 90%
    of the way. ``random``: none, as it is made of random actions.

    Args:
        tier: which tier.
        checkpoints: files of :func:`omiga_torchrl.behaviors.train_behaviour`, oldest first; not
            needed for ``random``.
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
    if tier == "random":
        return []
    if not checkpoints:
        raise ValueError("select_checkpoints: no checkpoints; train some with train_behaviour first.")
    returns = np.array([read_behaviour(path)[0].stochastic_return for path in checkpoints])
    best = int(returns.argmax())

    def nearest(share: float) -> int:
        target = random_return + share * (returns[best] - random_return)
        return int(np.abs(returns - target).argmin())

    medium = nearest(_MEDIUM)
    chosen = {
        "expert": [best],
        "good": [best],
        "medium": [medium],
        "poor": [nearest(_POOR)],
        "medium-replay": list(range(medium + 1)),
        "medium-expert": sorted({medium, best}),
        "mixed": sorted({nearest(share) for share in _MIXED}),
    }[tier]
    return [checkpoints[index] for index in chosen]


def record_tier(
    task: str,
    tier: Tier | GameTier,
    checkpoints: Sequence[Path],
    *,
    folder: str | Path,
    transitions: int = 30_000,
    num_envs: int = 100,
    task_kwargs: dict[str, Any] | None = None,
    **settings: Any,
) -> DatasetCard:
    """Record a dataset of whole episodes, the same number of transitions from every policy of the tier.

    It can be stopped at any time and goes on when it is called again; see
    :func:`omiga_torchrl.data.record_dataset`.

    Args:
        task: task to record on.
        tier: see :func:`select_checkpoints`; of a tabular game :func:`omiga_torchrl.behaviors.game_policies`.
        checkpoints: files of :func:`omiga_torchrl.behaviors.train_behaviour`, oldest first; none for games.
        folder: where ``data.npz`` and ``card.json`` go; an existing recording is replaced.
        transitions: joint transitions wanted; episodes are whole, so it is exceeded by
            at most one episode per policy.
        num_envs: environments stepped together, by each worker; where episodes are long, fewer
            waste less.
        task_kwargs: arguments of the task.
        settings: fields of :class:`omiga_torchrl.data.RecordingSettings`, e.g. ``seed``.

    Returns:
        The card that was written.

    Raises:
        DataError: a checkpoint was trained on another team.
        ValueError: the folder holds something else than a dataset, or an unfinished recording
            of other arguments.
    """
    options, task_kwargs = RecordingSettings(**settings), dict(task_kwargs or {})
    if task.startswith(_GAMES) and not checkpoints:
        if task_kwargs:
            raise ValueError(f"record_tier: task_kwargs is {task_kwargs}; expected none for {task}.")
        sizes: dict[str, Any] = {"transitions": transitions, "num_envs": num_envs}
        return record_game(task, cast(GameTier, tier), folder=folder, **sizes, **settings)
    # Policies of a robot's joint task read the simulator's own observation.
    joint = any(_is_joint(read_behaviour(path)[0], task) for path in checkpoints)
    played = {**task_kwargs, "raw_state": True} if joint else task_kwargs
    episodes = EPISODES_ONE_BY_ONE if task.startswith("mujoco/") else EPISODES
    with isolated_random(options.seed):
        env = make_env(task, num_envs=episodes, seed=options.seed, **played)
        spec = TeamSpec.from_env(env)
        _require_fit(checkpoints, spec, task)
        random_return = float(record_episodes(None, env, episodes=episodes).returns().mean())
    paths = select_checkpoints(cast(Tier, tier), checkpoints, random_return=random_return)
    baseline = random_baseline(task, played)
    infos = [read_behaviour(path)[0] for path in paths]
    seeds = {"recording": options.seed}
    if infos:
        seeds["behaviour"] = infos[0].seed
    card = DatasetCard(
        name=f"{task}/{tier}",
        task=task,
        tier=tier,
        sizes=spec.to_dict(),
        best_checkpoint_return=max((info.deterministic_return for info in infos), default=None),
        random_return=baseline.mean,
        random_interval=list(baseline.interval),
        task_kwargs=task_kwargs,
        seeds=seeds,
        team_reward=team_env(env).team_reward,
        **UNKNOWN,
    )
    parts = [_part(path, info, task, env) for path, info in zip(paths, infos, strict=True)]
    env.close()
    # A seed for what environments draw when they are made; the recorder seeds what they play.
    env_fn = partial(make_env, task, num_envs=num_envs, seed=options.seed, **played)
    with isolated_random(options.seed):
        return record_parts(
            parts or [_random_part(baseline)],
            env_fn(),
            env_fn,
            card,
            folder=folder,
            transitions=transitions,
            options=options,
        )


def _is_joint(info: BehaviourCheckpoint, task: str) -> bool:
    """Whether the policy plays the joint task of a MuJoCo team: all joints of the robot as one agent."""
    return info.task != task and task.startswith(f"{info.task}-") and info.spec.get("n_agents") == 1


def _part(path: Path, info: BehaviourCheckpoint, task: str, env: EnvBase) -> Part:
    entry = BehaviourEntry(
        file=path.name,
        sha256=file_sha256(path),
        step=info.frames,
        stochastic_return=info.stochastic_return,
        deterministic_return=info.deterministic_return,
        measured_episodes=info.episodes,
        episodes=0,
    )
    policy: TensorDictModuleBase = load_behaviour(path)
    if _is_joint(info, task):
        policy = as_team_policy(policy, TeamSpec(**info.spec), env)
    return Part(policy, entry.sha256, entry)


def _random_part(baseline: RandomBaseline) -> Part:
    entry = BehaviourEntry("uniform", "", 0, baseline.mean, baseline.mean, baseline.episodes, 0)
    return Part(None, "", entry)


def _require_fit(checkpoints: Sequence[Path], spec: AnyTeamSpec, task: str) -> None:
    for path in checkpoints:
        info = read_behaviour(path)[0]
        if TeamSpec.from_dict(info.spec) != spec and not _is_joint(info, task):
            raise DataError(
                f"record_tier: {path.name} was trained on {info.task} {info.task_kwargs} with sizes "
                f"{info.spec}; the environment has {spec.to_dict()}. Record on the task it was trained on."
            )
