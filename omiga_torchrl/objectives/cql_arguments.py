"""Which options of :class:`omiga_torchrl.objectives.cql.CQLLoss` fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from omiga_torchrl.errors import unknown_name
from omiga_torchrl.objectives.conservative import Penalty

if TYPE_CHECKING:
    from omiga_torchrl.objectives.cql import CQLLoss

ActorObjective = Literal["max_q", "weighted_bc"]


def check_arguments(loss: CQLLoss) -> None:
    """Raise a ValueError for options, or networks, that do not fit together.

    Args:
        loss: a loss with its networks.
    """
    if loss.penalty not in get_args(Penalty):
        raise unknown_name("CQLLoss", "penalty", loss.penalty, get_args(Penalty))
    if loss.actor_objective not in get_args(ActorObjective):
        raise unknown_name("CQLLoss", "actor_objective", loss.actor_objective, get_args(ActorObjective))
    if loss.is_official and "actor_network" not in loss.networks:
        raise ValueError(
            "CQLLoss: variant must be 'paper' for discrete actions, got 'official'. Use penalty='joint' for "
            "MA-CQL."
        )
    if loss.penalty == "joint" and loss.groups is not None and loss.groups.is_mixed:
        raise ValueError(
            "CQLLoss: penalty must not be 'joint' for a team with continuous and discrete actions, whose "
            "candidates are of different numbers. Use penalty='counterfactual'."
        )
    if loss.penalty == "summed" and loss.has_mixer and not loss.has_linear_mixer:
        raise ValueError(
            "CQLLoss: mixer_network must be linear for penalty='summed', got a monotonic mixer. Use "
            "penalty='counterfactual' or 'joint'."
        )
    temperature, has_model = loss.penalty_inverse_temperature, "behavior_network" in loss.networks
    if has_model != bool(temperature):
        raise ValueError(
            f"CQLLoss: behavior_network must be {'a model' if temperature else 'None'} for penalty_inverse_"
            f"temperature={temperature}, got {'one' if has_model else 'None'}. Pass one unless that is 0."
        )
    if temperature and not (loss.has_mixer and loss.penalty == "counterfactual"):
        needs = "0 without a mixer and penalty='counterfactual'"
        raise ValueError(f"CQLLoss: penalty_inverse_temperature must be {needs}, got {temperature}.")
