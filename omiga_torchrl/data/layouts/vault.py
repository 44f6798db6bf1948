"""OG-MARL's Flashbax Vaults, read and written without JAX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import Counts, Layout, Reading, ReadOptions, require
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.guards import new_folder
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.padded_groups import padded_blocks
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.row_ends import find_row_ends, terminated_episodes
from omiga_torchrl.data.layouts.steps import count_steps
from omiga_torchrl.data.layouts.vault_arrays import (
    OPTIONAL,
    OWN,
    REQUIRED,
    array_problems,
    count_actions,
    is_discrete,
    own_groups,
)
from omiga_torchrl.data.layouts.vault_blocks import read_blocks
from omiga_torchrl.data.layouts.vault_ends import scan_rows
from omiga_torchrl.data.layouts.vault_files import VaultFiles
from omiga_torchrl.data.layouts.vault_folders import is_vault, one_uid, vault_folders, zipped_vaults
from omiga_torchrl.data.layouts.vault_rows import to_rows
from omiga_torchrl.data.layouts.vault_writing import write_vault
from omiga_torchrl.errors import DataError


@register_layout("vault", priority=40)
class VaultLayout(Layout):
    """A Flashbax Vault as OG-MARL publishes them: the folder ``{scenario}.vlt/{uid}``.

    One row is a step; what was seen after the last step of an episode is not stored. Where the
    task ended it is not needed. Where time ran out, and where the vault stops within an episode
    (``incomplete="truncated"``), the last row only serves as the observation after the step before.

    An episode ended where all agents have ended; it terminated where all agents' ``terminals``
    are set. Agents that do not take part need no end, see
    :func:`~omiga_torchrl.data.layouts.vault_ends.scan_rows`. Some vaults keep one row more an episode, a
    delimiter with what was seen at last, or are padded with zeros, or mark no end at all: see
    :func:`~omiga_torchrl.data.layouts.row_ends.find_row_ends`. Rows behind the vault's write index are no
    data.
    """

    summary: ClassVar[str] = "OG-MARL's Flashbax Vault: folder {scenario}.vlt/{uid} with metadata.json"

    def matches(self, path: Path) -> bool:
        """Whether there is a vault, or a folder or a zip of vaults."""
        try:
            return is_vault(path) or bool(vault_folders(path) or zipped_vaults(path))
        except (OSError, DataError):
            return False

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check all arrays, find the episodes, then stream them.

        Args:
            path: the folder of a uid, or one above it with a single one.
            options: how it is read.

        Raises:
            ImportError: tensorstore is not installed.
            DataError: it is damaged, arrays are missing or of wrong sizes, or there are several uids.
            ValueError: ``timeout_is_terminal=False`` without ``max_steps``, and the vault marks no
                time-out.
        """
        folder = one_uid(path)
        where = f"OfflineDataset: {folder}"
        files = VaultFiles.open(folder, REQUIRED, OPTIONAL)
        require(list(array_problems(files)), where, "Expected the arrays of OG-MARL's vaults.")
        own, notes, left_out = OWN in files.metadata, EndNotes(), LeftOut()
        scan = scan_rows(files, discrete=is_discrete(files), own=own, where=where)
        found = find_row_ends(scan.facts, options, notes, where)
        present = scan.find_absent(files, found)
        terminated = terminated_episodes(found, options)
        dropped = ~terminated & ~found.delimited
        notes.cut.append(found.cut[found.rows > (dropped | found.delimited)])
        reading = Reading(
            read_blocks(files, found, terminated, present, options, where, left_out),
            left_out=left_out,
            ends=notes,
            steps=count_steps(terminated, found.rows, found.delimited),
            n_actions=count_actions(files, notes, where),
        )
        groups = own_groups(files, where)
        if groups is None or isinstance(options.groups, Mapping):  # by number agents are of the padded team
            return reading
        return groups.reading(reading, where)

    def write(self, path: Path, blocks: Iterable[Episodes], *, n_actions: Counts = None) -> None:
        """Write episodes as a vault that Flashbax and OG-MARL read.

        Reading it gives the same episodes, with floats in single precision, but for what a vault
        has no room for: the observation after a termination becomes the one before it, and an end
        that is both a termination and a time-out is a termination. Every agent's own reward is written
        where there is one, and read again with ``agent_rewards=True`` and the rule ``team_reward``.

        .. note:: An episode that ran out of time gets one row more, with its last observation, the
            first legal action (or zeros), no reward, and the mark of its end. Its return is the
            same. OG-MARL's systems take it for a step.

        Several groups are written as one team, filled up with zeros, and read as groups again.

        Args:
            path: the folder of the uid, such as ``vaults/mine/vmas/wheel.vlt/mixed``.
            blocks: whole episodes, e.g. of :func:`omiga_torchrl.data.blocks.episode_blocks`.
            n_actions: number of discrete actions K, noted for reading where there is no mask.

        Raises:
            FileExistsError: there is something at ``path``.
            ImportError: tensorstore is not installed.
            DataError: there is no transition, or the sizes change from block to block.

        Examples:
            >>> import tempfile
            >>> import numpy as np
            >>> ends = np.array([False, True])
            >>> episode = Episodes(
            ...     np.zeros((3, 2, 4)), np.zeros((2, 2, 1)), np.ones(2), ends, ~ends & False, np.array([2])
            ... )
            >>> path = Path(tempfile.mkdtemp()) / "toy.vlt"
            >>> layout = VaultLayout()
            >>> layout.write(path, [episode])
            >>> layout.read(path, ReadOptions()).steps
            2
        """
        # OG-MARL's systems need a state. That it is only a copy is noted, to read it back as none.
        team, groups, count = padded_blocks(blocks, n_actions)
        own: dict[str, Any] = {"state": "observations"} | ({"n_actions": count} if count else {})
        own |= {} if groups is None else {"groups": groups.to_dict()}

        def parts() -> Iterator[dict[str, Array]]:
            for block in team:
                if block.state is not None:
                    own["state"] = "stored"
                yield to_rows(block)

        with new_folder(path) as folder:  # the note goes last, when all blocks have passed
            write_vault(folder, parts(), {OWN: own})
