"""`CapturedRun`: compiled code as one CUDA graph, launched at once and not kernel by kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

_LOG = logging.getLogger(__name__)

Compiled = Callable[[list[Tensor]], Sequence[Tensor]]
Record = Callable[[Callable[[], list[Tensor]]], tuple[Callable[[], None], list[Tensor]]]

# Calls before the recording, in which kernels are loaded and workspaces allocated.
WARM_UP: Final = 2


class CapturedRun:
    """A compiled step that is recorded once and replayed from then on.

    A small step is some hundred kernels of a few microseconds, which take longer to launch than to run. The
    first calls are ordinary ones; the recording itself computes nothing. A state in other tensors, e.g. after
    a checkpoint was loaded, is recorded anew. What cannot be recorded goes on kernel by kernel, and says so.

    Args:
        run: from a list of inputs, which it empties, to the outputs; changes the first ``n_state`` in place.
        n_state: tensors of the state.
        record: from a function to what repeats its work, and its outputs, which each repetition overwrites.

    Attributes:
        recordings: made so far.
    """

    def __init__(self, run: Compiled, n_state: int, record: Record) -> None:
        self._compiled, self._n_state, self._record = run, n_state, record
        self._calls, self.recordings, self._can_record = 0, 0, True
        self._state: list[Tensor] = []
        self._given: list[Tensor] = []
        self._replay: Callable[[], None] | None = None
        self._packed: _Packed | None = None

    def __call__(self, inputs: list[Tensor]) -> Sequence[Tensor]:
        """The outputs of ``inputs``, in memory of their own."""
        self._calls += 1
        if self._calls <= WARM_UP or not self._can_record:
            return self._compiled(inputs)
        state, given = inputs[: self._n_state], inputs[self._n_state :]
        if self._replay is None or any(new is not old for new, old in zip(state, self._state, strict=True)):
            try:
                self._capture(state, given)
            except RuntimeError as error:
                first = (str(error).splitlines() or [""])[0]
                _LOG.warning("train: the step cannot be recorded as a CUDA graph (%s); it is slower.", first)
                self._can_record = False
                return self._compiled(inputs)
        assert self._replay is not None and self._packed is not None
        _copy(self._given, given)
        self._replay()
        return self._packed.outputs()

    def _capture(self, state: list[Tensor], given: list[Tensor]) -> None:
        self._replay = self._packed = None  # frees the memory of a former recording
        self._given = [value.clone() for value in given]
        shapes: list[_Shape] = []

        def packed() -> list[Tensor]:
            values = self._compiled([*state, *self._given])
            shapes[:] = [(value.dtype, value.shape) for value in values]
            return [
                torch.cat([value.reshape(-1) for value in values if value.dtype == dtype])
                for dtype in dict.fromkeys(dtype for dtype, _ in shapes)
            ]

        self._replay, vectors = self._record(packed)
        self._packed, self._state = _Packed(vectors, shapes), state
        self.recordings += 1


_Shape = tuple[torch.dtype, torch.Size]


class _Packed:
    """Outputs that are one vector for each dtype: copied at once, and taken apart again."""

    def __init__(self, vectors: list[Tensor], shapes: list[_Shape]) -> None:
        self._vectors, self._shapes = vectors, shapes
        self._sizes = {
            vector.dtype: [shape.numel() for dtype, shape in shapes if dtype == vector.dtype]
            for vector in vectors
        }

    def outputs(self) -> list[Tensor]:
        """Copies of the last outputs."""
        parts = {
            vector.dtype: iter(vector.clone().split(self._sizes[vector.dtype])) for vector in self._vectors
        }
        return [next(parts[dtype]).view(shape) for dtype, shape in self._shapes]


def _copy(places: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copies tensors with one kernel for each dtype."""
    groups: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for place, value in zip(places, values, strict=True):
        mine, theirs = groups.setdefault(place.dtype, ([], []))
        mine.append(place)
        theirs.append(value)
    for mine, theirs in groups.values():
        torch._foreach_copy_(mine, theirs)


def record_cuda(device: torch.device) -> Record:
    """A recorder of work on a GPU, as a CUDA graph.

    Args:
        device: the GPU.
    """

    def record(work: Callable[[], list[Tensor]]) -> tuple[Callable[[], None], list[Tensor]]:
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile.
        with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = work()
        return graph.replay, outputs

    return record
