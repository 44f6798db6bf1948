"""Datasets of whole episodes, and the behaviour policies that make them."""

from __future__ import annotations

from torchrl.data.datasets.utils import register_dataset

from omiga_torchrl.data.behaviour import PPOSettings, train_behaviour
from omiga_torchrl.data.bundled import bundled_behaviours, bundled_datasets, cache_root, find_dataset
from omiga_torchrl.data.cards import BehaviourEntry, DatasetCard, read_card
from omiga_torchrl.data.checkpoints import (
    BehaviourCheckpoint,
    load_behaviour,
    measure_behaviour,
    read_behaviour,
    save_behaviour,
)
from omiga_torchrl.data.checks import check_dataset, check_dataset_fits
from omiga_torchrl.data.dataset import OfflineDataset, episodes_to_tensordict
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.recorder import record_episodes
from omiga_torchrl.data.storage import IndexSelectStorage
from omiga_torchrl.data.tiers import Tier, record_tier, select_checkpoints, write_recording

# `torchrl.data.datasets.load_dataset("omiga_torchrl:vmas/navigation/mixed", batch_size=256)`
register_dataset("omiga_torchrl", OfflineDataset, replace=True)

__all__ = [
    "BehaviourCheckpoint",
    "BehaviourEntry",
    "DatasetCard",
    "Episodes",
    "IndexSelectStorage",
    "OfflineDataset",
    "PPOSettings",
    "Tier",
    "bundled_behaviours",
    "bundled_datasets",
    "cache_root",
    "check_dataset",
    "check_dataset_fits",
    "episodes_to_tensordict",
    "find_dataset",
    "load_behaviour",
    "measure_behaviour",
    "read_behaviour",
    "read_card",
    "record_episodes",
    "record_tier",
    "save_behaviour",
    "select_checkpoints",
    "train_behaviour",
    "write_recording",
]
