"""Recording datasets of any size, of any policies in any environment, so that it can be stopped."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict.nn import TensorDictModuleBase
from torchrl.envs import EnvBase

from omiga_torchrl.data.cards import BehaviourEntry, DatasetCard
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.recording.collecting import batches, collecting
from omiga_torchrl.data.recording.recorder import enough, play
from omiga_torchrl.data.recording.settings import RecordingSettings
from omiga_torchrl.data.recording.shards import ShardFolder
from omiga_torchrl.data.recording.streams import EpisodeCutter, groups_of
from omiga_torchrl.data.recording.writing import require_replaceable, write_recording
from omiga_torchrl.data.spec_checks import team_reward_of
from omiga_torchrl.files import library_versions
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.team_env import team_env

# What a card says about its data until they are written.
UNKNOWN: dict[str, Any] = {
    "transitions": 1,
    "episodes": 1,
    "reward_std": 0.0,
    "behaviour_return": {"mean": 0.0, "std": 0.0},
}


@dataclass(frozen=True)
class Part:
    """A policy that plays one part of a dataset.

    Attributes:
        policy: the policy; ``None`` for random actions.
        sha256: what tells it from other policies.
        entry: what the card says about it, if anything.
    """

    policy: TensorDictModuleBase | None
    sha256: str
    entry: BehaviourEntry | None = None


def record_dataset(
    policy: TensorDictModuleBase | None,
    env_fn: Callable[[], EnvBase],
    *,
    folder: str | Path,
    transitions: int,
    name: str,
    task: str | None = None,
    tier: str = "",
    behaviour: BehaviourEntry | None = None,
    random_return: float | None = None,
    task_kwargs: dict[str, Any] | None = None,
    **settings: Any,
) -> DatasetCard:
    """Record a dataset of whole episodes of any policy in any environment.

    The recording can be stopped at any time, also by force: what is finished waits in
    ``<folder>.partial``, and the same call goes on from there. The data are those of a
    recording that was never stopped.

    .. note:: The launcher ``"process"`` starts processes: a script needs its main guard.

    Args:
        policy: acts on the environment's keys; ``None`` acts uniformly at random.
        env_fn: makes an environment, batched or not, with the keys of
            :func:`omiga_torchrl.envs.make_env`, e.g. ``partial(make_env, task, num_envs=100)``.
            In each shard all environments play until the last one has ended its last
            episode: where episodes are long, fewer environments waste less.
        folder: where ``data.npz`` and ``card.json`` go; an existing recording is replaced.
        transitions: joint transitions wanted; episodes are whole, so it is exceeded by at
            most one episode.
        name: name of the dataset in its card.
        task: task for the card; ``None`` takes the name that ``make_env`` gave it.
        tier: tier for the card.
        behaviour: what is known about the policy, for the card.
        random_return: mean return of random actions, for the card.
        task_kwargs: arguments of the task, for the card.
        settings: fields of :class:`RecordingSettings`.

    Returns:
        The card that was written.

    Raises:
        ValueError: the folder holds something else than a dataset, or an unfinished recording
            of other arguments.

    Examples:
        >>> import tempfile
        >>> from functools import partial
        >>> from omiga_torchrl.envs import make_env
        >>> env_fn = partial(make_env, "vmas/navigation", num_envs=4, max_steps=5)
        >>> folder = Path(tempfile.mkdtemp()) / "data"
        >>> record_dataset(None, env_fn, folder=folder, transitions=12, name="mine").transitions
        15
    """
    options = RecordingSettings(**settings)
    with isolated_random(options.seed):
        env = env_fn()
        card = DatasetCard(
            name=name,
            task=team_env(env).task_name if task is None else task,
            tier=tier,
            sizes=TeamSpec.from_env(env).to_dict(),
            random_return=random_return,
            best_checkpoint_return=behaviour.deterministic_return if behaviour else None,
            task_kwargs=dict(task_kwargs or {}),
            team_reward=team_reward_of(env) or str((task_kwargs or {}).get("team_reward", "mean")),
            seeds={"recording": options.seed},
            **UNKNOWN,
        )
        part = Part(policy, weights_sha256(policy), behaviour)
        return record_parts(
            [part], env, env_fn, card, folder=folder, transitions=transitions, options=options
        )


def record_parts(
    parts: Sequence[Part],
    env: EnvBase,
    env_fn: Callable[[], EnvBase],
    card: DatasetCard,
    *,
    folder: str | Path,
    transitions: int,
    options: RecordingSettings,
) -> DatasetCard:
    """Record one dataset of several policies, the same number of transitions of each.

    Args:
        parts: the policies.
        env: made by `env_fn`; it is closed.
        env_fn: makes the environments of other processes.
        card: the card; what the data say is filled in.
        folder: folder of the dataset.
        transitions: joint transitions of all policies together.
        options: how to record.
    """
    folder, each = Path(folder), -(-transitions // len(parts))
    if transitions < 1:
        raise ValueError(f"record_dataset: transitions={transitions}; expected at least 1.")
    require_replaceable(folder)
    plan = {
        **{name: getattr(card, name) for name in ("name", "task", "tier", "task_kwargs", "sizes")},
        **{name: value for name, value in asdict(options).items() if name != "progress"},
        "transitions": transitions,
        "num_envs": env.batch_size.numel(),
        "policies": [part.sha256 for part in parts],
    }
    shards = ShardFolder(folder, plan)
    try:
        done = sum(min(shards.steps(index), each) for index in range(len(parts)))
        with _bar(card.name, each * len(parts), done, options.progress) as on_steps:
            for index, part in enumerate(parts):
                _play_part(part, index, env, env_fn, each, shards, options, on_steps)
    finally:
        env.close(raise_if_closed=False)
    played = [enough(shards.read(index), each) for index in range(len(parts))]
    entries = [(part.entry, len(episodes)) for part, episodes in zip(parts, played, strict=True)]
    card.behaviour = [replace(entry, episodes=count) for entry, count in entries if entry is not None]
    card.recording = {name: plan[name] for name in ("launcher", "workers", "num_envs", "shard_transitions")}
    card.library_versions = library_versions()
    card = write_recording(folder, Episodes.concatenate(played).without_repeated_state(), card)
    shards.remove()
    return card


def _play_part(
    part: Part,
    index: int,
    env: EnvBase,
    env_fn: Callable[[], EnvBase],
    transitions: int,
    shards: ShardFolder,
    options: RecordingSettings,
    on_steps: Callable[[int], object],
) -> None:
    """Play the shards of one policy that are still missing."""
    have = shards.steps(index)
    if have >= transitions:
        return
    groups = groups_of(env)
    with collecting(
        part.policy, env, env_fn, launcher=options.launcher, workers=options.workers
    ) as collector:
        source = batches(collector)
        while have < transitions:
            # Every shard has a seed of its own and begins with new episodes: going on after a
            # stop gives the same data, and loses no episode for being long.
            seed = np.random.SeedSequence([options.seed, index, shards.count(index)]).generate_state(1)
            collector.set_seed(int(seed[0]))
            wanted = min(transitions - have, options.shard_transitions)
            episodes = play(source, EpisodeCutter(steps=wanted, groups=groups), on_steps)
            shards.write(index, episodes)
            have += episodes.steps


@contextmanager
def _bar(name: str, total: int, done: int, wanted: bool) -> Iterator[Callable[[int], object]]:
    if not wanted or importlib.util.find_spec("tqdm") is None:
        yield lambda steps: None
        return
    from tqdm import tqdm  # optional: extra "recipes"

    # A log file keeps every refresh as a line.
    pause = 0.1 if sys.stderr.isatty() else 10.0
    title = f"recording {name}"
    with tqdm(total=total, initial=done, desc=title, unit="step", unit_scale=True, mininterval=pause) as bar:
        # The last episodes go beyond what is wanted.
        yield lambda steps: bar.update(min(steps, total - bar.n))


def weights_sha256(policy: TensorDictModuleBase | None) -> str:
    """A checksum of the weights of a policy, or ``""`` without one."""
    if policy is None:
        return ""
    digest = hashlib.sha256(type(policy).__name__.encode())
    for name, value in policy.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
