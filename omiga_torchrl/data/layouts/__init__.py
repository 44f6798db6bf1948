"""Readers and writers of the layouts in which offline multi-agent datasets are published, one a file."""

from __future__ import annotations

from omiga_torchrl.action_conventions import ActionConvention
from omiga_torchrl.data.layouts.base import BLOCK_BYTES, Layout, Reading, block_spans
from omiga_torchrl.data.layouts.d3rlpy import D3rlpyLayout
from omiga_torchrl.data.layouts.d4rl import D4rlLayout
from omiga_torchrl.data.layouts.minari import MinariLayout
from omiga_torchrl.data.layouts.omar import OmarLayout
from omiga_torchrl.data.layouts.omiga_mujoco import OmigaMujocoLayout
from omiga_torchrl.data.layouts.omiga_smac import OmigaSmacLayout
from omiga_torchrl.data.layouts.options import READ_OPTIONS, ReadOptions
from omiga_torchrl.data.layouts.pymarl_h5 import PymarlH5Layout
from omiga_torchrl.data.layouts.pymarl_npy import PymarlNpyLayout
from omiga_torchrl.data.layouts.recording import RecordingLayout
from omiga_torchrl.data.layouts.registry import LAYOUTS, find_layout, register_layout, unregister_layout
from omiga_torchrl.data.layouts.rllib import RllibLayout
from omiga_torchrl.data.layouts.vault import VaultLayout

__all__ = [
    "BLOCK_BYTES",
    "LAYOUTS",
    "READ_OPTIONS",
    "ActionConvention",
    "D3rlpyLayout",
    "D4rlLayout",
    "Layout",
    "MinariLayout",
    "OmarLayout",
    "OmigaMujocoLayout",
    "OmigaSmacLayout",
    "PymarlH5Layout",
    "PymarlNpyLayout",
    "ReadOptions",
    "Reading",
    "RecordingLayout",
    "RllibLayout",
    "VaultLayout",
    "block_spans",
    "find_layout",
    "register_layout",
    "unregister_layout",
]
