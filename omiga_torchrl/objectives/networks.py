"""Facts that a loss reads off its networks: kind of actions, bounds, dtype, memories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tensordict import NestedKey
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor, nn
from torch.distributions import Categorical, OneHotCategorical

from omiga_torchrl import keys
from omiga_torchrl.modules.bounds import Bound
from omiga_torchrl.modules.group_behavior import GroupVAE
from omiga_torchrl.modules.group_policy import group_bounds
from omiga_torchrl.modules.groups import GroupNetwork
from omiga_torchrl.modules.recurrent import TeamGRU

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss

Bounds = tuple[Bound, Bound]


def has_discrete_actions(loss: TeamLoss) -> bool:
    """True if Q reads no action, or the policy, for losses without Q, is a distribution over finitely many.

    Args:
        loss: a loss with its networks.

    Raises:
        ValueError: some groups of the team have discrete and others continuous actions.
    """
    if loss.groups is not None:
        return loss.groups.discrete
    if "qvalue_network" in loss.networks:
        return loss.tensor_keys.action not in loss.qvalue_network.in_keys
    policy = loss.actor_network
    return isinstance(policy, ProbabilisticTensorDictSequential) and issubclass(
        policy[-1].distribution_class, (Categorical, OneHotCategorical)
    )


def action_bounds(loss: TeamLoss) -> Bounds | None:
    """Bounds of the actions from the first policy or behavior model that has some.

    Args:
        loss: a loss with its networks.
    """
    for name in ("actor_network", "behavior_network"):
        if name not in loss.networks:
            continue
        network = getattr(loss, name)
        if isinstance(network, ProbabilisticTensorDictSequential):
            kwargs = network[-1].distribution_kwargs
            if "low" in kwargs and "high" in kwargs:
                return float(kwargs["low"]), float(kwargs["high"])
        for part in network.modules():
            if isinstance(part, (GroupNetwork, GroupVAE)) and not part.spec.discrete:
                of_team = group_bounds(part.spec)
                return of_team.low, of_team.high
            low, high = getattr(part, "low", None), getattr(part, "high", None)
            if isinstance(low, (int, float, Tensor)) and isinstance(high, (int, float, Tensor)):
                return low, high
    return None


def number_of_agents(loss: TeamLoss) -> int | None:
    """Number of agents that the networks were built for, if they tell.

    Args:
        loss: a loss with its networks.
    """
    for name in loss.networks:
        for part in getattr(loss, name).modules():
            if isinstance(getattr(part, "n_agents", None), int):
                return int(part.n_agents)
    return None


def parameter_dtype(loss: TeamLoss) -> torch.dtype:
    """Dtype of the networks' parameters.

    Args:
        loss: a loss with its networks.
    """
    return next(iter(loss.parameters())).dtype


def network_that_writes(loss: TeamLoss, key: NestedKey) -> str:
    """Attribute of the first network whose output has a key.

    Args:
        loss: a loss with its networks.
        key: the entry.

    Raises:
        ValueError: none does.
    """
    for name in loss.networks:
        if key in getattr(loss, name).out_keys:
            return name
    raise ValueError(
        f"{type(loss).__name__}: one of {', '.join(loss.networks)} must write {key!r}, got none. Name it in "
        "the network's out_keys, or the network's key with set_keys."
    )


def prev_action_keys(network: nn.Module) -> list[NestedKey]:
    """Keys of the previous actions that the memories of a network read.

    Args:
        network: any module.
    """
    memories = (part for part in network.modules() if isinstance(part, TeamGRU))
    return [key for memory in memories for key in memory.in_keys[1:]]


def required_bounds(loss: TeamLoss) -> Bounds:
    """Bounds of the actions, for a loss that samples some itself.

    Args:
        loss: a loss with its networks.

    Raises:
        ValueError: no network tells its bounds.
    """
    bounds = action_bounds(loss)
    if bounds is None:
        raise ValueError(
            f"{type(loss).__name__}: actor_network must tell the bounds of its actions, got none. Give its "
            "distribution or module the attributes low and high."
        )
    return bounds


def require_actor_for_continuous(
    component: str, actor: TensorDictModuleBase | None, qvalue: TensorDictModuleBase
) -> None:
    """Raise a ValueError unless there is a policy if and only if Q reads its action.

    Args:
        component: name of the loss.
        actor: the policy, which writes the action; None for discrete actions.
        qvalue: the Q network.
    """
    # By the last name: `set_keys` tells the group only after the loss is built.
    if actor is None and keys.ACTION[-1] in {keys.key_path(key)[-1] for key in qvalue.in_keys}:
        raise ValueError(
            f"{component}: actor_network must be a policy where qvalue_network reads an action, got None. "
            "Pass a policy, or for discrete actions a Q network of the observation."
        )
    if actor is not None and not set(actor.out_keys) & set(qvalue.in_keys):
        raise ValueError(
            f"{component}: actor_network must be None where qvalue_network reads no action, got one. Pass "
            "None for discrete actions, where the best action of Q acts."
        )
