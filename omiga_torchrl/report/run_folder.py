"""Which folder a run gets, and what happens to a run that is there already."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from omiga_torchrl.errors import DataError, SettingsError, unknown_name
from omiga_torchrl.files import remove_unfinished, storage_errors
from omiga_torchrl.report.hyperparameters import changed_hyperparameters
from omiga_torchrl.report.identity import RunIdentity
from omiga_torchrl.report.lock import LOCK_FILE, lock_folder, release_folder
from omiga_torchrl.report.records import RUN_FILE, RunInfo, read_info

_LOG = logging.getLogger(__name__)

Existing = Literal["error", "keep", "resume", "extend", "overwrite"]
EXISTING: Final[tuple[Existing, ...]] = get_args(Existing)
_STEPS, _EXTENDED = "trainer.steps", "trainer.extended_from"


class Claim(NamedTuple):
    """A folder that this process may write.

    Attributes:
        path: the folder; it exists and is locked.
        info: what is run in it.
        found: the run that was there and goes on; ``None``: the folder is new.
    """

    path: Path
    info: RunInfo
    found: RunInfo | None


def claim_folder(root: str | Path, info: RunInfo, existing: Existing = "error") -> Claim:
    """The folder of a run, made or taken over, and locked for this process.

    It is ``<root>/<info.folder>``. If another run has it, by its identity, the hash of the own identity is
    added to the name, so that runs that differ in anything that counts never share a folder.

    Args:
        root: folder of all runs.
        info: what is run.
        existing: what to do with the same run: ``"error"``; ``"keep"`` (a finished run is left as it is, an
            interrupted one goes on); ``"resume"`` (the same, and it is an error if the folder is that of
            another run); ``"extend"`` (a finished run goes on to more steps); ``"overwrite"`` (what the
            folder holds is removed, whatever it is).

    Raises:
        FileExistsError: the run is there and ``existing`` is ``"error"``.
        ValueError: unknown ``existing``.
        SettingsError: the run that is there is another one; lists the differences.
        DataError: the folder holds files that are no run.
        RunLockedError: another process writes it.
        StorageError: it cannot be written.

    Examples:
        >>> import tempfile
        >>> claim = claim_folder(tempfile.mkdtemp(), RunInfo("bc", "game", "mixed", 0))
        >>> claim.path.name, claim.found
        ('bc__game__mixed__seed0', None)
    """
    if existing not in EXISTING:
        raise unknown_name("RunWriter", "value of existing", existing, EXISTING)
    path = _choose(Path(root), info, existing)
    with storage_errors(path, "out= (root= in Python)"):
        path.mkdir(parents=True, exist_ok=True)
        lock_folder(path)
    try:
        _tidy(path)
        return _take_over(path, info, existing)
    except BaseException:
        release_folder(path)
        raise


def _tidy(path: Path) -> None:
    """Removes what processes that were killed had begun."""
    for left in path.parent.glob(f".{path.name}.former-*"):
        shutil.rmtree(left, ignore_errors=True)
    remove_unfinished(path)


def _take_over(path: Path, info: RunInfo, existing: Existing) -> Claim:
    """The run of a locked folder: a new one, or the one that is in it."""
    if not _occupied(path):
        return Claim(path, info, None)
    if existing == "overwrite":
        _empty(path)
        return Claim(path, info, None)
    found = _recorded(path)
    if existing == "error":
        raise FileExistsError(
            f"RunWriter: {path} holds a run already. Use existing='resume' or 'keep' to go on with it, "
            f"'extend' for more steps, 'overwrite' to remove it, or choose another root."
        )
    if existing == "extend" and extends(found, info):
        return Claim(path, _extended(found, info), found)
    _require_same(path, found, info)
    return Claim(path, replace(info, identity=found.identity), found)


def extends(found: RunInfo, asked: RunInfo) -> bool:
    """Whether ``asked`` is ``found`` with more steps.

    Args:
        found: a recorded run.
        asked: a run that would go on from it.
    """
    differences = _differences(found, asked)
    steps = differences.pop(_STEPS, (0, 0))
    return bool(found.identity) and not differences and steps[1] > steps[0]


def is_finished(info: RunInfo) -> bool:
    """Whether a recorded run came to its end."""
    return bool(info.audit.get("finished"))


def list_differences(differences: Mapping[str, tuple[Any, Any]]) -> str:
    """Differences as text: key, recorded and asked value.

    Examples:
        >>> list_differences({"trainer.lr": (0.1, 0.2)})
        'trainer.lr (recorded 0.1, asked 0.2)'
    """
    return ", ".join(f"{key} (recorded {old!r}, asked {new!r})" for key, (old, new) in differences.items())


def _choose(root: Path, info: RunInfo, existing: Existing) -> Path:
    base = root / info.folder
    if not info.identity or not _occupied(base):
        return base
    own = root / f"{info.folder}__{RunIdentity(info.identity).hash}"
    for path in (own, base):
        try:
            found = _recorded(path) if (path / RUN_FILE).is_file() else None
        except DataError:
            if existing == "overwrite":
                return path
            raise
        if found is not None and found.identity and not _differences(found, info):
            return path
    if existing in ("resume", "extend", "overwrite") or not (base / RUN_FILE).is_file():
        return base
    _LOG.info("%s holds a run with other settings; this one goes to %s", base, own.name)
    return own


def _occupied(path: Path) -> bool:
    return path.is_dir() and any(one.name != LOCK_FILE for one in path.iterdir())


def _recorded(path: Path) -> RunInfo:
    if not (path / RUN_FILE).is_file():
        raise DataError(
            f"RunWriter: {path} must be the folder of a run, got files without {RUN_FILE}. Use "
            f"existing='overwrite' to remove them, or choose another root."
        )
    return read_info(path / RUN_FILE)


def _empty(path: Path) -> None:
    """An empty folder of the same name, at once: a crash leaves all of the former run or nothing."""
    aside = path.with_name(f".{path.name}.former-{os.getpid()}")
    path.rename(aside)
    path.mkdir()
    lock_folder(path)
    shutil.rmtree(aside)


def _differences(found: RunInfo, asked: RunInfo) -> dict[str, tuple[Any, Any]]:
    differences = RunIdentity(found.identity).differences(RunIdentity(asked.identity))
    return {key: values for key, values in differences.items() if key != _EXTENDED}


def _require_same(path: Path, found: RunInfo, asked: RunInfo) -> None:
    if asked.identity and not found.identity:
        raise SettingsError(
            f"RunWriter: {path} was written by a former version, which did not record what decides its "
            f"result; expected a run of this version to resume. It can be reported; use "
            f"existing='overwrite' or another root to run it again."
        )
    if asked.identity:
        differences = _differences(found, asked)
        text = list_differences(differences)
    else:
        text = ", ".join(changed_hyperparameters(found.hyperparameters, asked.hyperparameters))
    if not text:
        return
    more = " existing='extend' goes on to more steps." if extends(found, asked) else ""
    raise SettingsError(
        f"RunWriter: {path} was run with other values of {text}; expected the same ones to resume.{more} "
        f"Use existing='keep' to run it in a folder of its own, 'overwrite', or another root."
    )


def _extended(found: RunInfo, asked: RunInfo) -> RunInfo:
    """The run that goes on; where the learning rate depends on the length it is no uninterrupted one."""
    steps = found.identity["trainer"]["steps"]
    if not is_finished(found):
        raise SettingsError(
            f"RunWriter: existing='extend' must go on from a finished run, got one that stopped before its "
            f"{steps} steps. Finish it with existing='resume' first."
        )
    before = found.identity["trainer"].get("extended_from", [])
    if asked.identity["trainer"].get("lr_schedule") is None and not before:
        return asked
    trainer = {**asked.identity["trainer"], "extended_from": [*before, steps]}
    return replace(asked, identity={**asked.identity, "trainer": trainer})
