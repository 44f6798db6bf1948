"""Training on a GPU: the step as a CUDA graph, data on the device, no wait for it; `pytest -m gpu`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.data import OfflineDataset, keep_on_device
from omiga_torchrl.trainers import OfflineTrainer
from omiga_torchrl.trainers.compiled.captured import WARM_UP, CapturedRun
from omiga_torchrl.trainers.compiled.stacked import StackedRuns
from omiga_torchrl.trainers.compiled.stepper import CompiledStepper
from omiga_torchrl.trainers.together import RunGroup
from recipes.benchmark_steps import SLICE
from tests.trainers.compiled.cases import CONTINUOUS, DISCRETE, Case
from tests.trainers.toy import snapshot

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator"),
    pytest.mark.filterwarnings("default"),
]
GPU = torch.device("cuda", 0)
DATASETS = {False: "vmas/navigation/mixed", True: "vmas/speaker_listeners/medium"}


def make_trainer(name: str, mode: str, seed: int = 0, steps: int = 8, **options: Any) -> OfflineTrainer:
    """On the bundled data, small."""
    in_time = ALGORITHMS[name].sequences
    data = OfflineDataset(DATASETS[False], batch_size=64, slice_len=SLICE if in_time else None)
    torch.manual_seed(seed)
    parts = Case(name, data.spec).make(seed)
    parts.loss.to(GPU)
    given: dict[str, Any] = {**parts.trainer_arguments, "replay_buffer": data, "progress_bar": False}
    return OfflineTrainer(**given, total_steps=steps, compile=cast(Any, mode), seed=seed, **options)


def captured(trainer: OfflineTrainer) -> CapturedRun:
    stepper = cast(CompiledStepper, trainer.optimization_stepper)
    [compiled] = stepper._graphs.values()
    assert isinstance(compiled.run, CapturedRun)
    return compiled.run


def assert_near(left: OfflineTrainer, right: OfflineTrainer) -> None:
    for a, b in itertools.zip_longest(snapshot(left), snapshot(right)):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-5)


CONTINUOUS_NAMES = sorted(name for name, one in ALGORITHMS.items() if "continuous" in one.actions)


@pytest.mark.parametrize("name", CONTINUOUS_NAMES)
def test_a_recorded_step_equals_the_eager_one(name: str) -> None:
    eager, whole = make_trainer(name, "none"), make_trainer(name, "step")
    for trainer in (eager, whole):
        torch.manual_seed(5)
        trainer.train()
    assert captured(whole).recordings == 1
    assert_near(eager, whole)


@pytest.mark.parametrize("mode", ["none", "step"])
def test_a_step_does_not_wait_for_the_device(mode: str) -> None:
    trainer = make_trainer("omiga", mode, steps=20, nan_check_interval=None)
    for _ in range(WARM_UP + 2):
        trainer.train_step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            trainer.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole = make_trainer("omiga", "step", steps=12)
    whole.train()
    half = make_trainer("omiga", "step", steps=6)
    half.train()
    file = half.save(tmp_path / "half.pt")
    rest = make_trainer("omiga", "step", steps=12)
    rest.train_step()  # what is there before is replaced
    rest.load_from_file(file)
    rest.train()
    assert all(torch.equal(a, b) for a, b in zip(snapshot(whole), snapshot(rest), strict=True))


def test_outputs_are_not_overwritten_by_the_next_step() -> None:
    trainer = make_trainer("omiga", "step")
    outputs: list[dict[str, Tensor]] = []
    step = trainer.optimization_stepper.step
    for _ in range(WARM_UP + 3):
        out = step(trainer, trainer._sample())
        outputs.append({key: value.clone() for key, value in out.items()} | {"live": out["loss_qvalue"]})
    assert all(torch.equal(out["live"], out["loss_qvalue"]) for out in outputs)
    assert len({out["live"].item() for out in outputs}) == len(outputs)


def test_runs_together_are_each_what_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[StackedRuns] = []
    init = StackedRuns.__init__
    monkeypatch.setattr(StackedRuns, "__init__", lambda self, *args: made.append(self) or init(self, *args))
    alone = [make_trainer("omiga", "none", seed) for seed in (0, 1)]
    for trainer in alone:
        torch.manual_seed(trainer.seed)
        trainer.train()
    group = RunGroup()
    for seed in (0, 1):
        group.add(make_trainer("omiga", "none", seed))
    group.train()
    assert isinstance(made[0]._run, CapturedRun) and made[0]._run.recordings == 1
    for one, other in zip(alone, group.trainers, strict=True):
        assert_near(one, cast(OfflineTrainer, other))


@pytest.mark.parametrize("slice_len", [None, 8])
def test_samples_on_the_device_are_the_same(slice_len: int | None) -> None:
    here, there = (OfflineDataset(DATASETS[False], batch_size=64, slice_len=slice_len) for _ in range(2))
    assert keep_on_device(there, GPU) and not keep_on_device(here, torch.device("cpu"))
    for _ in range(3):
        torch.manual_seed(3)
        one = here.sample()
        torch.manual_seed(3)
        other = there.sample()
        assert other.device == GPU
        assert set(one.keys(True, True)) == set(other.keys(True, True))
        assert bool((one == other.cpu()).all())


def test_data_that_do_not_fit_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**5, 10**6))
    data = OfflineDataset(DATASETS[False], batch_size=8)
    assert not keep_on_device(data, GPU) and data.sample().device != GPU
    trainer = make_trainer("bc", "step")
    trainer.train()
    assert trainer.step_count == 8


@pytest.mark.parametrize(
    "case", [Case("icq", DISCRETE), Case("omiga", CONTINUOUS, {"rnn_hidden_size": 4})], ids=str
)
def test_other_kinds_compile_on_a_gpu(case: Case) -> None:
    from torchrl.data import LazyTensorStorage, ReplayBuffer

    batch = case.batch()
    buffer = ReplayBuffer(storage=LazyTensorStorage(len(batch)), batch_size=4)
    buffer.extend(batch)
    results = []
    for mode in ("none", "step"):
        parts = case.make()
        parts.loss.to(GPU)
        trainer = OfflineTrainer(
            **parts.trainer_arguments,
            replay_buffer=buffer,
            total_steps=8,
            progress_bar=False,
            compile=cast(Any, mode),
            seed=0,
        )
        trainer.train()
        results.append(trainer)
    assert_near(*results)
