"""Datasets of any policy's play: of one that was trained offline, or of someone else's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torchrl.envs import EnvBase

from omiga_torchrl.behaviors.random_baseline import random_baseline
from omiga_torchrl.data.cards import BehaviourEntry, DatasetCard
from omiga_torchrl.data.recording.dataset_recorder import record_dataset, weights_sha256
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.policies.team_policy import TeamPolicy


def record_policy(
    policy: TeamPolicy,
    task: str,
    *,
    folder: str | Path,
    transitions: int,
    name: str = "",
    num_envs: int = 100,
    eval_episodes: int = 128,
    task_kwargs: Mapping[str, Any] | None = None,
    seed: int = 0,
    **settings: Any,
) -> DatasetCard:
    """Record whole episodes of a policy in its raw environment, sampled unless its ``mode`` says otherwise.

    It can be stopped and goes on when it is called again; see :func:`omiga_torchrl.data.record_dataset`.

    Args:
        policy: plays.
        task: where it plays.

    Keyword Args:
        folder: where ``data.npz`` and ``card.json`` go.
        transitions: joint transitions wanted; episodes are whole.
        name: of the policy, for the card; default is its algorithm.
        num_envs: environments stepped together by each worker.
        eval_episodes: episodes behind each of the card's two returns of the policy.
        task_kwargs: arguments of the task.
        seed: of recording and measuring.
        **settings: further fields of :class:`omiga_torchrl.data.RecordingSettings`.

    Raises:
        DataError: the policy does not fit the task.

    Examples:
        >>> import tempfile
        >>> from omiga_torchrl.data import bundled_behaviours
        >>> from omiga_torchrl.policies import load_policy
        >>> policy = load_policy(bundled_behaviours("vmas/navigation")[-1])
        >>> sizes = {"transitions": 20, "num_envs": 4, "eval_episodes": 4, "task_kwargs": {"max_steps": 5}}
        >>> folder = tempfile.mkdtemp() + "/data"
        >>> record_policy(policy, "vmas/navigation", folder=folder, **sizes).behaviour[0].episodes
        4
    """
    kwargs, label = dict(task_kwargs or {}), name or policy.algorithm or "policy"
    env_fn = partial(_make_env, policy, task, num_envs=num_envs, seed=seed, **kwargs)
    returns = {}
    for deterministic in (False, True):
        env = make_env(task, num_envs=min(num_envs, eval_episodes), seed=seed, **kwargs)
        played = evaluate(policy, env, episodes=eval_episodes, seed=seed, deterministic=deterministic)
        returns[deterministic] = played.mean_return
        env.close()
    entry = BehaviourEntry(
        label, weights_sha256(policy), 0, returns[False], returns[True], eval_episodes, episodes=0
    )
    return record_dataset(
        policy,
        env_fn,
        folder=folder,
        transitions=transitions,
        name=f"{task}/{label}",
        task=task,
        tier=label,
        behaviour=entry,
        random_return=random_baseline(task, kwargs).mean,
        task_kwargs=kwargs,
        seed=seed,
        **settings,
    )


def _make_env(policy: TeamPolicy, task: str, **options: Any) -> EnvBase:
    return policy.wrap_env(make_env(task, **options))
