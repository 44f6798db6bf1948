"""Behaviour policies on disk: small files that carry their own sizes and returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor

from omiga_torchrl.behaviors.network import behaviour_policy
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.file_kinds import require_entries
from omiga_torchrl.files import atomic_write, load_plain
from omiga_torchrl.modules.group_policy import GroupPolicy
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.specs import TeamSpec

FORMAT_VERSION = 1


@dataclass
class BehaviourCheckpoint:
    """Facts about a behaviour policy: how it was made and what it reaches.

    Attributes:
        task: task it was trained on.
        task_kwargs: arguments of the task.
        spec: sizes of the team, as :meth:`TeamSpec.to_dict` gives them.
        hidden: hidden sizes of the policy network (tanh between them).
        frames: environment steps it was trained for.
        seed: seed of the training.
        stochastic_return: mean raw episode return when actions are sampled.
        stochastic_std: its standard deviation over episodes.
        deterministic_return: mean raw episode return of the mode.
        deterministic_std: its standard deviation over episodes.
        episodes: episodes behind each of the two.
        settings: settings of the training.
    """

    task: str
    task_kwargs: dict[str, Any]
    spec: dict[str, Any]
    hidden: list[int]
    frames: int = 0
    seed: int = 0
    stochastic_return: float = 0.0
    stochastic_std: float = 0.0
    deterministic_return: float = 0.0
    deterministic_std: float = 0.0
    episodes: int = 0
    settings: dict[str, Any] = field(default_factory=dict)


def save_behaviour(path: str | Path, policy: TensorDictModuleBase, info: BehaviourCheckpoint) -> Path:
    """Write a policy in half precision, atomically.

    Args:
        path: the ``.pt`` file.
        policy: made by ``omiga_torchrl.behaviors.network.behaviour_policy``.
        info: what is known about it.
    """
    path = Path(path)
    weights = {name: value.detach().half().cpu() for name, value in policy.state_dict().items()}
    with atomic_write(path) as file:
        torch.save({"format": FORMAT_VERSION, "info": asdict(info), "weights": weights}, file)
    return path


def read_behaviour(path: str | Path) -> tuple[BehaviourCheckpoint, dict[str, Tensor]]:
    """The facts and the weights of a checkpoint.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it was not written by :func:`save_behaviour`.
    """
    content = load_plain("load_behaviour", path)
    require_entries(
        "load_behaviour",
        path,
        content,
        {"format": FORMAT_VERSION, "info": None, "weights": None},
        kind="a behavior policy",
        hint="Pass a file written by train_behaviour.",
    )
    known = {f.name for f in fields(BehaviourCheckpoint)}
    info = BehaviourCheckpoint(**{k: v for k, v in content["info"].items() if k in known})
    return info, {name: value.float() for name, value in content["weights"].items()}


def load_behaviour(path: str | Path) -> ProbabilisticTensorDictSequential | GroupPolicy:
    """The policy of a checkpoint, ready to act.

    It reads ``("agents", "observation")`` `[*B, N, O]` and writes
    ``("agents", "action")``, or those of every group; whether it samples or takes its mode
    follows TorchRL's exploration type.

    Args:
        path: a file written by :func:`save_behaviour`.

    Examples:
        >>> from omiga_torchrl.data import bundled_behaviours
        >>> policy = load_behaviour(bundled_behaviours("vmas/navigation")[-1])
        >>> policy.out_keys[-1]
        ('agents', 'action_log_prob')
    """
    info, weights = read_behaviour(path)
    # Absent from files that were written before there was a choice, and from discrete policies.
    options = {k: v for k, v in info.settings.items() if k == "state_dependent_std" and not v}
    policy = behaviour_policy(TeamSpec.from_dict(info.spec), list(info.hidden), **options)
    policy.load_state_dict(weights)
    return policy.eval().requires_grad_(False)


def measure_behaviour(path: str | Path, *, episodes: int = 256, seed: int = 12345) -> BehaviourCheckpoint:
    """Play a checkpoint and give its facts with freshly measured returns.

    The policy is the one on disk, so that rounding to half precision is measured too.

    Args:
        path: the checkpoint.
        episodes: episodes for the sampled policy, and again for its mode.
        seed: seed of the environment and of the sampled actions.
    """
    info, policy = read_behaviour(path)[0], load_behaviour(path)
    for name, deterministic in (("stochastic", False), ("deterministic", True)):
        with isolated_random(seed):
            env = make_env(info.task, num_envs=min(episodes, 256), seed=seed, **info.task_kwargs)
            played = evaluate(policy, env, episodes=episodes, seed=seed, deterministic=deterministic)
        setattr(info, f"{name}_return", played.mean_return)
        setattr(info, f"{name}_std", float(played.returns.std(correction=0)))
    info.episodes = episodes
    return info
