"""Suites on clusters: what Ray does with a job, and what Slurm is asked for."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from omiga_torchrl.benchmark import load_records
from omiga_torchrl.benchmark.cluster import RayLauncher, RayWorker, run_job, slurm_arguments
from omiga_torchrl.benchmark.records import RESULT
from omiga_torchrl.errors import SettingsError

ROOT = Path(__file__).parents[2]
SLURM = ("suite=quick", "launcher=slurm", "nodes=3", "workers=4", "out=/shared/quick")


def has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


needs_plugin = pytest.mark.skipif(
    not has("hydra_plugins") or not has("hydra_plugins.hydra_submitit_launcher"),
    reason="no Submitit launcher",
)


@needs_plugin
def test_slurm_runs_the_same_command_in_an_array_of_jobs() -> None:
    from hydra import compose
    from hydra.core.plugins import Plugins

    from tests.recipes.in_process import configs

    arguments = slurm_arguments([*SLURM, "hydra.launcher.partition=cpu"])
    assert arguments[0] == "--multirun" and "process=0,1,2" in arguments
    assert "launcher=slurm" not in arguments and "nodes=3" not in arguments
    with configs("benchmark"):
        overrides = [one for one in arguments[1:] if not one.startswith("process=")]
        config = compose("benchmark", [*overrides, "process=2"], return_hydra_config=True)
    launcher = config.hydra.launcher
    assert launcher["_target_"].endswith("SlurmLauncher") and launcher.partition == "cpu"
    assert (launcher.cpus_per_task, launcher.timeout_min, launcher.signal_delay_s) == (4, 1440, 150)
    assert (config.launcher, config.out, config.process) == ("local", "/shared/quick", 2)
    assert config.hydra.sweep.dir == "/shared/quick/slurm"
    assert (
        Plugins.instance()._instantiate(launcher).params["partition"] == "cpu"
    )  # Submitit knows all of its keys


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("suite=quick", "launcher=slurm"), "needs out=, a folder that all nodes share, got none"),
        ((*SLURM, "nodes=0"), "nodes is 0; expected a number of at least 1"),
        ((*SLURM, "nodes=many"), "nodes is many; expected a number"),
    ],
)
def test_mistakes_are_said_before_anything_is_submitted(arguments: tuple[str, ...], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        slurm_arguments(arguments)


def test_a_missing_plugin_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'omiga-torchrl\[slurm\]'"):
        slurm_arguments(SLURM)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'omiga-torchrl\[ray\]'"):
        RayLauncher()


class FakeRay:
    """What :class:`RayWorker` asks of Ray."""

    class exceptions:
        class RayError(Exception): ...

        class RayTaskError(RayError): ...

    def __init__(self, result: Any = None) -> None:
        self.result, self.cancelled = result, list[bool]()

    def wait(self, references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return ([], references) if self.result is None else (references, [])

    def get(self, reference: Any) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def cancel(self, reference: Any, force: bool = False) -> None:
        self.cancelled.append(force)


def test_a_task_of_ray_is_a_worker_of_the_schedule(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "job.txt"

    def poll(result: Any) -> int | None:
        return RayWorker(FakeRay(result), "reference", log).poll()

    assert poll(None) is None and poll(0) == 0 and poll(1) == 1
    assert poll(FakeRay.exceptions.RayError("the node died")) == -signal.SIGKILL  # tried again
    assert not log.exists()
    assert poll(FakeRay.exceptions.RayTaskError("ImportError: no omiga_torchrl")) == 1
    assert "no omiga_torchrl" in log.read_text()
    ray = FakeRay()
    worker = RayWorker(ray, "reference", log)
    worker.stop()
    worker.kill()
    assert ray.cancelled == [False, True]


def test_a_job_runs_in_its_folder_and_gives_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_job(["nothing"], str(tmp_path / "log.txt"), str(tmp_path)) == 2
    assert "unknown recipe 'nothing'" in (tmp_path / "log.txt").read_text()


SUITE = (
    *("suite=coordination", "seeds=[0,1]", "~suite.cells.bridge", "~suite.cells.climbing", "progress=false"),
    *("~suite.cells.tmaze", "~suite.cells.two-step", "~suite.cells.xor", "vectorize=false"),
    *(f"~suite.algorithms.{name}-none" for name in ("iql", "cql", "icq")),
    *(f"~suite.algorithms.{name}-linear" for name in ("iql", "cql", "icq")),
    *(f"~suite.algorithms.{name}" for name in ("omiga-vdn", "iql-vdn", "iql-qmix", "cql-qmix")),
)


def start(folder: Path, *overrides: str, **environment: str) -> subprocess.Popen[str]:
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, str(ROOT / "recipes" / "benchmark.py"), *SUITE, "out=grid", *overrides],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def results(folder: Path) -> list[str]:
    found = load_records(folder / "grid" / "records")
    assert not found.notes
    return [json.dumps({name: one.values[name] for name in RESULT}, sort_keys=True) for one in found.records]


@pytest.mark.slow
@pytest.mark.skipif(not has("ray"), reason="no Ray")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_on_ray_records_are_those_of_the_local_run_though_a_node_dies(tmp_path: Path) -> None:
    os.environ["PYTHONPATH"] = str(ROOT)  # of the workers that the nodes start
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    distributed = start(tmp_path / "ray", "launcher=ray", RAY_ADDRESS=cluster.address)
    try:
        runs = tmp_path / "ray" / "grid" / "runs"
        while len(list(runs.glob("*/*"))) < 2:  # both nodes train
            assert distributed.poll() is None, distributed.communicate()[0]
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        text = distributed.communicate(timeout=1200)[0]
    finally:
        distributed.kill()
        cluster.shutdown()
    assert distributed.returncode == 0 and "4 of 4 runs have records" in text, text
    with start(tmp_path / "local", "workers=2") as local:
        text = local.communicate(timeout=1200)[0]
    assert local.returncode == 0, text
    assert results(tmp_path / "ray") == results(tmp_path / "local") and len(results(tmp_path / "ray")) == 4
