"""Guards of readers and writers of files from elsewhere: one kind of error, whole folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import storage_errors
from omiga_torchrl.folders import temporary_folder

_CAUSE_LENGTH = 120


@contextmanager
def as_data_error(where: str | Path, fix: str = "Is it complete? Fetch it again.") -> Iterator[None]:
    """Turn whatever a damaged file makes another library raise into a :class:`DataError`.

    Args:
        where: the file, for the message.
        fix: what to do about it.

    Examples:
        >>> with as_data_error("file.npy"):
        ...     raise KeyError("descr")
        Traceback (most recent call last):
        ...
        omiga_torchrl.errors.DataError: OfflineDataset: file.npy cannot be read: KeyError: 'descr'. Is it...
    """
    try:
        yield
    except (DataError, ImportError):
        raise
    except Exception as error:  # libraries document none of what damaged files make them raise
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:_CAUSE_LENGTH].rstrip(".: ")
        raise DataError(f"OfflineDataset: {where} cannot be read: {cause}. {fix}") from error


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A folder that appears under its name only once it is complete.

    A crash or an error inside the block leaves nothing. Missing parents are made.

    Args:
        path: the folder to write; must not exist.

    Raises:
        FileExistsError: it does.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "new"
        >>> with new_folder(path) as folder:
        ...     _ = (folder / "a.txt").write_text("whole")
        >>> [file.name for file in path.iterdir()]
        ['a.txt']
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; expected a new folder. Remove it or choose another name.")
    with storage_errors(path, "out="), temporary_folder(path) as partial:
        yield partial


def require_plain(
    component: str, block: Episodes, *, has_rewards: bool = False, has_presence: bool = False
) -> None:
    """Refuse what a layout of plain teams has no place for, instead of leaving it out.

    Args:
        component: the layout, for the message.
        block: what it is to write.

    Keyword Args:
        has_rewards: whether the layout has a place for every agent's own reward.
        has_presence: whether it has one for agents that come and go.

    Raises:
        DataError: several groups, agents that come and go, or rewards of agents.
    """
    if not block.is_plain:
        raise DataError(
            f"{component}: this layout has no place for the groups {', '.join(block.groups)}, only for one "
            "team of agents with equal spaces. Keep them in a recording: write_recording. Or write the "
            "layout 'vault', or 'pymarl-npy' for discrete actions, which note their groups."
        )
    group = next(iter(block.groups.values()))
    found = [] if group.agent_mask is None or has_presence else ["agents that come and go ('agent_mask')"]
    if group.reward is not None and not has_rewards:
        found.append("every agent's own reward")
    if found:
        raise DataError(
            f"{component}: this layout has no place for {' or '.join(found)}. Keep them in a recording: "
            "write_recording."
        )
