from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import EvaluationResult
from omiga_torchrl.report import RunInfo, RunWriter, load_runs

INFO = RunInfo("omiga", "vmas/navigation", "mixed", 3, {"alpha": 0.3}, behaviour_return=1.0, card={"rows": 5})


def write(root: Path, steps: tuple[int, ...] = (10, 20), **kwargs: str) -> RunWriter:
    writer = RunWriter(root, INFO, **kwargs)
    for step in steps:
        writer.evaluation(step, "training", returns=[step, step + 1.0], lengths=[3, 4])
    return writer


def test_round_trip(tmp_path: Path) -> None:
    writer = write(tmp_path)
    won = torch.tensor([True, False])
    result = EvaluationResult(torch.tensor([1.0, 2.0]), torch.tensor([3, 4]), won, won, seed=7)
    writer.evaluation(20, "final", **result.to_record())
    (run,) = load_runs(tmp_path)
    assert run.path.name == "omiga__vmas-navigation__mixed__seed3"
    assert run.info == INFO and run.info.versions["torch"]
    assert [e.step for e in run.labelled("training")] == [10, 20]
    final = run.final
    assert final.returns == [1.0, 2.0] and final.seed == 7 and final.deterministic
    assert final.extra == {"terminated": [True, False], "won": [True, False]}
    assert final.mean_return == 1.5 and final.wall_time >= 0


def test_a_truncated_last_line_is_ignored_with_a_warning(tmp_path: Path) -> None:
    file = write(tmp_path).path / "evaluations.jsonl"
    file.write_text(file.read_text() + '{"step": 30, "ret')
    with pytest.warns(UserWarning, match="ignored the truncated last line 3"):
        (run,) = load_runs(tmp_path)
    assert [e.step for e in run.evaluations] == [10, 20]
    write(tmp_path, (30,), existing="resume")
    assert [e.step for e in load_runs(tmp_path)[0].evaluations] == [10, 20, 30]


def test_damage_elsewhere_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path).path
    file = path / "evaluations.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(["{broken", *lines]) + "\n")
    with pytest.raises(DataError, match=r"line 1 of .* is damaged"):
        load_runs(tmp_path)
    file.unlink()
    (path / "run.json").write_text("{}")
    with pytest.raises(DataError, match="no run description"):
        load_runs(tmp_path)


def test_resume_replaces_repeated_evaluations(tmp_path: Path) -> None:
    write(tmp_path)
    writer = RunWriter(tmp_path, INFO, existing="resume")
    writer.evaluation(20, "training", returns=[5.0])
    (run,) = load_runs(tmp_path)
    assert [e.mean_return for e in run.evaluations] == [10.5, 5.0]
    write(tmp_path, (1,), existing="overwrite")
    assert [e.step for e in load_runs(tmp_path)[0].evaluations] == [1]


def test_errors(tmp_path: Path) -> None:
    writer = write(tmp_path)
    with pytest.raises(FileExistsError, match="existing='resume'"):
        write(tmp_path)
    with pytest.raises(ValueError, match="did you mean 'resume'"):
        write(tmp_path, existing="resum")
    changed = RunInfo("omiga", "vmas/navigation", "mixed", 3, {"alpha": 1.0})
    with pytest.raises(ValueError, match="other values of alpha"):
        RunWriter(tmp_path, changed, existing="resume")
    with pytest.raises(ValueError, match="unknown label 'bst'"):
        writer.evaluation(1, "bst", returns=[1.0])
    with pytest.raises(ValueError, match="no returns"):
        writer.evaluation(1, "final", returns=[])
    with pytest.raises(FileNotFoundError, match=r"each with a run\.json, got no such folder"):
        load_runs(tmp_path / "elsewhere")
    json.loads((writer.path / "run.json").read_text())


def test_a_repeated_final_evaluation_takes_the_place_of_the_first(tmp_path):
    from omiga_torchrl.report import RunInfo, RunWriter, load_runs

    writer = RunWriter(tmp_path, RunInfo("bc", "game", "mixed", 0))
    writer.evaluation(5, "training", returns=[1.0])
    for value in (2.0, 3.0):
        writer.evaluation(5, "final", returns=[value])
    assert len((writer.path / "evaluations.jsonl").read_text().splitlines()) == 2
    assert load_runs(tmp_path)[0].final.returns == [3.0]
