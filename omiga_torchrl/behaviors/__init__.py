"""Behaviour policies: training, checkpoints, playing them as a team, and recording tiers of data.

This package makes data, so that it stands above datasets, environments and networks; nothing in
``omiga_torchrl.data`` needs it.
"""

from __future__ import annotations

from omiga_torchrl.behaviors.checkpoints import (
    BehaviourCheckpoint,
    load_behaviour,
    measure_behaviour,
    read_behaviour,
    save_behaviour,
)
from omiga_torchrl.behaviors.games import GameTier, TablePolicy, game_policies, record_game
from omiga_torchrl.behaviors.joint_policy import as_team_policy
from omiga_torchrl.behaviors.ppo import PPOSettings
from omiga_torchrl.behaviors.random_baseline import RandomBaseline, random_baseline
from omiga_torchrl.behaviors.tiers import Tier, available_tiers, record_tier, select_checkpoints
from omiga_torchrl.behaviors.training import train_behaviour

__all__ = [
    "BehaviourCheckpoint",
    "GameTier",
    "PPOSettings",
    "RandomBaseline",
    "TablePolicy",
    "Tier",
    "as_team_policy",
    "available_tiers",
    "game_policies",
    "load_behaviour",
    "measure_behaviour",
    "random_baseline",
    "read_behaviour",
    "record_game",
    "record_tier",
    "save_behaviour",
    "select_checkpoints",
    "train_behaviour",
]
