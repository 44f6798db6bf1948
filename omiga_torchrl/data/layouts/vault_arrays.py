"""The arrays of a vault, checked against each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.padded_groups import PaddedGroups
from omiga_torchrl.data.layouts.steps import discrete_actions
from omiga_torchrl.data.layouts.vault_ends import MASKS
from omiga_torchrl.data.layouts.vault_files import VaultFiles
from omiga_torchrl.errors import DataError

REQUIRED: Final = ("observations", "actions", "rewards", "terminals")
OPTIONAL: Final = ("truncations", "infos.state", "infos.legals", *MASKS)

# The entry of metadata.json that is ours.
OWN: Final = "omiga_torchrl"

_FIRST_ROWS: Final = 2**20


def is_discrete(files: VaultFiles) -> bool:
    """Whether actions are discrete: whole numbers, or floats beside legal actions that they fit to.

    Args:
        files: the open vault.
    """
    actions, legals = files.arrays["actions"], files.arrays.get("infos.legals")
    if actions.dtype.kind != "f" or legals is None:
        return actions.dtype.kind != "f"
    first = actions[: min(len(actions), _FIRST_ROWS)]
    if first.ndim == 3 and first.shape[-1] > 1:  # a delimiter's is no one-hot vector
        first = first[(first != 0).any((1, 2))]
    try:  # floats beside legal actions: what the first ones are, all are
        discrete_actions(first, legals.shape[-1], "")
    except DataError:
        return False
    return True


def count_actions(files: VaultFiles, notes: EndNotes, where: str) -> int | None:
    """Number of discrete actions; ``None`` where actions are continuous.

    Without legal actions and our own entry of the description it is one more than the largest action.

    Args:
        files: the open vault.
        notes: are told that legal actions are missing.
        where: the vault, for messages.

    Raises:
        DataError: actions that are no whole numbers from 0 on.
    """
    legals, own = files.arrays.get("infos.legals"), files.metadata.get(OWN)
    if not is_discrete(files):
        return None
    if legals is not None:
        return legals.shape[-1]
    told = own.get("n_actions") if isinstance(own, dict) else None
    if isinstance(told, int):
        return told
    actions, largest = files.arrays["actions"], 0
    vectors = actions.shape[2:] not in ((), (1,))
    for first in range(0, 0 if vectors else len(actions), _FIRST_ROWS):
        found = discrete_actions(actions[first : first + _FIRST_ROWS], None, where)
        largest = max(largest, int(found.max(initial=0)))
    count = actions.shape[2] if vectors else largest + 1
    notes.note(
        f"The vault has no legal actions ('infos.legals'): which of the {count} actions are legal is "
        f"unknown, and all count as legal{'' if vectors else '. There may be more than the data show'}."
    )
    return count


def own_groups(files: VaultFiles, where: str) -> PaddedGroups | None:
    """The groups that the vault's team was put together from, if it was.

    Args:
        files: the open vault.
        where: it, for messages.

    Raises:
        DataError: our entry of its description is damaged.
    """
    own = files.metadata.get(OWN)
    if not isinstance(own, dict) or "groups" not in own:
        return None
    return PaddedGroups.from_dict(own["groups"], where)


def array_problems(files: VaultFiles) -> Iterator[str]:
    """Arrays that do not fit to the observations.

    Args:
        files: the open vault.
    """
    observation = files.arrays["observations"].shape
    if len(observation) != 3:
        yield f"'observations' has shape {observation}, expected (T, agents, features)"
        return
    agents = observation[1]
    dims = {
        "rewards": (2,),
        "terminals": (2,),
        "truncations": (2,),
        "infos.legals": (3,),
        **dict.fromkeys(MASKS, (2, 3)),
    }
    for name, array in files.arrays.items():
        if name == "infos.state":  # of the team or of every agent
            continue
        if len(array.shape) not in dims.get(name, (2, 3)) or array.shape[1] != agents:
            yield f"{name!r} has shape {array.shape}, 'observations' has {observation}"
    actions = files.arrays["actions"].shape
    legals = files.arrays["infos.legals"].shape[2:] if "infos.legals" in files.arrays else actions[2:3]
    if is_discrete(files) and actions[2:] not in ((), (1,), legals):
        yield f"'actions' are discrete and of shape {actions}, expected {observation[:2]}, or one-hot"


def read_actions(actions: Array, legals: Array | None, where: str) -> Array:
    """Continuous actions `[T, N, A]`, or indices `[T, N]`.

    Args:
        actions: as they are stored.
        legals: legal actions `[T, N, K]` of discrete ones.
        where: the vault, for messages.

    Raises:
        DataError: discrete actions that are no whole numbers in [0, K).
    """
    if actions.dtype.kind == "f" and legals is None:
        return actions.reshape(*actions.shape[:2], -1)
    return discrete_actions(actions, None if legals is None else legals.shape[-1], where)
