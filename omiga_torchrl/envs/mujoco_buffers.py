"""The arrays that simulators share, and what a group of simulators can do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass
class Buffers:
    """Arrays shared by the team environment and its `B` simulators.

    Attributes:
        action: joint actions in the simulators' order `[B, M]`, single precision.
        row: the simulators' vectors `[B, W]`, double precision.
        reward: rewards of the last step `[B]`, double precision.
        terminated: `[B]`, bool.
        truncated: `[B]`, bool; the team environment's own time limit is not in it.
        chosen: the environments that the next call is about `[B]`, bool.
        seed: seeds for the next reset `[B]`, int64; -1 goes on with the stream there is.
    """

    action: Array
    row: Array
    reward: Array
    terminated: Array
    truncated: Array
    chosen: Array
    seed: Array

    @classmethod
    def layout(cls, num_envs: int, n_actions: int, width: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and dtype of every array."""
        each = (num_envs,)
        return {
            "action": ((num_envs, n_actions), np.float32),
            "row": ((num_envs, width), np.float64),
            "reward": (each, np.float64),
            "terminated": (each, np.bool_),
            "truncated": (each, np.bool_),
            "chosen": (each, np.bool_),
            "seed": (each, np.int64),
        }

    @classmethod
    def zeros(cls, num_envs: int, n_actions: int, width: int) -> Buffers:
        """New arrays."""
        shapes = cls.layout(num_envs, n_actions, width)
        return cls(**{name: np.zeros(shape, dtype) for name, (shape, dtype) in shapes.items()})

    def part(self, rows: slice) -> Buffers:
        """Views of some of the environments."""
        return Buffers(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})


class SimulatorGroup(Protocol):
    """Simulators with common arrays: in this process or in workers."""

    buffers: Buffers

    def step(self) -> None:
        """One step of the environments in ``buffers.chosen``."""
        ...

    def reset(self) -> None:
        """Resets the environments in ``buffers.chosen``."""
        ...

    def close(self) -> None:
        """Frees what they hold."""
        ...
