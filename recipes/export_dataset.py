"""Write a dataset in a published layout, so that the published code can read it.

The launch command is in ``configs/export_dataset.yaml``.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from omiga_torchrl.command_line import checked_overrides, run_once
from omiga_torchrl.data import LAYOUTS, OfflineDataset
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.plugins import import_modules

_LOG = logging.getLogger("export_dataset")


@dataclass
class ExportConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        dataset: a bundled or published dataset, or a dataset's file or folder in any layout.
        layout: layout to write: omiga-mujoco, pymarl-npy or vault.
        out: file or folder to write; it must not be there yet.
        read: how the files are read: ``layout`` and fields of ``omiga_torchrl.data.ReadOptions``,
            e.g. ``+read.actions=clip``.
        root: folder of the cache; null means the usual one.
    """

    imports: list[str] = field(default_factory=list)
    dataset: str = "vmas/navigation/mixed"
    layout: str = MISSING
    out: str = MISSING
    read: dict[str, Any] = field(default_factory=dict)
    root: str | None = None


ConfigStore.instance().store("export_dataset_schema", ExportConfig)


def export(config: ExportConfig) -> Path:
    """Write the dataset that ``config`` names.

    Args:
        config: the recipe's fields.

    Returns:
        What was written.
    """
    import_modules(config.imports)
    writers = [name for name, layout in LAYOUTS.items() if layout.writable]
    if config.layout not in writers:
        raise unknown_name("export_dataset", "layout to write", config.layout, writers)
    dataset = OfflineDataset(config.dataset, root=config.root, progress=True, **config.read)
    out, card = Path(config.out), dataset.card
    n_actions = {name: group.action_size for name, group in card.spec.groups.items() if group.discrete}
    LAYOUTS[config.layout].write(out, dataset.blocks(), n_actions=n_actions)
    _LOG.info("wrote %s: %d transitions in %d episodes", out, card.transitions, card.episodes)
    return out


@hydra.main(config_path="configs", config_name="export_dataset", version_base="1.3")
def main(config: Any) -> None:
    """Entry point of the command line."""
    run_once("export_dataset", config, export)


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("export_dataset", sys.argv[1:], ExportConfig, configs)
    main()
