"""What a recipe's setting `dataset` means, and what is said where it means nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from omiga_torchrl.data import bundled_datasets
from omiga_torchrl.trainers.dataset_names import dataset_name, require_dataset

TASK, TIER = next(iter(bundled_datasets())).rsplit("/", 1)


def config(dataset: str, task: str | None = TASK) -> SimpleNamespace:
    return SimpleNamespace(task=task, dataset=dataset)


def test_a_tier_is_one_of_the_task() -> None:
    assert dataset_name(config(TIER)) == f"{TASK}/{TIER}"
    assert dataset_name(config("anything")) == f"{TASK}/anything"
    require_dataset(config(TIER))


def test_what_has_a_name_of_its_own_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    for name in ("omiga:HalfCheetah", f"{TASK}/{TIER}", "mine"):
        assert dataset_name(config(name)) == name
        require_dataset(config(name))
    assert dataset_name(config(TIER, task=None)) == TIER
    require_dataset(config("mine", task=None))
    require_dataset(config(f"{TASK}/{TIER}", task=None))


@pytest.mark.parametrize(
    ("name", "task"), [("no/folder", TASK), ("data.h5", TASK), ("mixed-or-so", None), (TIER, None)]
)
def test_a_path_to_nothing(
    name: str, task: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=rf"train: dataset must be a file or folder.*got {name}.*{tmp_path}"
    ):
        require_dataset(config(name, task))


def test_a_tier_nearly_right_is_corrected_and_another_explained() -> None:
    with pytest.raises(
        ValueError, match=rf"train: unknown dataset of {TASK} '{TIER}x'; did you mean '{TIER}'"
    ):
        require_dataset(config(f"{TIER}x"))
    with pytest.raises(
        ValueError, match=rf"comes with {TASK} \(.*{TIER}.*\), got 'qqqqqq'.*record_dataset task={TASK}"
    ):
        require_dataset(config("qqqqqq"))
    with pytest.raises(ValueError, match=r"\(none does\), got 'mixed'"):
        require_dataset(config("mixed", task=TASK.rsplit("/", 1)[0]))
