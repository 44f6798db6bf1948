"""Readers and writers of the layouts in which offline multi-agent datasets are published."""

from __future__ import annotations

from pathlib import Path

from omiga_torchrl.data.layouts.base import (
    BLOCK_BYTES,
    ActionConvention,
    Layout,
    Reading,
    block_spans,
)
from omiga_torchrl.data.layouts.d4rl import D4rlLayout
from omiga_torchrl.data.layouts.minari import MinariLayout
from omiga_torchrl.data.layouts.omar import OmarLayout
from omiga_torchrl.data.layouts.omiga_mujoco import OmigaMujocoLayout
from omiga_torchrl.data.layouts.omiga_smac import OmigaSmacLayout
from omiga_torchrl.data.layouts.options import READ_OPTIONS, ReadOptions
from omiga_torchrl.data.layouts.pymarl_h5 import PymarlH5Layout
from omiga_torchrl.data.layouts.pymarl_npy import PymarlNpyLayout
from omiga_torchrl.data.layouts.recording import RecordingLayout
from omiga_torchrl.data.layouts.vault import VaultLayout
from omiga_torchrl.errors import DataError, unknown_name

# Asked in this order which of them a path is.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        RecordingLayout(),
        OmigaMujocoLayout(),
        PymarlH5Layout(),
        D4rlLayout(),
        MinariLayout(),
        VaultLayout(),
        PymarlNpyLayout(),
        OmarLayout(),
        OmigaSmacLayout(),
    )
}


def find_layout(path: str | Path, name: str | None = None) -> Layout:
    """The layout of a file or folder.

    Args:
        path: the file or folder.
        name: its layout, if that is known; ``None`` looks.

    Raises:
        FileNotFoundError: there is nothing at ``path``.
        ValueError: unknown ``name``; lists all.
        DataError: it looks like none of the layouts.
    """
    if name is not None and name not in LAYOUTS:
        raise unknown_name("OfflineDataset", "layout", name, LAYOUTS)
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"OfflineDataset: {path} does not exist; expected a dataset's file or folder."
        )
    if name is not None:
        return LAYOUTS[name]
    for layout in LAYOUTS.values():
        if layout.matches(path):
            return layout
    known = "; ".join(f"{layout.name}: {layout.summary}" for layout in LAYOUTS.values())
    raise DataError(
        f"OfflineDataset: {path} looks like none of the known layouts. Pass layout=. Known: {known}."
    )


__all__ = [
    "BLOCK_BYTES",
    "LAYOUTS",
    "READ_OPTIONS",
    "ActionConvention",
    "Layout",
    "ReadOptions",
    "Reading",
    "RecordingLayout",
    "block_spans",
    "find_layout",
]
