"""Speed and peak memory of converting large files of every layout, each in a process of its own.

Run: ``python recipes/benchmark_layouts.py [GIGABYTES [LAYOUT ...]]``. Writes one file or folder after
the other (default 2 GB each) and its conversion to a temporary folder, and prints one line a layout.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.data import Episodes
from omiga_torchrl.data.layouts import LAYOUTS

STEPS, AGENTS, FEATURES, ACTIONS = 500, 4, 32, 8

# Runs in a process of its own, which does nothing else; ru_maxrss would remember the parent's peak.
_CONVERT = """
import sys, time, json
from pathlib import Path
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import LAYOUTS, ReadOptions
def peak(name="VmHWM"):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) * 1024
if sys.argv[1] in ("d4rl", "minari", "omiga-mujoco", "pymarl-h5"):
    import h5py
if sys.argv[1] == "vault":
    import tensorstore
imports, start, processor = peak(), time.perf_counter(), time.process_time()
options = ReadOptions(actions="raw")
convert(LAYOUTS[sys.argv[1]].read(Path(sys.argv[2]), options), Path(sys.argv[3]), options, name="benchmark")
seconds, processor = time.perf_counter() - start, time.process_time() - processor
print(json.dumps({"seconds": seconds, "processor": processor, "imports": imports, "peak": peak()}))
"""


@dataclass(frozen=True)
class Cost:
    """Cost of converting a dataset.

    Attributes:
        layout: of the dataset.
        source_bytes: size of its files.
        seconds: converting them, without imports; the files are in the page cache.
        processor_seconds: of that, of both threads together.
        import_bytes: largest resident size before the conversion: Python, PyTorch and what else is imported.
        peak_bytes: largest resident size of the process.
    """

    layout: str
    source_bytes: int
    seconds: float
    processor_seconds: float
    import_bytes: int
    peak_bytes: int

    def __str__(self) -> str:
        size, peak, imports = (
            value / 1e6 for value in (self.source_bytes, self.peak_bytes, self.import_bytes)
        )
        return (
            f"{self.layout:13} {size:5.0f} MB in {self.seconds:5.1f} s, {size / self.seconds:4.0f} MB/s, "
            f"{size / self.processor_seconds:4.0f} MB a processor second; peak {peak:4.0f} MB, of which "
            f"{imports:4.0f} MB imports"
        )


def measure(layout: str, size: float, folder: Path) -> Cost:
    """Write a dataset, and convert it in a process of its own.

    Args:
        layout: its layout.
        size: bytes of its files, about.
        folder: an empty folder, for both.
    """
    path = folder / "source"
    WRITERS[layout](path, size)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    command = [sys.executable, "-c", _CONVERT, layout, str(path), str(folder / "converted")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    total = sum(file.stat().st_size for file in files)
    times = found["seconds"], found["processor"]
    return Cost(layout, total, *times, found["imports"], found["peak"])


def _episodes(size: float, *, agents: int = AGENTS, discrete: bool = False) -> Iterator[Episodes]:
    """Random episodes of 500 steps, ten at a time, with about ``size`` bytes of observations."""
    rng = np.random.default_rng(0)
    rows = 10 * STEPS
    for _ in range(max(1, round(size / (4 * agents * FEATURES * rows)))):
        action = (
            rng.integers(0, ACTIONS, (rows, agents))
            if discrete
            else rng.uniform(-1, 1, (rows, agents, ACTIONS)).astype(np.float32)
        )
        ends = np.arange(rows) % STEPS == STEPS - 1
        yield Episodes(
            rng.standard_normal((rows + 10, agents, FEATURES), np.float32),
            action,
            rng.standard_normal(rows, np.float32),
            ends,
            ends & False,
            np.full(10, STEPS),
        )


def _written(layout: str, share: float, *, discrete: bool = False) -> Callable[[Path, float], None]:
    """Writes with the layout itself; ``share`` of the bytes are observations."""

    def write(path: Path, size: float) -> None:
        LAYOUTS[layout].write(path, _episodes(size * share, discrete=discrete), n_actions=ACTIONS)

    return write


def _write_d4rl(path: Path, size: float) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for block in _episodes(size * 0.44, agents=1):
            ends = np.cumsum(block.length + 1) - 1
            rows = {
                "observations": np.delete(block.observation[:, 0], ends, 0),
                "next_observations": np.delete(block.observation[:, 0], np.append(0, ends[:-1] + 1), 0),
                "actions": block.action[:, 0],
                "rewards": block.reward,
                "terminals": block.terminated,
                "timeouts": block.truncated,
            }
            for name, values in rows.items():
                if name not in file:
                    file.create_dataset(name, data=values, maxshape=(None, *values.shape[1:]), chunks=True)
                    continue
                file[name].resize(len(file[name]) + len(values), 0)
                file[name][-len(values) :] = values


def _write_minari(path: Path, size: float) -> None:
    import h5py

    (path / "data").mkdir(parents=True)
    count = 0
    with h5py.File(path / "data" / "main_data.hdf5", "w") as file:
        for block in _episodes(size * 0.76, agents=1):
            first = 0
            for number in range(10):
                group = file.create_group(f"episode_{count}")
                span, count = slice(first, first + STEPS), count + 1
                fields = {
                    "observations": block.observation[first + number : first + number + STEPS + 1, 0],
                    "actions": block.action[span, 0],
                    "rewards": block.reward[span],
                    "terminations": block.terminated[span],
                    "truncations": block.truncated[span],
                }
                for name, values in fields.items():  # as Minari itself stores them
                    group.create_dataset(name, data=values, chunks=True, maxshape=(None, *values.shape[1:]))
                first += STEPS
    description = {"total_episodes": count, "total_steps": count * STEPS, "data_format": "hdf5"}
    (path / "data" / "metadata.json").write_text(json.dumps(description))


def _write_pymarl_h5(path: Path, size: float) -> None:
    import h5py

    folder = path.with_name("fields")
    WRITERS["pymarl-npy"](folder, size)
    with h5py.File(path, "w") as file:
        for source in folder.glob("*.npy"):
            values = np.load(source, mmap_mode="r")
            field = file.create_dataset(source.stem, values.shape, values.dtype, chunks=True)
            for first in range(0, len(values), 64):
                field[first : first + 64] = values[first : first + 64]


WRITERS: dict[str, Callable[[Path, float], None]] = {
    "d4rl": _write_d4rl,
    "minari": _write_minari,
    "omiga-mujoco": _written("omiga-mujoco", 0.44),
    "pymarl-h5": _write_pymarl_h5,
    "pymarl-npy": _written("pymarl-npy", 0.39, discrete=True),
    "vault": _written("vault", 0.44),
}


def main() -> None:
    """Prints one line a layout."""
    size = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    for layout in sys.argv[2:] or WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(f"{measure(layout, size * 1e9, Path(folder))}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
