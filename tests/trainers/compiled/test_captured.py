"""Recorded steps, with a recorder that works on the CPU; on a GPU see tests/trainers/test_gpu.py."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from omiga_torchrl.trainers.compiled.captured import WARM_UP, CapturedRun

Work = Callable[[], list[Tensor]]


class Recorder:
    """Records like a CUDA graph: the work is looked at, not done; a replay overwrites its outputs."""

    def __init__(self, kept: list[Tensor]) -> None:
        self.kept, self.recorded = kept, 0

    def __call__(self, work: Work) -> tuple[Callable[[], None], list[Tensor]]:
        before = [value.clone() for value in self.kept]
        outputs = work()
        for value, old in zip(self.kept, before, strict=True):
            value.copy_(old)
        self.recorded += 1

        def replay() -> None:
            for place, value in zip(outputs, work(), strict=True):
                place.copy_(value)

        return replay, outputs


def step(inputs: list[Tensor]) -> list[Tensor]:
    """A sum that is the state; outputs of several shapes and dtypes."""
    total, x, y = inputs
    inputs.clear()
    total += x.sum()
    return [total.clone(), x * 2, (y > 1).any(), y + 1, x.double().mean()]


def given(number: int) -> list[Tensor]:
    return [torch.tensor([1.0, number]), torch.tensor([[number]])]


def test_every_call_is_one_step_and_outputs_stay() -> None:
    total = torch.zeros(())
    recorder = Recorder([total])
    run = CapturedRun(step, 1, recorder)
    found = [run([total, *given(number)]) for number in range(WARM_UP + 3)]
    sums = torch.tensor([1.0 + number for number in range(WARM_UP + 3)]).cumsum(0)
    assert total == sums[-1] and recorder.recorded == run.recordings == 1
    for number, (old, double, large, more, mean) in enumerate(found):
        assert old == sums[number] and old.shape == ()
        assert double.tolist() == [2.0, 2.0 * number] and more.tolist() == [[number + 1]]
        assert (large.dtype, bool(large)) == (torch.bool, number > 1)
        assert (more.dtype, mean.dtype, float(mean)) == (torch.int64, torch.float64, (1 + number) / 2)


def test_the_callers_inputs_are_read_at_every_call_and_not_changed() -> None:
    total = torch.zeros(())
    run = CapturedRun(step, 1, Recorder([total]))
    inputs = given(3)
    for _ in range(WARM_UP + 1):
        run([total, *inputs])
    inputs[0] += 10
    assert run([total, *inputs])[1].tolist() == [22.0, 26.0] and inputs[0].tolist() == [11.0, 13.0]


def test_a_state_in_other_tensors_is_recorded_anew() -> None:
    total, other = torch.zeros(()), torch.tensor(100.0)
    recorder = Recorder([total, other])
    run = CapturedRun(step, 1, recorder)
    for _ in range(WARM_UP + 1):
        run([total, *given(0)])
    assert float(run([other, *given(0)])[0]) == 101.0 and recorder.recorded == 2
    assert float(total) == WARM_UP + 1 and float(other) == 101.0


def test_what_cannot_be_recorded_goes_on_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(work: Work) -> tuple[Callable[[], None], list[Tensor]]:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    total = torch.zeros(())
    run = CapturedRun(step, 1, refuse)
    with caplog.at_level(logging.WARNING):
        for number in range(WARM_UP + 3):
            assert float(run([total, *given(0)])[0]) == number + 1
    [said] = caplog.records
    assert "(operation not permitted when stream is capturing)" in said.message
