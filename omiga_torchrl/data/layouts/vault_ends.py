"""What the rows of a vault say of the ends of episodes."""

from __future__ import annotations

from typing import Final

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.row_ends import RowFacts
from omiga_torchrl.data.layouts.time_limits import find_time_limit
from omiga_torchrl.data.layouts.vault_files import VaultFiles

_BYTES: Final = 16 * 2**20
_FLAGS: Final = ("terminals", "truncations", "actions", "rewards")


def row_facts(files: VaultFiles, *, discrete: bool, own: bool) -> RowFacts:
    """The flags of a vault, and where its rows have neither action nor reward.

    Args:
        files: the open vault.

    Keyword Args:
        discrete: whether actions are.
        own: whether this library wrote it: then all rows with the mark of a time-out are delimiters.
    """
    arrays = {name: files.arrays[name] for name in _FLAGS if name in files.arrays}
    rows = len(arrays["terminals"])
    terminated, truncated, idle = np.zeros((3, rows), bool)
    size = max(_BYTES // sum(array.row_bytes for array in arrays.values()), 1)
    for first in range(0, rows, size):
        span = slice(first, first + size)
        part = {name: array[span] != 0 for name, array in arrays.items()}
        ended = part["terminals"] | part.get("truncations", part["terminals"])
        terminated[span] = part["terminals"].all(1)
        truncated[span] = ended.all(1) & ~terminated[span]
        acted = part["actions"].reshape(len(ended), -1).any(1)
        idle[span] = ~acted & ~part["rewards"].any(1)

    def seen(first: int, last: int) -> Array:
        return files.arrays["observations"][first:last]

    return RowFacts(
        terminated,
        truncated,
        idle,
        is_empty=lambda first, last: not seen(first, last).any(),
        find_limit=lambda ended: find_time_limit(seen, ended),
        continuous=not discrete,
        delimiter=truncated if own else None,
    )
