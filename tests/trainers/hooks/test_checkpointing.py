"""Which checkpoints are written, which are kept, and what is told."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from omiga_torchrl.trainers.hooks import CheckpointHook
from tests.trainers.hooks.test_evaluation import Told


class Saving(Told):
    def save(self, path: str | Path) -> Path:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(self.step_count))
        return path


def registered(folder: Path, interval: int = 5, keep: int = 1) -> tuple[CheckpointHook, Saving]:
    hook, trainer = CheckpointHook(folder, interval, keep=keep), Saving()
    hook.register(trainer)  # type: ignore[arg-type]
    return hook, trainer


def steps(folder: Path) -> list[int]:
    return sorted(int(file.stem[5:]) for file in folder.glob("step_*.pt"))


def run(trainer: Saving, first: int, last: int) -> None:
    for trainer.step_count in range(first, last + 1):
        trainer.ops["post_steps_log"](None)


def test_it_saves_at_multiples_of_its_interval_and_at_the_end(tmp_path: Path) -> None:
    hook, trainer = registered(tmp_path / "new", keep=10)
    run(trainer, 1, 12)
    assert steps(tmp_path / "new") == [5, 10] and hook.last_step == 10
    trainer.ops["shutdown"]()
    assert steps(tmp_path / "new") == [5, 10, 12]
    (tmp_path / "new" / "step_00000012.pt").write_text("as it was")
    trainer.ops["shutdown"]()
    assert (tmp_path / "new" / "step_00000012.pt").read_text() == "as it was"


@pytest.mark.parametrize(
    ("keep", "kept"), [(1, [25]), (2, [20, 25]), (4, [10, 15, 20, 25]), (9, [5, 10, 15, 20, 25])]
)
def test_the_newest_are_kept(tmp_path: Path, keep: int, kept: list[int]) -> None:
    (tmp_path / "step_mine.pt").touch()
    _, trainer = registered(tmp_path, keep=keep)
    run(trainer, 1, 25)
    assert steps_of_runs(tmp_path) == kept and (tmp_path / "step_mine.pt").exists()


def steps_of_runs(folder: Path) -> list[int]:
    return sorted(int(file.stem[5:]) for file in folder.glob("step_0*.pt"))


def test_the_one_just_written_stays_though_it_is_of_an_earlier_step(tmp_path: Path) -> None:
    for step in (100, 200):
        (tmp_path / f"step_{step:08d}.pt").touch()
    hook, trainer = registered(tmp_path, keep=2)
    trainer.step_count = 5
    assert hook.save() == tmp_path / "step_00000005.pt"
    assert steps(tmp_path) == [5, 200]
    hook.save()  # again at the same step
    assert steps(tmp_path) == [5, 200]


def test_names_sort_by_step() -> None:
    hook = CheckpointHook("a", 1)
    assert hook.path(7) == Path("a/step_00000007.pt") and hook.keep == 1 and hook.last_step == -1
    assert hook.path(123456789).name == "step_123456789.pt"


def test_when_it_last_saved_is_its_state(tmp_path: Path) -> None:
    hook, trainer = registered(tmp_path)
    hook.load_state_dict({"last_step": 7})
    assert hook.state_dict() == {"last_step": 7}
    trainer.step_count = 7
    trainer.ops["shutdown"]()
    assert steps(tmp_path) == [] and trainer.modules == {"checkpoint": hook}
    trainer.step_count = 8
    trainer.ops["shutdown"]()
    assert steps(tmp_path) == [8]


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"CheckpointHook: interval must be at least 1, got 0"):
        CheckpointHook(tmp_path, 0)
    with pytest.raises(ValueError, match=r"CheckpointHook: keep=0; expected at least 1"):
        CheckpointHook(tmp_path, 1, keep=0)
    with pytest.raises(TypeError, match=r"CheckpointHook: trainer must have"):
        CheckpointHook(tmp_path, 1).register(object())  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        CheckpointHook(tmp_path, 1).save()
    CheckpointHook(tmp_path, 1)._end()


def test_a_buffer_that_prefetches_is_told_of(tmp_path: Path) -> None:
    class Buffer:
        _prefetch = True

    trainer = Saving()
    trainer.replay_buffer = Buffer()  # type: ignore[assignment]
    with pytest.warns(UserWarning, match=r"CheckpointHook: the replay buffer prefetches"):
        CheckpointHook(tmp_path, 1).register(trainer)  # type: ignore[arg-type]
    Buffer._prefetch = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CheckpointHook(tmp_path, 1).register(trainer)  # type: ignore[arg-type]
