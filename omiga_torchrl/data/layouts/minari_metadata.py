"""The description of Minari's datasets: ``data/metadata.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from omiga_torchrl.data.layouts.base import require
from omiga_torchrl.data.layouts.minari_spaces import Space, has_images, unreadable_spaces
from omiga_torchrl.errors import DataError

METADATA: Final = "data/metadata.json"


def read_metadata(path: Path) -> dict[str, Any]:
    """The description of a dataset.

    Args:
        path: its folder.

    Raises:
        DataError: it is not there, or no JSON object.
    """
    try:
        return _parse((path / METADATA).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"OfflineDataset: {path}: cannot read {METADATA}: {error}. Is it the folder of a Minari "
            "dataset, and complete?"
        ) from error


def _parse(text: Any) -> dict[str, Any]:
    """A JSON object; Minari keeps spaces as text within its JSON."""
    value = json.loads(text) if isinstance(text, str) else text
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {type(value).__name__}")
    return value


def check_spaces(metadata: dict[str, Any], path: Path) -> tuple[Space, Space]:
    """The spaces of actions and of observations.

    Args:
        metadata: of :func:`read_metadata`.
        path: the folder, for messages.

    Raises:
        DataError: the data are in another format, or of spaces that cannot be read.
    """
    form, found = metadata.get("data_format", "hdf5"), []
    if form != "hdf5":
        raise DataError(
            f"OfflineDataset: {path}: its data_format is {form!r}, expected 'hdf5'. Load it with minari and "
            "create it again with data_format='hdf5'."
        )
    try:
        action = _parse(metadata.get("action_space", {}))
        observation = _parse(metadata.get("observation_space", {}))
    except (ValueError, RecursionError) as error:
        raise DataError(f"OfflineDataset: {path}: cannot read the spaces in {METADATA}: {error}.") from error
    if action.get("type", "Box") not in ("Box", "Discrete"):
        found.append(f"actions are of the space {action['type']!r}, expected Box or Discrete")
    if action.get("start", 0) != 0:
        found.append(f"actions are counted from {action['start']!r}, expected from 0")
    if metadata.get("jpeg_encoding") and has_images(observation):
        found.append("observations hold compressed images, expected vectors")
    found += unreadable_spaces(observation)
    require(found, f"OfflineDataset: {path}", "Such datasets cannot be read.")
    return action, observation
