"""Simulators in worker processes, for machines with many cores."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import multiprocessing
import traceback
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from omiga_torchrl.envs.mujoco_buffers import Buffers
from omiga_torchrl.envs.mujoco_simulator import Simulation, Simulators


class SimulatorWorkers:
    """Like :class:`Simulators`, with every process stepping a share of them.

    Arrays lie in shared memory; only commands and answers of a few bytes are sent. Which
    environment runs in which process makes no difference to what it does.

    .. note:: The processes are spawned: a script needs ``if __name__ == "__main__":``, as
        for TorchRL's ``ParallelEnv``.

    Args:
        simulation: how to build one simulator.
        num_envs: number of simulators B.
        n_actions: joint actions M of one.
        width: numbers W in the vector of one.
        workers: number of processes, at most B.
    """

    def __init__(
        self, simulation: Simulation, num_envs: int, n_actions: int, width: int, workers: int
    ) -> None:
        context = multiprocessing.get_context("spawn")
        shapes = Buffers.layout(num_envs, n_actions, width)
        shared = {
            name: context.RawArray(ctypes.c_byte, int(np.prod(shape)) * np.dtype(dtype).itemsize)
            for name, (shape, dtype) in shapes.items()
        }
        self.buffers = _view(shared, shapes)
        bounds = np.linspace(0, num_envs, workers + 1).round().astype(int).tolist()
        self._pipes: list[Connection] = []
        processes = []
        for first, last in itertools.pairwise(bounds):
            ours, theirs = context.Pipe()
            arguments = (theirs, simulation, shared, shapes, first, last)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            processes.append(process)
        self._finalizer = weakref.finalize(self, _stop, self._pipes, processes)
        self._wait()

    def step(self) -> None:
        """One step of the chosen environments; the others keep what they have."""
        self._send("step")

    def reset(self) -> None:
        """Resets the chosen environments."""
        self._send("reset")

    def close(self) -> None:
        """Ends the processes; a second call does nothing."""
        self._finalizer()

    def _send(self, command: str) -> None:
        for pipe in self._pipes:
            pipe.send(command)
        self._wait()

    def _wait(self) -> None:
        # All answers are read before an error is raised, so that none is left for the next command.
        answers = [_answer(pipe) for pipe in self._pipes]
        failed = [answer for answer in answers if answer]
        if failed:
            raise RuntimeError(f"MujocoTeamEnv: a worker process failed.\n{failed[0]}")


def _answer(pipe: Connection) -> str:
    try:
        answer: str = pipe.recv()
    except EOFError:
        return "It ended without an answer. Does the script have `if __name__ == '__main__':`?"
    return answer


def _view(shared: Mapping[str, Any], shapes: Mapping[str, tuple[tuple[int, ...], Any]]) -> Buffers:
    return Buffers(
        **{name: np.frombuffer(shared[name], dtype).reshape(shape) for name, (shape, dtype) in shapes.items()}
    )


def _serve(
    pipe: Connection,
    simulation: Simulation,
    shared: Mapping[str, Any],
    shapes: Mapping[str, tuple[tuple[int, ...], Any]],
    first: int,
    last: int,
) -> None:
    """Loop of a worker process until it is told to close; empty answers mean success."""
    try:
        one = simulation.build()
        built = [one, *simulation.build_more(one, last - first - 1)]
        simulators = Simulators(built, _view(shared, shapes).part(slice(first, last)))
        pipe.send("")
        while (command := pipe.recv()) != "close":
            (simulators.step if command == "step" else simulators.reset)()
            pipe.send("")
        simulators.close()
    except (EOFError, KeyboardInterrupt):
        pass
    except Exception:
        pipe.send(traceback.format_exc())


def _stop(pipes: Sequence[Connection], processes: Sequence[Any]) -> None:
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.send("close")
        pipe.close()
    for process in processes:
        process.join(timeout=5)
        if process.is_alive():
            process.terminate()
