"""Names and failures of the jobs of a sweep."""

from __future__ import annotations

import pytest

from omiga_torchrl import sweeps
from omiga_torchrl.trainers.interruption import TrainingInterrupted

pytest.importorskip("hydra")


@pytest.mark.parametrize(
    ("arguments", "swept"),
    [
        (["-m", "algorithm.alpha=0.3,1"], "algorithm.alpha"),
        (["--multirun", "+task_kwargs.max_steps=10,20", "seed=0,1"], "task_kwargs.max_steps"),
        (["-m", "trainer.lr=choice(1e-3,2e-3)", "dataset=mixed"], "trainer.lr"),
        (["-m", "hydra.sweeper.params.algorithm.alpha=interval(0.1,3)"], "algorithm.alpha"),
        (["-m", "trainer=laptop,published", "dataset=a/x.h5,b/x.h5"], "trainer,dataset"),
    ],
)
def test_swept_keys_are_written_down(arguments: list[str], swept: str) -> None:
    assert sweeps.mark_sweep(arguments) == [*arguments, f"++swept=[{swept}]"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["algorithm.alpha=1"],
        ["-m", "algorithm=bc,omiga", "seed=0,1,2", "task=a,b", "out=runs"],
        ["-m", "algorithm.hidden_sizes=[8,8]", "algorithm.label='a,b'"],
        ["-m", "broken=[1"],
    ],
)
def test_other_command_lines_stay_as_they_are(arguments: list[str]) -> None:
    assert sweeps.mark_sweep(arguments) == arguments


def test_labels_are_names_of_folders() -> None:
    overrides = ["algorithm.hidden_sizes=[8,16]", "+task_kwargs.max_steps=20", "seed=3"]
    label = sweeps.swept_label(["algorithm.hidden_sizes", "task_kwargs.max_steps", "absent"], overrides)
    assert label == "-hidden_sizes-8-16-max_steps-20"


def test_a_signal_ends_the_process_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise TrainingInterrupted(15, "stopped after step 3, saved as a.pt")

    with pytest.raises(SystemExit) as caught:
        sweeps.run_recipe(main)
    assert caught.value.code == 143
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(
        "train: stopped after step 3, saved as a.pt. The same command with existing=resume"
    )


def test_failed_jobs_are_listed_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        sweeps.run_recipe(lambda: sweeps._failed.append(("seed=1", "ValueError: alpha is -1")))
    assert caught.value.code == 1
    assert "1 of the sweep's jobs failed" in (text := capsys.readouterr().err)
    assert "  - seed=1: ValueError: alpha is -1" in text
    sweeps.run_recipe(lambda: None)  # nothing is carried over
