"""Speed and memory of converting a published dataset, and of drawing batches from the memory map.

Run: ``python recipes/benchmark_data.py [rows=5000000]``. Writes a file in the layout of OMIGA's HalfCheetah
data (1.1 GB) and its conversion (half as much) to a temporary folder, and prints one line. With ``rows=`` it
draws batches of 128 and 256 transitions of three agents with 18 features and two actions instead, from a
dataset of so many rows (2.3 GB and 1.3 GB for 5,000,000).
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
import torch

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts.omiga_mujoco import OmigaMujocoLayout


@dataclass(frozen=True)
class Conversion:
    """Cost of converting a file.

    Attributes:
        rows: rows of the file.
        source_bytes: size of the file.
        converted_bytes: size of the converted dataset.
        read_seconds: reading the file with h5py; median, file in the page cache.
        seconds: converting it; likewise.
        ratio: median over the rounds of the two, file in the page cache.
        cold_ratio: the same with the file read from the disk.
        extra_bytes: growth of the process's largest resident size over the first conversion.
    """

    rows: int
    source_bytes: int
    converted_bytes: int
    read_seconds: float
    seconds: float
    ratio: float
    cold_ratio: float
    extra_bytes: int

    def __str__(self) -> str:
        return (
            f"conversion of {self.rows:,} rows: {self.seconds:.2f} s, reading {self.read_seconds:.2f} s, "
            f"ratio {self.ratio:.2f} (from disk {self.cold_ratio:.2f}); {self.source_bytes / 2**20:.0f} MiB "
            f"become {self.converted_bytes / 2**20:.0f} MiB, {self.extra_bytes / 2**20:.0f} MiB more memory"
        )


def conversion(
    rows: int = 1_000_000,
    *,
    n_agents: int = 6,
    observation_size: int = 23,
    action_size: int = 1,
    rounds: int = 5,
    folder: str | None = None,
    **storage: Any,
) -> Conversion:
    """Converting a file in OMIGA's layout against reading all of its arrays with h5py.

    Reading and converting alternate, so that both meet the same machine; one round more warms up.

    Args:
        rows: rows of the file; episodes have 1001 of them.
        n_agents: number of agents.
        observation_size: features of one agent's observation.
        action_size: features of one agent's action.
        rounds: timed rounds, for the page cache and for the disk.
        folder: where the files are written; default is the system's temporary folder.
        storage: how h5py stores the arrays, e.g. ``compression="gzip"``.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path, out = Path(temporary) / "data.hdf5", Path(temporary) / "converted"
        before = _peak_bytes()
        # Written in small parts, so that the peak is that of the conversion.
        write_file(path, rows, (n_agents, observation_size), (n_agents, action_size), **storage)
        _convert(path, out)
        extra = _peak_bytes() - before
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
        warm = [_pair(path, out, cold=False) for _ in range(rounds + 1)][1:]
        cold = [_pair(path, out, cold=True) for _ in range(rounds)]
        return Conversion(
            rows,
            path.stat().st_size,
            size,
            median(plain for plain, _ in warm),
            median(mine for _, mine in warm),
            ratio=median(mine / plain for plain, mine in warm),
            cold_ratio=median(mine / plain for plain, mine in cold),
            extra_bytes=extra,
        )


def write_file(
    path: Path, rows: int, observation: tuple[int, int], action: tuple[int, int], **storage: Any
) -> None:
    """Writes random episodes of 1000 steps in OMIGA's layout, a part at a time.

    Args:
        path: the file.
        rows: its rows.
        observation: shape of one row of ``o`` and ``s``.
        action: shape of one row of ``a``.
        storage: passed to h5py.
    """
    rng = np.random.default_rng(0)
    shapes = {"s": observation, "o": observation, "a": action, "r": (1,), "d": (1,)}
    part = max(1, 2**20 // math.prod(observation))
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            file.create_dataset(name, (rows, *shape), "f4", **storage)
        for first in range(0, rows, part):
            last = min(first + part, rows)
            values = rng.standard_normal((last - first, *observation), np.float32)
            file["o"][first:last] = file["s"][first:last] = values
            file["a"][first:last] = rng.uniform(-1, 1, (last - first, *action))
            file["r"][first:last] = rng.standard_normal((last - first, 1))
            row = np.arange(first, last)
            file["d"][first:last] = ((row % 1001 == 1000) | (row == rows - 1))[:, None]


# Runs in a process of its own: memory that a conversion has given back would hide what sampling takes.
_SAMPLE = """
import json, sys, time
from statistics import median
from omiga_torchrl.data import OfflineDataset
def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024
def drawn(batch):
    for _ in range(2000):
        dataset.sample(batch)
    before, times = anonymous(), []
    for _ in range(20_000):
        start = time.process_time()
        dataset.sample(batch)
        times.append(time.process_time() - start)
    return {"milliseconds": 1e3 * median(times), "growth": anonymous() - before}
start, imported = time.perf_counter(), anonymous()
dataset = OfflineDataset(sys.argv[1], root=sys.argv[2])
opened = {"seconds": time.perf_counter() - start, "opened": anonymous() - imported}
print(json.dumps(opened | {batch: drawn(int(batch)) for batch in sys.argv[3:]}))
"""


def sampling(rows: int, batches: Sequence[int] = (128, 256), folder: str | None = None) -> Iterator[str]:
    """Processor time and memory of uniform batches from a memory map in the page cache; a line a batch.

    Args:
        rows: rows of the file, of three agents with 18 features and two actions.
        batches: transitions of a batch.
        folder: where the files are written; default is the system's temporary folder.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path, cache = Path(temporary) / "data.hdf5", Path(temporary) / "cache"
        write_file(path, rows, (3, 18), (3, 2))
        converted = OfflineDataset(path, root=cache).data_path
        size = sum(file.stat().st_size for file in converted.rglob("*"))
        command = [sys.executable, "-c", _SAMPLE, str(path), str(cache), *map(str, batches)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    yield (
        f"{rows:,} rows: {size / 2**20:.0f} MiB on disk; opened in {found['seconds']:.2f} s, which takes "
        f"{found['opened'] / 2**20:.1f} MiB"
    )
    for batch in batches:
        one = found[str(batch)]
        yield (
            f"batch {batch}: {one['milliseconds']:.3f} ms, {one['growth'] / 2**20:.1f} MiB more memory "
            "after 20,000 batches"
        )


def _convert(path: Path, out: Path) -> None:
    options = ReadOptions()
    convert(OmigaMujocoLayout().read(path, options), out, options, name=path.name)


def _read(path: Path) -> None:
    with h5py.File(path) as file:
        for name in file:
            file[name][:]


def _pair(path: Path, out: Path, *, cold: bool) -> tuple[float, float]:
    """Seconds to read and to convert."""
    times = []
    for run in (lambda: _read(path), lambda: _convert(path, out)):
        shutil.rmtree(out, ignore_errors=True)
        if cold:
            _forget(path)
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times[0], times[1]


def _forget(path: Path) -> None:
    """Drops a file from the page cache, once it is on the disk."""
    with open(path, "rb") as file:
        os.sync()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Prints the measurement."""
    torch.set_num_threads(1)
    given = sys.argv[1:]
    if any(not argument.removeprefix("rows=").isdecimal() for argument in given) or len(given) > 1:
        raise SystemExit(f"benchmark_data: expected nothing or rows=NUMBER, got {' '.join(given)}.")
    lines = sampling(int(given[0].removeprefix("rows="))) if given else [conversion()]
    for line in lines:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
