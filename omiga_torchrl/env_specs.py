"""Sizes of teams, read off the specs of an environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from torchrl.envs import Compose, EnvBase, Transform, TransformedEnv

from omiga_torchrl import keys
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import ActionBound, TeamSpec


def transforms_of(env: EnvBase) -> Iterator[Transform]:
    """All transforms of an environment, the outermost first.

    Args:
        env: any environment, wrapped or not.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> [type(one).__name__ for one in transforms_of(make_env("vmas/navigation"))]
        ['TeamReward', 'ConcatState', 'RewardSum', 'StepCounter']
    """
    while isinstance(env, TransformedEnv):
        yield from env.transform if isinstance(env.transform, Compose) else [env.transform]
        env = env.base_env


def groups_of_env(env: EnvBase) -> dict[str, TeamSpec]:
    """Name of every group of an environment to its sizes.

    Args:
        env: its ``group_map`` names groups and agents; without one it has the group ``"agents"``.

    Raises:
        DataError: actions of several integers.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> groups_of_env(make_env("vmas/navigation"))["agents"].n_agents
        3
    """
    return {name: group_of_env(env, name, tuple(agents)) for name, agents in group_map_of(env).items()}


def group_map_of(env: EnvBase) -> dict[str, Sequence[str]]:
    """Name of every group of an environment to its agents; ``"agents"`` where it does not say.

    Args:
        env: the environment; of TorchRL's batched ones, which give a list, the first one counts.
    """
    try:
        found = getattr(env, "group_map", None)
    except RecursionError:  # TorchRL's batched environments, before they have started
        found = None
    found = found[0] if isinstance(found, list) else found
    return dict(found) if found else {keys.GROUP: ()}


def group_of_env(env: EnvBase, group: str, agents: tuple[str, ...] = ()) -> TeamSpec:
    """The sizes of one group of an environment.

    Args:
        env: the environment.
        group: name of the group.
        agents: names of its agents, if they have any.

    Raises:
        DataError: actions of several integers.
    """
    observations, action = env.full_observation_spec_unbatched, _action_spec(env, group)
    observation, state = observations[group, "observation"], observations[keys.STATE]
    discrete = not action.dtype.is_floating_point
    bounds: dict[str, Any] = {}
    if discrete:
        if not hasattr(action.space, "n"):
            raise DataError(
                f"TeamSpec: actions of group {group!r} must be one integer an agent, got {action}. Split "
                "every agent into one for each integer, or number their combinations."
            )
        size = int(action.space.n)
    else:
        size = action.shape[-1]
        bounds = {"action_low": _bounds(action.space.low), "action_high": _bounds(action.space.high)}
    return TeamSpec(
        *(observation.shape[-2], observation.shape[-1], size, state.shape[-1]),
        discrete=discrete,
        masked=(group, "action_mask") in observations.keys(True, True),
        agents=agents,
        **bounds,
    )


def _action_spec(env: EnvBase, group: str) -> Any:
    spec = env.full_action_spec_unbatched
    if (group, "action") not in spec.keys(True, True):
        raise DataError(
            f"TeamSpec: the environment has no action {(group, 'action')!r}, got "
            f"{list(spec.keys(True, True))}. Does its group_map name its groups?"
        )
    return spec[group, "action"]


def _bounds(bound: Tensor) -> ActionBound:
    """The bounds of every feature of every agent."""
    return tuple(tuple(row) for row in bound.tolist())
