"""Ends of episodes, and agents that take part, as the rows of a vault say them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.presence import find_absent, given_mask, without_choice
from omiga_torchrl.data.layouts.row_ends import RowEnds, RowFacts
from omiga_torchrl.data.layouts.time_limits import find_time_limit
from omiga_torchrl.data.layouts.vault_files import VaultFiles

_BYTES: Final = 4 * 2**20
MASKS: Final = ("infos.agent_mask", "agent_mask")
_FLAGS: Final[tuple[str, ...]] = ("terminals", "truncations", "actions", "rewards", *MASKS)


@dataclass
class VaultRows:
    """Flags of the rows of a vault, `[T, N]` each but for the facts.

    Attributes:
        facts: of the team's rows.
        ended: where an agent's own end is marked.
        acted: where it has an action other than zero.
        absent: where it does not take part; final once the episodes are known, see :meth:`find_absent`.
    """

    facts: RowFacts
    ended: Array
    acted: Array
    absent: Array

    def find_absent(self, files: VaultFiles, ends: RowEnds) -> Array | None:
        """Where agents take part `[T, N]`; ``None`` means always.

        Args:
            files: the open vault.
            ends: its episodes.
        """
        told = any(name in files.arrays for name in MASKS) or "infos.legals" in files.arrays
        if not told and len(ends.start):
            read = partial(_observations, files)
            self.absent |= find_absent(self.ended, self.acted, ends.start, ends.rows, read)
        is_mask = any(name in files.arrays for name in MASKS) or self.absent.any()
        return ~self.absent if is_mask else None


def scan_rows(files: VaultFiles, *, discrete: bool, own: bool, where: str) -> VaultRows:
    """The flags of a vault, and where its rows have neither action nor reward.

    Agents that do not take part need no end: those that the vault's mask leaves out, that have no legal
    action while another one has, and slots that never act, end or see anything.

    Args:
        files: the open vault.

    Keyword Args:
        discrete: whether actions are.
        own: whether this library wrote it: then all rows with the mark of a time-out are delimiters.
        where: the vault, for messages.
    """
    arrays = {name: files.arrays[name] for name in _FLAGS if name in files.arrays}
    if discrete and "infos.legals" in files.arrays:
        arrays["infos.legals"] = files.arrays["infos.legals"]
    rows, agents = arrays["terminals"].shape
    terminals, ended, acted, absent = np.zeros((4, rows, agents), bool)
    rewarded = np.zeros(rows, bool)
    size = max(_BYTES // sum(array.row_bytes for array in arrays.values()), 1)
    for first in range(0, rows, size):
        span = slice(first, first + size)
        part = {name: array[span] for name, array in arrays.items()}
        terminals[span] = part["terminals"] != 0
        ended[span] = terminals[span] | (part.get("truncations", part["terminals"]) != 0)
        acted[span] = (part["actions"] != 0).reshape(*acted[span].shape, -1).any(2)
        rewarded[span] = (part["rewards"] != 0).any(1)
        absent[span] = _absent(part, where)
    unused: Array = np.asarray(~(ended | acted).any(0))
    if unused.any() and acted.any() and not _sees(files, unused):
        absent |= unused
    terminated: Array = np.asarray((terminals | absent).all(1) & terminals.any(1))
    truncated: Array = np.asarray((ended | absent).all(1) & ended.any(1) & ~terminated)
    seen = partial(_observations, files)
    facts = RowFacts(
        terminated,
        truncated,
        idle=np.asarray(~acted.any(1) & ~rewarded),
        is_empty=lambda first, last: not seen(first, last).any(),
        find_limit=partial(find_time_limit, seen),
        continuous=not discrete,
        delimiter=truncated if own else None,
    )
    return VaultRows(facts, ended, acted, absent)


def _absent(part: dict[str, Array], where: str) -> Array:
    """Agents that do not take part, as far as the rows themselves say so."""
    for name in MASKS:
        if name in part:
            return ~given_mask(part[name], where)
    return without_choice(part["infos.legals"]) if "infos.legals" in part else np.asarray(False)


def _observations(files: VaultFiles, first: int, last: int) -> Array:
    return files.arrays["observations"][first:last]


def _sees(files: VaultFiles, agents: Array) -> bool:
    """Whether some agents ever see anything but zeros."""
    observations = files.arrays["observations"]
    size = max(_BYTES // observations.row_bytes, 1)
    parts = (observations[first : first + size] for first in range(0, len(observations), size))
    return any(((part[:, agents] != 0) & np.isfinite(part[:, agents])).any() for part in parts)
