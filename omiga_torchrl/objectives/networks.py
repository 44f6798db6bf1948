"""Facts that a loss reads off its networks: kind of actions, bounds, kind of mixer, memories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tensordict import NestedKey
from tensordict.nn import ProbabilisticTensorDictSequential
from torch import nn
from torch.distributions import Categorical, OneHotCategorical

from omiga_torchrl.modules.recurrent import TeamGRU

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss

Bounds = tuple[float, float]


def has_discrete_actions(loss: TeamLoss) -> bool:
    """True if Q reads no action, or the policy, for losses without Q, is a distribution over finitely many.

    Args:
        loss: a loss with its networks.
    """
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
            low, high = getattr(part, "low", None), getattr(part, "high", None)
            if isinstance(low, (int, float)) and isinstance(high, (int, float)):
                return float(low), float(high)
    return None


def mixer_kind(loss: TeamLoss) -> Literal["linear", "monotonic"]:
    """``"linear"`` for a mixer that writes its weights and bias, ``"monotonic"`` for one that mixes values.

    Args:
        loss: a loss with a mixer.
    """
    return "linear" if loss.tensor_keys.mixer_weight in loss.mixer_network.out_keys else "monotonic"


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
        f"{type(loss).__name__}: one of {', '.join(loss.networks)} must write {key!r}, got none. Name it in the "
        "network's out_keys, or the network's key with set_keys."
    )


def prev_action_keys(network: nn.Module) -> list[NestedKey]:
    """Keys of the previous actions that the memories of a network read.

    Args:
        network: any module.
    """
    memories = (part for part in network.modules() if isinstance(part, TeamGRU))
    return [key for memory in memories for key in memory.in_keys[1:]]
