"""Command lines of recipes: all mistakes in one message, and errors without a way to them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from omiga_torchrl.command_line import checked_overrides, find_mistakes, is_told, settings_of, told_errors
from omiga_torchrl.errors import SettingsError, StorageError, require_count
from omiga_torchrl.trainers.options import MISSING, SpeedOptions, TrainerOptions

RECIPES = Path(__file__).parents[1] / "recipes"


@dataclass
class Fields(SpeedOptions):
    algorithm: dict[str, Any] = field(default_factory=dict)
    trainer: TrainerOptions = field(default_factory=lambda: TrainerOptions(1, 1, 1.0))
    seed: int = 0
    task: str | None = None


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    for name in ("algorithm/omiga", "algorithm/bc", "trainer/laptop"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "right",
    [
        ["-m", "algorithm=omiga,bc", "trainer=laptop", "seed=0,1", "algorithm.alpha=3", "task=nope"],
        ["trainer.lr=1e-3", "seeds=[0,1]", "+algorithm.mine={a: 1}", "task=null", "threads=2"],
        ["seed=range(3)", "hydra.run.dir=x", "~task", "+experiment/mine=x", "trainer.lr=interval(0, 1)"],
        ["--config-dir=mine", "algorithm=nope"],
    ],
)
def test_right_command_lines_pass(right: list[str], configs: Path) -> None:
    given = checked_overrides("train", right, Fields, configs)
    assert [one.removeprefix("++") for one in given] == [one.removeprefix("++") for one in right]


def test_keys_of_mappings_are_left_to_the_recipe(configs: Path) -> None:
    arguments = ["algorithm.alpa=3", "+algorithm.mine=3", "algorithm=bc", "trainer.lr=1", "seed=3"]
    given = checked_overrides("train", arguments, Fields, configs)
    assert given == ["++algorithm.alpa=3", *arguments[1:]]


def test_all_mistakes_are_in_one_message(configs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["algorithm=bc,omgia", "trainer=latpop", "seed=abc", "trainer.stpes=3", "++vectorize=maybe"]
    with pytest.raises(SystemExit):
        checked_overrides("train", wrong, Fields, configs)
    text = capsys.readouterr().err
    assert "unknown algorithm 'omgia'; did you mean 'omiga'" in text
    assert "unknown trainer 'latpop'; did you mean 'laptop'" in text
    assert "seed is 'abc'; expected a whole number." in text
    assert "unknown key 'stpes'; did you mean 'steps'" in text
    assert "vectorize is 'maybe'; expected true or false." in text


def test_every_value_of_a_sweep_is_checked(configs: Path) -> None:
    found = list(find_mistakes("train", ["trainer.lr=1e-3,fast", "seed=0,1.5"], Fields, configs))
    assert found == [
        "train: trainer.lr is 'fast'; expected a number.",
        "train: seed is 1.5; expected a whole number.",
    ]


@dataclass
class Needed:
    runs: str = MISSING
    out: str = MISSING


def test_values_that_must_be_given_are_named() -> None:
    with pytest.raises(
        SettingsError, match=r"^report: out and runs must be given.*Add out=\.\.\. runs=\.\.\.;"
    ):
        settings_of("report", OmegaConf.structured(Needed))
    assert settings_of("report", OmegaConf.structured(Needed("a", "b"))) == Needed("a", "b")


def test_errors_of_the_library_are_told_and_others_show_the_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), told_errors():
        require_count("record_dataset", 1, transitions=0)
    expected = "error: record_dataset: transitions is 0; expected at least 1, and a whole number.\n"
    assert capsys.readouterr().err == expected
    with pytest.raises(ValueError, match="invalid literal"), told_errors():
        int("x")
    assert is_told(StorageError(28, "x cannot be written"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert not is_told(StorageError(28, "x cannot be written"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", ["train", "evaluate", "report", "record_dataset", "export_dataset", "inspect_dataset"]
)
def test_no_recipe_takes_unknown_keys(recipe: str, tmp_path: Path) -> None:
    command = [sys.executable, str(RECIPES / f"{recipe}.py"), "+nonsense=3", "imprts=[]"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1
    assert f"{recipe}: unknown key 'nonsense'" in ended.stderr
    assert "did you mean 'imports'" in ended.stderr and "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())
