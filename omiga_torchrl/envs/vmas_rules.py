"""Agents of a VMAS scenario that follow a fixed rule instead of a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from omiga_torchrl.envs.grouping import group_name
from omiga_torchrl.errors import unknown_name

Rule = Callable[[Any, Any], None]

# The arena of the scenarios with a prey ends at 1; from here on walls push back.
_NEAR_WALL = 0.7
_WALL_FORCE = 10.0


def flee(agent: Any, world: Any) -> None:
    """Runs with full force from the other side's agents, the nearer the more, and from walls.

    Args:
        agent: the VMAS agent that acts; its action is set.
        world: its world.
    """
    place = agent.state.pos
    away = torch.zeros_like(place)
    for other in world.agents:
        if other.adversary != agent.adversary:
            gap = place - other.state.pos
            away += gap / gap.square().sum(-1, keepdim=True).clamp_min(1e-4)
    away -= _WALL_FORCE * place.sign() * (place.abs() - _NEAR_WALL).clamp_min(0.0)
    _push(agent, away)


def shadow(agent: Any, world: Any) -> None:
    """Runs with full force to the landmark that an agent of the other side is nearest to.

    Args:
        agent: the VMAS agent that acts; its action is set.
        world: its world.
    """
    places = torch.stack([landmark.state.pos for landmark in world.landmarks], 1)
    others = torch.stack([one.state.pos for one in world.agents if one.adversary != agent.adversary], 1)
    nearest = torch.cdist(places, others).amin(-1).argmin(-1)
    target = places[torch.arange(len(places), device=places.device), nearest]
    _push(agent, target - agent.state.pos)


def _push(agent: Any, direction: Tensor) -> None:
    """Full force in a direction."""
    force = direction / direction.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    agent.action.u = force * agent.action.u_range_tensor * agent.action.u_multiplier_tensor


def follow_rule(scenario: Any, controlled: Sequence[str], rule: Rule | None, task: str) -> Any:
    """A scenario in which the agents of other groups follow a rule and are no longer seen from outside.

    Args:
        scenario: a VMAS scenario, not yet made.
        controlled: names of the groups that policies play.
        rule: sets the action of an agent that no policy plays.
        task: name of the task, for messages.

    Returns:
        ``scenario``, which raises a ValueError when it is made if a group is unknown, or another one left
        over without a rule.
    """
    make_world = scenario.make_world

    def with_rules(*args: Any, **kwargs: Any) -> Any:
        world = make_world(*args, **kwargs)
        groups = list(dict.fromkeys(group_name(agent.name) for agent in world.policy_agents))
        _require_controlled(task, controlled, groups, rule)
        for agent in world.policy_agents:
            if group_name(agent.name) not in controlled:
                agent._action_script = rule
        return world

    scenario.make_world = with_rules
    return scenario


def _require_controlled(task: str, controlled: Sequence[str], groups: list[str], rule: Rule | None) -> None:
    for group in controlled:
        if group not in groups:
            raise unknown_name("make_env", f"group in controlled of {task}", group, groups)
    if rule is None and set(groups) - set(controlled):
        raise ValueError(
            f"make_env: controlled of {task} must be all groups, {', '.join(groups)}, as it has no rule for "
            f"agents without a policy; got {', '.join(controlled)}. Leave controlled out."
        )
