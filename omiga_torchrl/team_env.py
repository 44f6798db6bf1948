"""The members that the library asks of an environment beyond TorchRL's own, each with a default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy.typing as npt
from torch import Tensor
from torchrl.envs import EnvBase


class TeamEnv(Protocol):
    """Optional attributes of an environment; whatever it lacks has the default given here.

    Beside these members, an environment gives the entries of :mod:`omiga_torchrl.keys`:
    ``("agents", "observation")`` `[*B, N, O]`; ``"state"`` `[*B, S]` at the root, of the team
    (:class:`omiga_torchrl.envs.ConcatState` adds it where the simulator has none); the team's
    ``("next", "reward")`` `[*B, 1]` with ``"done"``, ``"terminated"`` and ``"truncated"``, time-outs
    only truncated; ``("agents", "action_mask")`` `[*B, N, K]` where actions can be illegal; and
    optionally ``("next", "win")`` `[*B, 1]`, True at the end of an episode that was won, which
    evaluations report.

    An environment whose agents differ has several groups, each of agents with equal spaces: TorchRL's
    ``group_map`` names them and their agents, and the group's name stands for ``"agents"`` in its entries.
    ``(group, "agent_mask")`` `[*B, N]`, where agents come and go, is True for those that take part; actions
    of the others are ignored. ``("next", group, "reward")`` `[*B, N, 1]` may give the agents' own rewards
    beside the team's.

    An environment of your own need not inherit from this class.

    Attributes:
        task_name: the task, e.g. ``"vmas/navigation"``, for records, and to tell tasks of the same
            sizes apart. :func:`omiga_torchrl.envs.make_env` sets it. Default: ``""``, unknown.
        team_reward: how the agents' own rewards become the team's: a rule of
            :class:`omiga_torchrl.envs.TeamReward`. Default: ``"mean"``, which is the team's reward where the
            simulator gives only that.
        ended_stand_still: True if stepping an environment whose episode is over does nothing and
            costs nothing, so that evaluations need not reset it. Default: False.
        joint_slots: for every agent the joint action that each of its features is, in tasks in which
            a team shares one robot; needed to play policies of the whole robot. Default: ``None``.
        render_frame: takes no argument and gives the picture of now, ``uint8`` `[H, W, 3]`; needed
            for videos of simulators that the library cannot draw itself. Default: ``None``.
    """

    task_name: str = ""
    team_reward: str = "mean"
    ended_stand_still: bool = False
    joint_slots: Sequence[Sequence[int]] | None = None
    render_frame: Callable[[], npt.NDArray[Any]] | None = None

    def replay_step(self, observation: Tensor, action: Tensor) -> Tensor | None:
        """Next observations from recorded ones, by which data are checked against the simulator.

        The environment has to be reset afterwards.

        Args:
            observation: recorded observations `[n, N, O]`.
            action: the actions recorded there `[n, N, A]`, or `[n, N]` if discrete.

        Returns:
            The following observations `[n, N, O]`; ``None``, the default, where the simulator
            cannot be put into a recorded state.
        """
        return None


class _Defaults(TeamEnv):
    """The members of an environment that says nothing about itself."""


_DEFAULTS = _Defaults()


class _Members:
    """The members of an environment, found through its transforms, or else their defaults."""

    def __init__(self, env: EnvBase) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name, getattr(_DEFAULTS, name))


def team_env(env: EnvBase) -> TeamEnv:
    """An environment's members of :class:`TeamEnv`, with the defaults for those that it lacks.

    Args:
        env: any environment, wrapped in transforms or not.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> members = team_env(make_env("vmas/navigation"))
        >>> members.task_name, members.ended_stand_still
        ('vmas/navigation', False)
    """
    return cast(TeamEnv, _Members(env))
