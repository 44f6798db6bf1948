"""Records: one JSON file for every finished run, never changed, from which reports are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from omiga_torchrl.benchmark.record_files import SUFFIX, find_record, record_paths
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import atomic_write
from omiga_torchrl.plain_files import read_json
from omiga_torchrl.report.records import Evaluation, Run, RunInfo

SCHEMA: Final = 1
DAMAGED: Final = ".damaged"
# What two executions of one run share.
RESULT: Final = ("key", "algorithm", "task", "dataset", "seed", "protocol", "identity", "evaluations")
_NEEDED: Final[Mapping[str, type]] = {
    **dict.fromkeys(("key", "algorithm", "task", "dataset", "sha256"), str),
    **dict.fromkeys(("protocol", "identity", "config", "references", "data", "cost"), dict),
    "seed": int, "evaluations": list,
}  # fmt: skip


@dataclass(frozen=True)
class Record:
    """A finished run, as ``docs/benchmark.md`` describes it.

    Attributes:
        values: the entries of the file.
        path: the file.
    """

    values: Mapping[str, Any]
    path: Path

    @property
    def key(self) -> str:
        """The name of the run, the same for every execution of it."""
        return str(self.values["key"])

    @property
    def cell(self) -> str:
        """Task and dataset."""
        return f"{self.values['task']}/{self.values['dataset']}"

    @property
    def run(self) -> Run:
        """The run as reports read it."""
        values = self.values
        info = RunInfo(
            **{name: values[name] for name in ("algorithm", "task", "dataset", "seed")},
            hyperparameters=values["config"].get("algorithm", {}),
            behaviour_return=values["references"].get("behaviour"),
            best_checkpoint_return=values["references"].get("best_checkpoint"),
            random_return=values["references"].get("random"),
            versions=values.get("versions", {}),
            identity=values["identity"],
        )
        names = ("step", "label", "returns", "lengths")
        protocol = values["protocol"]
        evaluations = [
            Evaluation(
                one["step"],
                one["label"],
                one["returns"],
                one["lengths"],
                deterministic=True,
                seed=protocol["seed"],
                wall_time=one.get("wall_time", 0.0),
                extra={name: value for name, value in one.items() if name not in (*names, "wall_time")},
            )
            for one in values["evaluations"]
        ]
        return Run(info, evaluations, self.path)


class Records(NamedTuple):
    """The content of a folder of records.

    Attributes:
        records: the whole ones, by their keys.
        notes: one sentence for every file that was set aside or counted once.
    """

    records: list[Record]
    notes: list[str]


def write_record(folder: str | Path, values: Mapping[str, Any]) -> Path:
    """Writes a record, unless it is there: a record is never changed.

    Args:
        folder: of all records.
        values: as made by :func:`omiga_torchrl.benchmark.collecting.make_record`.

    Returns:
        The file.

    Raises:
        DataError: the run is there with another result; nothing is written.
        StorageError: the disk is full, or the folder cannot be written; nothing is left half written.

    Examples:
        >>> import tempfile
        >>> values = {**dict.fromkeys(_NEEDED, {}), "key": "bc__game__mixed__seed0__0", "evaluations": [1]}
        >>> file = write_record(tempfile.mkdtemp(), values)
        >>> write_record(file.parent, {**values, "evaluations": [2]})
        Traceback (most recent call last):
            ...
        omiga_torchrl.errors.DataError: benchmark: ...seed0__0.json holds another result of this run: ...
    """
    content = {"schema": SCHEMA, **values}
    text = _text({**content, "sha256": _digest(content)})
    present = find_record(folder, values["key"])
    if present is not None:
        _require_same(present, read_json("benchmark", present, "Set it aside."), content)
        return present
    path = Path(folder) / f"{values['key']}{SUFFIX}"
    with atomic_write(path) as file:
        file.write(text.encode())
    return path


def read_record(path: str | Path) -> Record:
    """One record, checked against its checksum.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: it is damaged, was changed, or is one of a newer version.
    """
    path = Path(path)
    values = read_json("benchmark", path, "Take it from another copy, or run it again.")
    if values.get("schema") != SCHEMA:
        raise DataError(
            f"benchmark: {path} has schema {values.get('schema')!r:.20}; expected {SCHEMA}. Read it with the "
            f"version that wrote it."
        )
    for name, kind in _NEEDED.items():
        if not isinstance(values.get(name), kind):
            raise DataError(f"benchmark: {name} of {path} must be a {kind.__name__}. It is no whole record.")
    rest = {name: value for name, value in values.items() if name != "sha256"}
    if values["sha256"] != _digest(rest):
        raise DataError(
            f"benchmark: {path} was changed after it had been written: its checksum is wrong. Take it from "
            f"another copy, or run it again."
        )
    return Record(values, path)


def load_records(folder: str | Path) -> Records:
    """All records below a folder; damaged ones are renamed, ``.damaged`` added, and named.

    Records of one run in several places, as two machines leave them, count once if they agree.

    Args:
        folder: searched with its subfolders; records are found by their names.

    Raises:
        FileNotFoundError: the folder is not there.
        DataError: two records of one run have different results.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"benchmark: {folder} is no folder; expected one with records.")
    found: dict[str, Record] = {}
    notes = [f"{path}: set aside earlier." for path in sorted(folder.rglob(f"*{SUFFIX}*{DAMAGED}"))]
    for path in record_paths(folder):
        try:
            one = read_record(path)
        except DataError as error:
            notes.append(f"{_set_aside(path)}: set aside. {error}")
            continue
        if one.key in found:
            _require_same(found[one.key].path, found[one.key].values, one.values, path)
            notes.append(f"{path}: the same run as {found[one.key].path}; counted once.")
            continue
        found[one.key] = one
    return Records([found[key] for key in sorted(found)], notes)


def _require_same(
    path: Path, old: Mapping[str, Any], new: Mapping[str, Any], other: Path | None = None
) -> None:
    differences = [name for name in RESULT if old.get(name) != new.get(name)]
    if differences:
        beside = "" if other is None else f" than {other}"
        raise DataError(
            f"benchmark: {path} holds another result of this run{beside}: {', '.join(differences)} differ. A "
            f"record is never replaced: find out which one is right and set the other aside."
        )


def _set_aside(path: Path) -> Path:
    try:
        return path.rename(path.with_name(path.name + DAMAGED))
    except OSError:  # a folder that others own
        return path


def _text(values: Mapping[str, Any]) -> str:
    """JSON with one entry a line: compact, and readable as differences of versions."""
    lines = [f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in values.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()
