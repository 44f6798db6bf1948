"""The network of behaviour policies."""

from __future__ import annotations

from typing import Any

from tensordict.nn import ProbabilisticTensorDictSequential
from torch import nn

from omiga_torchrl import keys
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import make_actor
from omiga_torchrl.modules.group_policy import GroupPolicy
from omiga_torchrl.specs import TeamSpec


def behaviour_actor(spec: TeamSpec, hidden: list[int], **options: Any) -> ProbabilisticTensorDictSequential:
    """The network of one group's behaviour policies: one MLP with tanh, shared by all its agents.

    Args:
        spec: sizes of the group.
        hidden: hidden sizes.
        options: further arguments of :func:`omiga_torchrl.modules.make_actor`; of a group with discrete
            actions, those that its policy has.
    """
    if spec.discrete:
        options.pop("state_dependent_std", None)
    return make_actor(spec, hidden_sizes=hidden, activation=nn.Tanh, return_log_prob=True, **options)


def behaviour_policy(
    spec: AnyTeamSpec, hidden: list[int], **options: Any
) -> ProbabilisticTensorDictSequential | GroupPolicy:
    """The behaviour policies of a whole team, one network for every group.

    Args:
        spec: sizes of the team.
        hidden: hidden sizes.
        options: see :func:`behaviour_actor`.
    """
    return team_policy(
        spec, {name: behaviour_actor(group, hidden, **options) for name, group in spec.groups.items()}
    )


def team_policy(
    spec: AnyTeamSpec, actors: dict[str, ProbabilisticTensorDictSequential]
) -> ProbabilisticTensorDictSequential | GroupPolicy:
    """One policy of all groups' actors; the actor itself of a plain team.

    Args:
        spec: sizes of the team.
        actors: name of every group to its actor.
    """
    return actors[keys.GROUP] if isinstance(spec, TeamSpec) else GroupPolicy(spec, actors)
