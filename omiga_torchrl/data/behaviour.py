"""Training behaviour policies: MAPPO on TorchRL's own PPO loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule
from torch import nn
from torchrl.envs import EnvBase, StepCounter
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MLP
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from omiga_torchrl import keys
from omiga_torchrl.data.checkpoints import (
    BehaviourCheckpoint,
    behaviour_actor,
    measure_behaviour,
    save_behaviour,
)
from omiga_torchrl.envs import make_env
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.specs import TeamSpec

_ADVANTAGE = (keys.GROUP, "advantage")


@dataclass(frozen=True)
class PPOSettings:
    """Settings of the behaviour training; the defaults learn VMAS navigation in 400k frames.

    Attributes:
        num_envs: environments stepped together.
        steps: steps of one batch per environment; ``None`` means one full episode.
        lr: learning rate of Adam.
        gamma: discount.
        lmbda: lambda of the generalised advantage estimate.
        clip_epsilon: bound on the change of the probability ratio.
        entropy_coeff: weight of the entropy bonus.
        epochs: passes over one batch.
        minibatch_size: joint transitions per update; ``None`` means 40 times ``steps``.
        max_grad_norm: bound on the norm of the gradient.
        hidden: hidden sizes of the policy and of the critic.
    """

    num_envs: int = 200
    steps: int | None = None
    lr: float = 5e-4
    gamma: float = 0.99
    lmbda: float = 0.95
    clip_epsilon: float = 0.2
    entropy_coeff: float = 1e-3
    epochs: int = 8
    minibatch_size: int | None = None
    max_grad_norm: float = 1.0
    hidden: tuple[int, ...] = (128, 128)


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
    the team's advantage. Checkpoint ``00000000.pt`` is the untrained policy.

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
        :func:`omiga_torchrl.data.read_behaviour`.

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
        options = PPOSettings(**settings)
        env = make_env(task, num_envs=options.num_envs, seed=seed, **task_kwargs)
        options = _complete(options, env)
        spec = TeamSpec.from_env(env)
        policy = behaviour_actor(spec, list(options.hidden))
        info = BehaviourCheckpoint(
            task, task_kwargs, spec.to_dict(), list(options.hidden), seed=seed, settings=asdict(options)
        )
        info.settings["hidden"] = list(options.hidden)
        paths = [_checkpoint(folder, policy, info, 0, eval_episodes)]
        per_batch = options.num_envs * (options.steps or 0)
        batches = -(-total_frames // per_batch)
        training = _ppo_batches(env, policy, spec, options, batches)
        for index in _bar(training, task, batches) if progress else training:
            if index % checkpoint_every == 0 or index == batches:
                paths.append(_checkpoint(folder, policy, info, index * per_batch, eval_episodes))
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


def _complete(options: PPOSettings, env: EnvBase) -> PPOSettings:
    """The settings with what follows from the task filled in."""
    counters = [t for t in getattr(env, "transform", ()) if isinstance(t, StepCounter)]
    steps = options.steps or (counters[0].max_steps if counters else None) or 100
    return replace(options, steps=steps, minibatch_size=options.minibatch_size or 40 * steps)


def _checkpoint(
    folder: Path,
    policy: ProbabilisticTensorDictSequential,
    info: BehaviourCheckpoint,
    frames: int,
    episodes: int,
) -> Path:
    info.frames = frames
    path = save_behaviour(folder / f"{frames:08d}.pt", policy, info)
    return save_behaviour(path, policy, measure_behaviour(path, episodes=episodes))


def _ppo_batches(
    env: EnvBase,
    policy: ProbabilisticTensorDictSequential,
    spec: TeamSpec,
    options: PPOSettings,
    batches: int,
) -> Iterator[int]:
    """Train `policy` in place; yields the number of batches done."""
    body = MLP(spec.state_size, 1, num_cells=list(options.hidden), activation_class=nn.Tanh)
    critic = TensorDictModule(body, in_keys=[keys.STATE], out_keys=["state_value"])
    loss = ClipPPOLoss(
        policy,
        critic,
        clip_epsilon=options.clip_epsilon,
        entropy_coeff=options.entropy_coeff,
        normalize_advantage=False,
    )
    loss.set_keys(
        action=keys.ACTION,
        sample_log_prob=(keys.GROUP, "action_log_prob"),
        advantage=_ADVANTAGE,
        value="state_value",
    )
    # The critic values the team, so the advantage is estimated at the root, where the
    # reward and done are; it is expanded to the agents afterwards.
    gae = GAE(gamma=options.gamma, lmbda=options.lmbda, value_network=critic)
    optimizer = torch.optim.Adam(loss.parameters(), lr=options.lr)
    for index in range(1, batches + 1):
        # TorchRL rollouts act deterministically unless told otherwise.
        with set_exploration_type(ExplorationType.RANDOM), torch.no_grad():
            batch = env.rollout(options.steps or 0, policy, break_when_any_done=False)
            batch = gae(batch).reshape(-1)
        advantage = batch.pop("advantage")
        advantage = (advantage - advantage.mean()) / advantage.std().clamp_min(1e-6)
        batch.set(_ADVANTAGE, advantage.unsqueeze(-2).expand(-1, spec.n_agents, -1))
        _update(loss, optimizer, batch, options)
        yield index


def _update(
    loss: ClipPPOLoss, optimizer: torch.optim.Optimizer, batch: TensorDictBase, options: PPOSettings
) -> None:
    used = batch.select(*loss.in_keys, _ADVANTAGE, "value_target", strict=False)
    for _ in range(options.epochs):
        for rows in torch.randperm(len(used)).split(options.minibatch_size or len(used)):
            terms = loss(used[rows])
            total = terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]
            optimizer.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(loss.parameters(), options.max_grad_norm)
            optimizer.step()
