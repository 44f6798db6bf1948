"""A team seen as one agent with the joint observation and the joint action."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.functional import to_unit
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.batch import zero_where_not
from omiga_torchrl.specs import TeamSpec

_OUTCOMES = (keys.REWARD, keys.DONE, keys.TERMINATED)


def one_agent_spec(spec: AnyTeamSpec) -> TeamSpec:
    """The sizes of the team as one agent, which acts in [-1, 1].

    Args:
        spec: sizes of the team.

    Examples:
        >>> one_agent_spec(TeamSpec(3, 5, 2, 7))
        TeamSpec(n_agents=1, observation_size=22, action_size=6, state_size=22, ...)
    """
    groups = spec.groups.values()
    seen = spec.state_size + sum(group.n_agents * group.observation_size for group in groups)
    return TeamSpec(1, seen, sum(group.n_agents * group.action_size for group in groups), seen)


def as_one_agent(spec: AnyTeamSpec, data: TensorDictBase) -> TensorDictBase:
    """Transitions of a team as those of one agent, for critics of the joint action.

    It sees the state and all observations, and acts with all actions: continuous ones in units of half
    their range, discrete ones as one-hot vectors. What absent agents see and do is zero.

    Args:
        spec: sizes of the team, of one group or several.
        data: transitions ``[*B]``; actions under ``"next"`` are taken along where they are.

    Examples:
        >>> spec = TeamSpec(3, 5, 2, 7)
        >>> as_one_agent(spec, spec.fake_batch(8))["agents", "action"].shape
        torch.Size([8, 1, 6])
    """
    out = TensorDict({}, data.batch_size)
    for now, where in ((data, ()), (data.get("next"), ("next",))):
        seen = [now.get(keys.STATE)]
        for name in spec.groups:
            seen.append(_present(now, name, now.get((name, "observation"))).flatten(-2))
        joint = torch.cat(seen, -1)
        out.set((*where, *keys.OBSERVATION), joint.unsqueeze(-2))
        out.set((*where, keys.STATE), joint)
        actions = {(name, "action"): now.get((name, "action"), None) for name in spec.groups}
        if all(action is not None for action in actions.values()):
            out.set((*where, *keys.ACTION), joint_action(spec, actions, now))
    for name in _OUTCOMES:
        out.set(next_key(name), data.get(next_key(name)))
    return out


def joint_action(
    spec: AnyTeamSpec, actions: Mapping[NestedKey, Tensor], state: TensorDictBase | None = None
) -> Tensor:
    """The actions of all agents as one of :func:`one_agent_spec`, ``[*B, 1, A]``.

    Args:
        spec: sizes of the team.
        actions: by the key of every group, ``[*B, N, A]`` or ``[*B, N]``.
        state: tells which agents take part ``[*b, N]``, the last dimensions of ``*B``; None: all.

    Examples:
        >>> joint_action(TeamSpec(2, 5, 3, 7, discrete=True), {("agents", "action"): torch.tensor([2, 0])})
        tensor([[0., 0., 1., 1., 0., 0.]])
    """
    parts = []
    for name, group in spec.groups.items():
        action = actions[name, "action"]
        if group.discrete:
            action = torch.nn.functional.one_hot(action.long(), group.action_size).float()
        else:
            low, high = (torch.tensor(bound) for bound in (group.action_low, group.action_high))
            action = to_unit(action, low, high)
        parts.append((action if state is None else _present(state, name, action)).flatten(-2))
    return torch.cat(parts, -1).unsqueeze(-2)


def _present(state: TensorDictBase, group: str, value: Tensor) -> Tensor:
    """``value [.., N, F]`` with zeros for agents that take no part."""
    mask = state.get((group, "agent_mask"), None)
    return value if mask is None else zero_where_not(mask.expand(value.shape[:-1]), value)
