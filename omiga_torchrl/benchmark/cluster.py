"""Suites on clusters: Ray runs the jobs, Slurm several processes that share the folder of the grid."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from omiga_torchrl.benchmark.launchers import LocalLauncher
from omiga_torchrl.errors import SettingsError

_PLUGIN: Final = "hydra_plugins.hydra_submitit_launcher"
_DEATH_OF_PARENT: Final = 1  # of Linux' prctl


class RayLauncher:
    """Starts every job as a task of a running Ray cluster, whose machines share the folder of the grid.

    A job takes one core, and with ``device=cuda`` one GPU. One that dies, or whose machine does, is started
    again by the schedule, wherever there is room.

    Raises:
        ImportError: Ray is not installed.
        SettingsError: there is no cluster.
    """

    def __init__(self) -> None:
        try:
            import ray  # optional: extra "ray"
        except ImportError as error:
            raise ImportError(
                "benchmark: launcher=ray needs the package ray. pip install 'omiga-torchrl[ray]'"
            ) from error
        try:
            ray.init(
                address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False, logging_level="error"
            )
        except ConnectionError as error:
            raise SettingsError(
                "benchmark: launcher=ray finds no Ray cluster; expected a running one. Start it with `ray "
                "start --head`, or name it in the variable RAY_ADDRESS."
            ) from error
        self._ray: Any = ray
        # A process of its own for each; the schedule, which sees the results, is who tries again.
        self._task = ray.remote(num_cpus=1, max_calls=1, max_retries=0)(run_job)

    def cores(self) -> int:
        """Those of the cluster."""
        return int(self._ray.cluster_resources().get("CPU", 1))

    def start(self, command: Sequence[str], log: Path, handles: Sequence[int]) -> RayWorker:
        """Starts a recipe, see :class:`omiga_torchrl.benchmark.launchers.Launcher`."""
        gpus = int(any(one.startswith("device=cuda") for one in command))
        task = self._task.options(num_gpus=gpus)
        return RayWorker(self._ray, task.remote(list(command), str(log.resolve()), os.getcwd()), log)


class RayWorker:
    """A task of Ray.

    Args:
        ray: the package.
        reference: to the task's result, the exit code.
        log: where to tell what went wrong in the task itself.
    """

    def __init__(self, ray: Any, reference: Any, log: Path) -> None:
        self._ray, self._reference, self._log = ray, reference, log

    def poll(self) -> int | None:
        """The exit code, negative where process or machine died; ``None`` while it runs."""
        if not self._ray.wait([self._reference], timeout=0)[0]:
            return None
        try:
            return int(self._ray.get(self._reference))
        except self._ray.exceptions.RayTaskError as error:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._log.write_text(f"{error}\n")
            return 1
        except self._ray.exceptions.RayError:
            return -signal.SIGKILL

    def stop(self) -> None:
        """Asks the job to end, with a checkpoint."""
        self._ray.cancel(self._reference)

    def kill(self) -> None:
        """Ends it at once."""
        self._ray.cancel(self._reference, force=True)


def run_job(command: Sequence[str], log: str, folder: str) -> int:
    """Runs a recipe to its end on whatever machine this is; its process dies with this one.

    Args:
        command: the recipe's name and its overrides.
        log: file for what it prints.
        folder: to run it in.

    Returns:
        Its exit code.
    """
    os.chdir(folder)
    worker = LocalLauncher(die_with_parent).start(command, Path(log), ())
    while True:
        try:
            return worker.process.wait()
        except KeyboardInterrupt:  # how Ray cancels
            worker.stop()


def die_with_parent() -> None:
    """Asks Linux, in a process that was just started, to kill it when its parent ends; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, signal.SIGKILL)


def slurm_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line with ``launcher=slurm`` as one for Hydra's Submitit launcher; any other as it is.

    Slurm gets an array of ``nodes`` jobs, each of which runs the same command with ``launcher=local``: they
    share the work by the folder ``out``. ``hydra.launcher.partition=...`` and its like are Submitit's.

    Args:
        arguments: overrides of ``recipes/benchmark.py``.

    Raises:
        SettingsError: ``out`` is not given, or ``nodes`` is no number above 0.
        ImportError: the launcher is not installed.

    Examples:
        >>> slurm_arguments(["suite=quick", "workers=2"])
        ['suite=quick', 'workers=2']
    """
    if "launcher=slurm" not in arguments:
        return list(arguments)
    given = dict(one.partition("=")[::2] for one in arguments)
    nodes = given.get("nodes", "1")
    if not nodes.isdigit() or int(nodes) < 1:
        raise SettingsError(f"benchmark: nodes is {nodes}; expected a number of at least 1.")
    if not given.get("out"):
        raise SettingsError(
            "benchmark: launcher=slurm needs out=, a folder that all nodes share, got none. Add out=..."
        )
    if importlib.util.find_spec("hydra_plugins") is None or importlib.util.find_spec(_PLUGIN) is None:
        raise ImportError(
            "benchmark: launcher=slurm needs the package hydra-submitit-launcher. "
            "pip install 'omiga-torchrl[slurm]'"
        )
    own = ("launcher=slurm", *(one for one in arguments if one.startswith("nodes=")))
    return [
        *("--multirun", "hydra/launcher=suite_slurm", f"hydra.sweep.dir={given['out']}/slurm"),
        *(one for one in arguments if one not in own),
        f"process={','.join(map(str, range(int(nodes))))}",
    ]
