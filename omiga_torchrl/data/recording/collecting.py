"""TorchRL's collectors, seeded: in this process, in several ones, or on a Ray cluster."""

from __future__ import annotations

import importlib.util
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictModuleBase, TensorDictSequential
from torch import Tensor
from torchrl.collectors import BaseCollector, Collector, MultiSyncCollector
from torchrl.data import TensorSpec
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType

from omiga_torchrl.data.recording.streams import groups_of
from omiga_torchrl.errors import unknown_name

Launcher = Literal["local", "process", "ray"]

# Steps of one batch per environment. What is played after the last episode that counts is lost:
# the usual episode lengths are multiples of it.
_STEPS = 25


class SeededCollector(Collector):
    """A collector whose seed decides all that it delivers next."""

    def set_seed(self, seed: int, static_seed: bool = False) -> int:
        """Seed the environment and the noise of the policy, and begin new episodes.

        Args:
            seed: the seed, below 2^32.
            static_seed: whether to return the same seed instead of the next worker's.
        """
        # Policies draw from the global streams of the process, which differ by nothing else
        # between the workers.
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        following: int = super().set_seed(seed, static_seed)
        self.reset()
        return following

    def __repr__(self) -> str:
        # Ray writes it before every line that a worker logs.
        return type(self).__name__


def check_launcher(launcher: str, workers: int) -> None:
    """Refuse a launcher that is unknown or cannot be used here.

    Raises:
        ValueError: unknown launcher, or a number of workers that it cannot have.
        ImportError: Ray is not installed.
    """
    if launcher not in get_args(Launcher):
        raise unknown_name("record_dataset", "launcher", launcher, get_args(Launcher))
    if workers < 1 or (launcher == "local" and workers != 1):
        raise ValueError(
            f"record_dataset: workers={workers} with launcher={launcher!r}; expected 1 for 'local', which "
            "plays in this process, or at least 1 with 'process' or 'ray'."
        )
    if launcher == "ray" and importlib.util.find_spec("ray") is None:
        raise ImportError(
            "record_dataset: launcher='ray' needs the package ray. pip install 'omiga-torchrl[ray]'"
        )


@contextmanager
def collecting(
    policy: TensorDictModuleBase | None,
    env: EnvBase,
    env_fn: Callable[[], EnvBase] | None = None,
    *,
    launcher: Launcher = "local",
    workers: int = 1,
    exploration: ExplorationType = ExplorationType.RANDOM,
) -> Iterator[BaseCollector]:
    """A collector that plays without end; it is shut down when the block is left.

    Args:
        policy: acts on the environment's keys; ``None`` acts uniformly at random, and only
            legally where there is an action mask.
        env: the environment; ``"local"`` plays in it and leaves it open.
        env_fn: makes the environments of the workers of the other launchers.
        launcher: where to play.
        workers: number of processes or Ray actors.
        exploration: whether the policy is sampled.
    """
    policy = _random_policy(env) if policy is None else policy
    options: dict[str, Any] = {
        "frames_per_batch": _STEPS * env.batch_size.numel() * workers,
        "exploration_type": exploration,
    }
    own: dict[str, Any] = {"auto_register_policy_transforms": False}
    threads = torch.get_num_threads()
    if launcher == "local":
        collector = SeededCollector(env, policy, **options, **own)
        leave_open = {"close_env": False}
    else:
        # A factory, because a policy itself would be kept in step with this process's weights.
        options["policy_factory"] = None if policy is None else lambda: policy
        makers, leave_open = [env_fn] * workers, {}
        if launcher == "process":
            collector = MultiSyncCollector(
                makers, collector_class=SeededCollector, num_threads=threads, **options, **own
            )
        else:
            collector = _ray_collector(makers, collector_kwargs=own, **options)
    try:
        yield collector
    finally:
        collector.shutdown(**leave_open)
        torch.set_num_threads(threads)  # TorchRL adds the workers' to this process's own


def batches(collector: BaseCollector) -> Iterator[TensorDictBase]:
    """The batches `[*streams, time]` of a collector, without end."""
    iterator = iter(collector)
    while True:
        with warnings.catch_warnings():
            # Every worker made its own copy of the policy: there are no weights to send.
            warnings.filterwarnings("ignore", "RayCollector iteration started before weight")
            batch = next(iterator)
        yield batch


def _ray_collector(makers: list[Any], **options: Any) -> BaseCollector:
    from torchrl.collectors.distributed import RayCollector

    with warnings.catch_warnings():
        # The workers' policies come from a factory: this process has none to send.
        warnings.filterwarnings("ignore", "The policy is not an nn.Module", UserWarning)
        return RayCollector(
            makers,
            collector_class=SeededCollector,
            num_collectors=len(makers),
            sync=True,
            # -1 does not mean "without end" here.
            total_frames=sys.maxsize,
            **options,
        )


def _random_policy(env: EnvBase) -> TensorDictModuleBase | None:
    """Uniform legal actions; ``None``, which TorchRL takes for uniform ones, where all are legal."""
    present = env.full_observation_spec.keys(True, True)
    masked = [group for group in groups_of(env) if (group, "action_mask") in present]
    if not masked:
        return None
    modules = []
    for group in groups_of(env):
        key = (group, "action_mask" if group in masked else "observation")
        action = _any_legal if group in masked else partial(_any, env.full_action_spec[group, "action"])
        modules.append(TensorDictModule(action, in_keys=[key], out_keys=[(group, "action")]))
    return modules[0] if len(modules) == 1 else TensorDictSequential(*modules)


def _any(spec: TensorSpec, observation: Tensor) -> Tensor:
    """Uniform actions of a group without a mask."""
    return spec.rand()


def _any_legal(mask: Tensor) -> Tensor:
    """Uniform legal actions `[*B, N]` of a mask `[*B, N, K]`; any for an agent that has none."""
    mask = mask | ~mask.any(-1, keepdim=True)
    return mask.flatten(0, -2).float().multinomial(1).reshape(mask.shape[:-1])
