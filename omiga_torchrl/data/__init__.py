"""Datasets of whole episodes: opening, checking, recording, and published ones.

The behaviour policies that make data live in ``omiga_torchrl.behaviors``; their names are here too,
and are imported when they are first used.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from torchrl.data.datasets.utils import register_dataset

from omiga_torchrl.data.agent_arrays import AgentArrays
from omiga_torchrl.data.blocks import episode_blocks, episodes_to_tensordict
from omiga_torchrl.data.bundled import bundled_behaviours, bundled_datasets, cache_root, find_dataset
from omiga_torchrl.data.cards import BehaviourEntry, DatasetCard, read_card
from omiga_torchrl.data.checks import check_dataset, check_dataset_fits
from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.data.ends import DatasetEnds
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts import (
    LAYOUTS,
    READ_OPTIONS,
    Layout,
    Reading,
    ReadOptions,
    find_layout,
    register_layout,
    unregister_layout,
)
from omiga_torchrl.data.loss_check import check_loss
from omiga_torchrl.data.normalisation import Normalisation
from omiga_torchrl.data.placement import keep_on_device
from omiga_torchrl.data.published.download import download
from omiga_torchrl.data.published.registry import (
    PublishedDataset,
    normalised_score,
    published_dataset,
    published_datasets,
)
from omiga_torchrl.data.recording.dataset_recorder import record_dataset
from omiga_torchrl.data.recording.recorder import record_episodes
from omiga_torchrl.data.recording.settings import RecordingSettings
from omiga_torchrl.data.recording.writing import write_recording
from omiga_torchrl.data.slices import StepSliceSampler
from omiga_torchrl.data.statistics.dataset_statistics import DatasetStatistics, dataset_statistics
from omiga_torchrl.data.storage import IndexSelectStorage
from omiga_torchrl.data.value_bound import discounted_return_range

if TYPE_CHECKING:
    from omiga_torchrl.behaviors import (
        BehaviourCheckpoint,
        PPOSettings,
        Tier,
        as_team_policy,
        load_behaviour,
        measure_behaviour,
        read_behaviour,
        record_tier,
        save_behaviour,
        select_checkpoints,
        train_behaviour,
    )

# Imported on first use: opening a dataset needs no environment and no trainer of policies.
_BEHAVIORS = frozenset(
    {
        "BehaviourCheckpoint",
        "PPOSettings",
        "Tier",
        "as_team_policy",
        "load_behaviour",
        "measure_behaviour",
        "read_behaviour",
        "record_tier",
        "save_behaviour",
        "select_checkpoints",
        "train_behaviour",
    }
)


def __getattr__(name: str) -> Any:
    if name not in _BEHAVIORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from omiga_torchrl import behaviors

    return getattr(behaviors, name)


def _open_published(family: str, name: str, **options: Any) -> OfflineDataset:
    return OfflineDataset(f"{family}:{name}", **options)


# `torchrl.data.datasets.load_dataset("omiga_torchrl:vmas/navigation/mixed", batch_size=256)`
register_dataset("omiga_torchrl", OfflineDataset, replace=True)
# and `load_dataset("omiga:hopper-3x1/medium", root=...)`; TorchRL has its own "d4rl" and "minari".
for _family in sorted({name.partition(":")[0] for name in published_datasets()} - {"d4rl", "minari"}):
    register_dataset(_family, partial(_open_published, _family), replace=True)

__all__ = [
    "LAYOUTS",
    "READ_OPTIONS",
    "AgentArrays",
    "BehaviourCheckpoint",
    "BehaviourEntry",
    "DatasetCard",
    "DatasetEnds",
    "DatasetStatistics",
    "Episodes",
    "IndexSelectStorage",
    "Layout",
    "Normalisation",
    "OfflineDataset",
    "PPOSettings",
    "PublishedDataset",
    "ReadOptions",
    "Reading",
    "RecordingSettings",
    "StepSliceSampler",
    "Tier",
    "as_team_policy",
    "bundled_behaviours",
    "bundled_datasets",
    "cache_root",
    "check_dataset",
    "check_dataset_fits",
    "check_loss",
    "dataset_statistics",
    "discounted_return_range",
    "download",
    "episode_blocks",
    "episodes_to_tensordict",
    "find_dataset",
    "find_layout",
    "keep_on_device",
    "load_behaviour",
    "measure_behaviour",
    "normalised_score",
    "published_dataset",
    "published_datasets",
    "read_behaviour",
    "read_card",
    "record_dataset",
    "record_episodes",
    "record_tier",
    "register_layout",
    "save_behaviour",
    "select_checkpoints",
    "train_behaviour",
    "unregister_layout",
    "write_recording",
]
