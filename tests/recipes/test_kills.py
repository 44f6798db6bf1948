"""Processes that are killed at any instant, and started again, end as if they had never been.

``KILLS=100`` sets the number of instants of each setting.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.files import file_sha256
from tests.recipes.in_process import configs, load, settings, working_in

KILLS = int(os.environ.get("KILLS", "100"))
SMALL = (
    *("algorithm=bc", "algorithm.hidden_sizes=[8]", "trainer.batch_size=8", "trainer.progress_bar=false"),
    *("trainer.steps=8", "trainer.log_interval=1", "trainer.save_interval=2", "evaluation.interval=2"),
    *("evaluation.episodes=1", "evaluation.final_episodes=1", "+task_kwargs.max_steps=3", "compile=none"),
    *("out=runs", "existing=keep", "data_root=../cache"),
)
RECORD = (
    *("tier=random", "transitions=90", "num_envs=2", "shard_transitions=12", "progress=false"),
    *("+task_kwargs.max_steps=3", "out=recorded", "existing=keep"),
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning"),
]


def fork(function: Callable[[], object]) -> int:
    """Another process that does something and ends: its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        function()
        code = 0
    finally:
        os._exit(code)


def finish(function: Callable[[], object]) -> float:
    """Lets another process do it: seconds that it took."""
    start = time.monotonic()
    _, status = os.waitpid(fork(function), 0)
    assert status == 0
    return time.monotonic() - start


def kill(function: Callable[[], object], seconds: float) -> bool:
    """Kills another process after so many seconds: whether it was still at it."""
    process = fork(function)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


def train(*overrides: str) -> Callable[[], object]:
    config = settings("train", *SMALL, *overrides)
    return lambda: load("train").train(config)


def grid() -> Callable[[], object]:
    jobs = [train(f"seed={seed}", "trainer.steps=4") for seed in range(3)]
    return lambda: [job() for job in jobs]


def record() -> Callable[[], object]:
    config = settings("record_dataset", *RECORD)
    return lambda: load("record_dataset").run(config)


def convert(**options: Any) -> Callable[[], object]:
    return lambda: OfflineDataset("vmas/navigation/mixed", root="cache", **options)


SETTINGS: dict[str, Callable[[], Callable[[], object]]] = {
    "training": train,
    "grid": grid,
    "recording": record,
    "conversion": convert,
    "normalised conversion": lambda: convert(normalise_observations=True),
}


def content(folder: Path) -> Iterator[tuple[str, object]]:
    """What a setting leaves, without times and names of processes."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or path.suffix == ".lock" or path.name in ("files.json", "fingerprint.json"):
            continue
        if path.name == "evaluations.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            last = {(one["label"], one["step"]): {**one, "wall_time": 0} for one in lines}
            yield name, last
        elif path.name == "run.json":
            record = json.loads(path.read_text())
            yield name, (record["identity"], record["audit"]["finished"])
        elif path.suffix == ".pt":
            yield name, str(torch.load(path, weights_only=True).get("policy"))
        else:
            yield name, file_sha256(path)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_process_that_is_killed_and_started_again_ends_the_same(name: str, tmp_path: Path) -> None:
    order, hit = random.Random(0), 0
    with configs("train", "record_dataset"):
        work = SETTINGS[name]()
        with working_in(tmp_path / "undisturbed"):
            seconds = finish(work)
        expected = dict(content(tmp_path / "undisturbed"))
        assert expected
        for number in range(KILLS):
            folder = tmp_path / f"killed{number}"
            with working_in(folder):
                hit += kill(work, order.uniform(0, seconds))
                finish(work)
            assert dict(content(folder)) == expected, f"instant {number}"
            shutil.rmtree(folder)
    assert hit >= KILLS / 4  # the others had come to their end
