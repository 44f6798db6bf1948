"""`Failure`: a run that has ended in an error, in a file beside the records of the others."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from omiga_torchrl.benchmark.record_files import files_of_runs, key_of, record_paths
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import atomic_write
from omiga_torchrl.plain_files import read_json

FAILED: Final = ".failed"


@dataclass(frozen=True)
class Failure:
    """A run that has ended in an error, such as one whose values have diverged.

    Attributes:
        key: the name that its record would have.
        algorithm: label of the algorithm.
        task: name of the task.
        dataset: tier of the dataset.
        seed: of the training.
        trial: whether it only served to choose a setting.
        command: how it was started.
        reason: what it said.
    """

    key: str
    algorithm: str
    task: str
    dataset: str
    seed: int
    trial: bool
    command: list[str]
    reason: str

    @property
    def cell(self) -> str:
        """Task and dataset."""
        return f"{self.task}/{self.dataset}"

    @property
    def note(self) -> str:
        """A sentence for readers of a report.

        Examples:
            >>> Failure("k", "bc", "game", "mixed", 2, False, [], "ValueError: no").note
            'Failed: bc in game/mixed, seed 2: ValueError: no'
        """
        kind = "trial with seed" if self.trial else "seed"
        return f"Failed: {self.algorithm} in {self.cell}, {kind} {self.seed}: {self.reason}"


def write_failure(folder: str | Path, failure: Failure) -> Path:
    """Writes the file of a failed run; a later attempt that fails replaces it.

    Args:
        folder: of all records.
        failure: of the run.

    Returns:
        The file, ``<key>.failed``.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    path = Path(folder) / f"{failure.key}{FAILED}"
    with atomic_write(path) as file:
        file.write((json.dumps(asdict(failure), indent=0) + "\n").encode())
    return path


def load_failures(folder: str | Path) -> list[Failure]:
    """The failed runs below a folder, by their keys; those that a later attempt has finished are left out.

    Args:
        folder: of records, searched with its subfolders.

    Raises:
        DataError: a file is damaged.

    Examples:
        >>> import tempfile
        >>> failure = Failure(
        ...     "bc__game__mixed__seed2__0", "bc", "game", "mixed", 2, False, [], "ValueError: no"
        ... )
        >>> folder = write_failure(tempfile.mkdtemp(), failure).parent
        >>> load_failures(folder) == [failure]
        True
        >>> (folder / "bc__game__mixed__seed2__0.json").touch()
        >>> load_failures(folder)
        []
    """
    finished = {key_of(path) for path in record_paths(folder)}
    found = [_read(path) for path in files_of_runs(folder, FAILED) if path.stem not in finished]
    return sorted({one.key: one for one in found}.values(), key=lambda one: one.key)


def _read(path: Path) -> Failure:
    hint = "Remove it: the run is tried again."
    values = read_json("benchmark", path, hint)
    expected = [one.name for one in fields(Failure)]
    if sorted(values) != sorted(expected):
        raise DataError(
            f"benchmark: {path} has {', '.join(sorted(values))}; expected {', '.join(expected)}. {hint}"
        )
    return Failure(**values)
