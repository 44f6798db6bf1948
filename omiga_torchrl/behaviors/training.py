"""Training behaviour policies and keeping measured checkpoints of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tensordict.nn import TensorDictModuleBase

from omiga_torchrl.behaviors.checkpoints import BehaviourCheckpoint, measure_behaviour, save_behaviour
from omiga_torchrl.behaviors.ppo import PPO, PPOSettings
from omiga_torchrl.envs import make_env
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.typed import make_checked


def train_behaviour(
    task: str,
    *,
    total_frames: int,
    folder: str | Path,
    checkpoint_every: int = 1,
    eval_episodes: int = 128,
    seed: int = 0,
    progress: bool = True,
    task_kwargs: dict[str, Any] | None = None,
    **settings: Any,
) -> list[Path]:
    """Train a policy with MAPPO and keep measured checkpoints of it.

    The critic sees the state and values the team; every agent's policy is updated with
    the team's advantage. The agents of a group share a policy. Checkpoint ``00000000.pt`` is the
    untrained policy.

    Args:
        task: a task of :func:`omiga_torchrl.envs.make_env`.
        total_frames: environment steps in all, rounded up to whole batches.
        folder: where the checkpoints go, one ``<frames>.pt`` each.
        checkpoint_every: batches between checkpoints; the last batch always gives one.
        eval_episodes: episodes behind each measured return.
        seed: seed of networks, action noise and environments. PyTorch's global random
            stream is left as it was.
        progress: show a progress bar.
        task_kwargs: arguments of the task.
        settings: fields of :class:`PPOSettings`.

    Returns:
        The checkpoints, oldest first; read their returns with
        :func:`omiga_torchrl.behaviors.read_behaviour`.

    Examples:
        >>> import tempfile
        >>> paths = train_behaviour(
        ...     "vmas/navigation",
        ...     total_frames=80,
        ...     folder=tempfile.mkdtemp(),
        ...     eval_episodes=2,
        ...     progress=False,
        ...     num_envs=4,
        ...     steps=20,
        ...     minibatch_size=40,
        ...     epochs=1,
        ...     hidden=(8,),
        ... )
        >>> [path.name for path in paths]
        ['00000000.pt', '00000080.pt']
    """
    task_kwargs, folder = dict(task_kwargs or {}), Path(folder)
    with isolated_random(seed):
        options = make_checked("train_behaviour", PPOSettings, settings)
        env = make_env(task, num_envs=options.num_envs, seed=seed, **task_kwargs)
        options = options.completed_for(env)
        per_batch = options.num_envs * (options.steps or 0)
        batches = -(-total_frames // per_batch)
        ppo = PPO(env, options, batches)
        facts = {**asdict(options), "hidden": list(options.hidden)}
        info = BehaviourCheckpoint(
            task, task_kwargs, ppo.spec.to_dict(), list(options.hidden), seed=seed, settings=facts
        )
        paths = [_checkpoint(folder, ppo.policy(), info, 0, eval_episodes)]
        for index in _bar(ppo.train(), task, batches) if progress else ppo.train():
            if index % checkpoint_every == 0 or index == batches:
                paths.append(_checkpoint(folder, ppo.policy(), info, index * per_batch, eval_episodes))
    return paths


def _bar(training: Iterator[int], task: str, batches: int) -> Iterable[int]:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            "train_behaviour: the progress bar needs the package tqdm. "
            'pip install "omiga-torchrl[recipes]", or pass progress=False.'
        ) from error
    bar: Iterable[int] = tqdm(training, desc=f"behaviour {task}", total=batches, unit="batch")
    return bar


def _checkpoint(
    folder: Path,
    policy: TensorDictModuleBase,
    info: BehaviourCheckpoint,
    frames: int,
    episodes: int,
) -> Path:
    info.frames = frames
    path = save_behaviour(folder / f"{frames:08d}.pt", policy, info)
    return save_behaviour(path, policy, measure_behaviour(path, episodes=episodes))
