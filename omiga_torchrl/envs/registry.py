"""`make_env`: one function for every task, whatever simulator it runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_field
from typing import Any, Protocol

import torch
from torchrl.envs import EnvBase

from omiga_torchrl.envs.env_checks import check_env
from omiga_torchrl.errors import require_seed, unknown_name
from omiga_torchrl.plugins import load_plugins


class EnvFactory(Protocol):
    """Builds the environments of one simulator."""

    def __call__(
        self,
        name: str,
        *,
        num_envs: int,
        seed: int | None,
        max_steps: int | None,
        device: torch.device | str,
        **task_kwargs: Any,
    ) -> EnvBase:
        """The environment for the task ``"<prefix>/<name>"``."""
        ...


@dataclass(frozen=True)
class _Family:
    factory: EnvFactory
    tasks: Callable[[], Sequence[str]]
    unchecked: bool


_FAMILIES: dict[str, _Family] = {}


def register_env(
    prefix: str,
    factory: EnvFactory,
    *,
    tasks: Callable[[], Sequence[str]] = tuple,
    replace: bool = False,
    check: bool = True,
) -> None:
    """Make the tasks ``"<prefix>/..."`` known to :func:`make_env`.

    Args:
        prefix: the simulator's name, without a slash.
        factory: builds an environment with the keys of :mod:`omiga_torchrl.keys`,
            called as ``factory(name, num_envs=, seed=, max_steps=, device=, **task_kwargs)``.
            :class:`omiga_torchrl.envs.TeamEnv` lists the entries that it has to give, and the members
            that it may have.
        tasks: gives the names that :func:`available_tasks` lists, without the prefix.
        replace: whether to overwrite a prefix that is already there.
        check: build the first of ``tasks`` now and look whether it gives what it has to, see
            :func:`omiga_torchrl.envs.check_env`; without names, the first that :func:`make_env` builds.

    Raises:
        ValueError: the prefix holds a slash, or is taken and ``replace`` is false.
        DataError: the environment lacks an entry, or gives a wrong one.

    Examples:
        >>> from omiga_torchrl.envs.vmas import make_vmas_env
        >>> register_env("mine", make_vmas_env, tasks=lambda: ["balance"])
        >>> "mine/balance" in available_tasks()
        True
        >>> unregister_env("mine")
    """
    if not prefix or "/" in prefix:
        raise ValueError(f"register_env: prefix {prefix!r}; expected a non-empty name without '/'.")
    if prefix in _FAMILIES and not replace:
        raise ValueError(f"register_env: prefix {prefix!r} is taken; pass replace=True to overwrite it.")
    family = _Family(factory, tasks, unchecked=check)
    names = tasks() if check else ()
    if names:
        check_env(factory(names[0], num_envs=2, seed=0, max_steps=None, device="cpu"), f"{prefix}/{names[0]}")
        family = replace_field(family, unchecked=False)
    _FAMILIES[prefix] = family


def unregister_env(prefix: str) -> None:
    """Forget a prefix given to :func:`register_env`; unknown prefixes are ignored."""
    _FAMILIES.pop(prefix, None)


def available_tasks() -> list[str]:
    """The tasks that :func:`make_env` is known to build, sorted.

    Examples:
        >>> "vmas/navigation" in available_tasks()
        True
    """
    load_plugins("omiga_torchrl.envs")
    return sorted(f"{prefix}/{name}" for prefix, family in _FAMILIES.items() for name in family.tasks())


def make_env(
    task: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    **task_kwargs: Any,
) -> EnvBase:
    """A batched TorchRL environment of a team task, in the project's keys.

    It gives ``("agents", "observation")`` `[num_envs, N, O]`, ``"state"``
    `[num_envs, S]`, the team's ``"reward"`` `[num_envs, 1]`, its sum so far in
    ``"episode_reward"``, and ``"done"``, ``"terminated"``, ``"truncated"``. Time-outs
    set ``truncated``, never ``terminated``.

    A team whose agents differ has several groups of agents with equal spaces: its ``group_map`` names them,
    and ``(group, "observation")`` stands in place of ``("agents", "observation")``.

    Args:
        task: ``"<prefix>/<name>"``, e.g. ``"vmas/navigation"``; see :func:`available_tasks`.
        num_envs: number of environments stepped together.
        seed: seeds the simulator (not PyTorch's global random stream).
        max_steps: episode length in steps; ``None`` means the task's own.
        device: where the simulator runs.
        task_kwargs: passed on to the simulator, e.g. ``n_agents``; for VMAS also
            ``team_reward="mean"|"sum"|"first"`` or a group's name.

    Raises:
        ValueError: the task is unknown, or ``num_envs`` or ``max_steps`` is below 1.
        ImportError: the simulator's package is not installed.

    Examples:
        >>> env = make_env("vmas/navigation", num_envs=2, seed=0)
        >>> env.rollout(3)["next", "reward"].shape
        torch.Size([2, 3, 1])
    """
    load_plugins("omiga_torchrl.envs")
    prefix, _, name = str(task).partition("/")
    if prefix not in _FAMILIES or not name:
        raise unknown_name("make_env", "task", task, available_tasks())
    for argument, value in (("num_envs", num_envs), ("max_steps", max_steps)):
        if value is not None and value < 1:
            raise ValueError(f"make_env: {argument} is {value}; expected at least 1.")
    if seed is not None:
        require_seed("make_env", seed=seed)
    family = _FAMILIES[prefix]
    options: dict[str, Any] = {"num_envs": num_envs, "max_steps": max_steps, "device": device, **task_kwargs}
    if family.unchecked:
        check_env(family.factory(name, seed=seed, **options), str(task))
        _FAMILIES[prefix] = replace_field(family, unchecked=False)
    env = family.factory(name, seed=seed, **options)
    # Lets `check_dataset_fits` tell tasks apart that have the same sizes.
    env.task_name = task
    return env
