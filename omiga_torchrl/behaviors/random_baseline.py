"""The return of uniformly random actions in a task: always the same number, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from omiga_torchrl.data.recording.recorder import record_episodes
from omiga_torchrl.envs import make_env
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.report.statistics import mean_confidence_interval

SEED: Final = 1_000_000
EPISODES: Final = 512
EPISODES_ONE_BY_ONE: Final = 32  # where environments are not vectorised


@dataclass(frozen=True)
class RandomBaseline:
    """Mean return of uniformly random actions.

    Attributes:
        mean: over the episodes, raw.
        interval: 95% interval of the mean, over episodes.
        episodes: how many.
        seed: of the actions and the starts.
    """

    mean: float
    interval: tuple[float, float]
    episodes: int
    seed: int


def random_baseline(
    task: str,
    task_kwargs: Mapping[str, Any] | None = None,
    *,
    episodes: int | None = None,
    seed: int = SEED,
) -> RandomBaseline:
    """Plays uniformly random actions; the same arguments give the same number.

    Args:
        task: the task.
        task_kwargs: its arguments.
        episodes: how many to play; ``None``: 512, or 32 where environments are not vectorised.
        seed: of the actions and the starts. It is no seed of a recording, so that all data of a task share
            one baseline.

    Examples:
        >>> one = random_baseline("vmas/navigation", {"max_steps": 5}, episodes=8)
        >>> one == random_baseline("vmas/navigation", {"max_steps": 5}, episodes=8)
        True
        >>> one.interval[0] < one.mean < one.interval[1]
        True
    """
    count = episodes or (EPISODES_ONE_BY_ONE if task.startswith("mujoco/") else EPISODES)
    with isolated_random(seed):
        env = make_env(task, num_envs=count, seed=seed, **(task_kwargs or {}))
        returns = record_episodes(None, env, episodes=count).returns()
        env.close()
    return RandomBaseline(float(returns.mean()), mean_confidence_interval(returns), count, seed)
