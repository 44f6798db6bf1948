"""A schedule that knows the length of a training, when the training gets longer."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest
import torch

from omiga_torchrl.trainers import latest_checkpoint
from tests.trainers.test_interruption import trainer
from tests.trainers.toy import snapshot


def rates(folder: Path, steps: int) -> list[float]:
    one = trainer(folder, steps=steps, lr_schedule="cosine", lr=1.0)
    if (last := latest_checkpoint(folder)) is not None:
        one.load_from_file(last)
    found = []
    one.register_op("post_steps", lambda: found.append(one.optimizer.param_groups[0]["lr"]))
    one.train()
    return found


def test_an_extended_cosine_is_that_of_the_new_length(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def cosine(step: int, length: int) -> float:
        return (1 + math.cos(math.pi * step / length)) / 2

    assert rates(tmp_path, 4) == pytest.approx([cosine(step, 4) for step in (1, 2, 3, 4)])
    with caplog.at_level(logging.INFO):
        # Not from zero up again, as the cosine of 4 steps would go on.
        assert rates(tmp_path, 8) == pytest.approx([cosine(step, 8) for step in (5, 6, 7, 8)], abs=1e-9)
    assert "the cosine schedule of 4 steps is recomputed for 8" in caplog.text


def test_without_a_schedule_extending_is_a_longer_run_bit_for_bit(tmp_path: Path) -> None:
    whole = trainer(steps=9)
    whole.train()
    trainer(tmp_path, steps=4).train()
    longer = trainer(tmp_path, steps=9).load_from_file(latest_checkpoint(tmp_path))
    longer.train()
    assert all(torch.equal(a, b) for a, b in zip(snapshot(whole), snapshot(longer), strict=True))
