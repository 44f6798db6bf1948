"""Folders of runs: which run goes where, and what happens to what is there."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from omiga_torchrl.errors import DataError
from omiga_torchrl.report import RunIdentity, RunInfo, RunLockedError, RunWriter, load_runs
from omiga_torchrl.report.lock import lock_folder, release_folder
from omiga_torchrl.report.run_folder import claim_folder


def info(alpha: float = 0.3, steps: int = 10, schedule: str | None = None, **record) -> RunInfo:
    identity = RunIdentity(
        {
            "algorithm": {"name": "omiga", "alpha": alpha},
            "data": {"fingerprint": "a" * 64},
            "trainer": {"steps": steps, "lr_schedule": schedule},
            "seed": 0,
            **record,
        }
    )
    return RunInfo("omiga", "game", "mixed", 0, identity=identity.record)


def finished(root: Path, one: RunInfo, value: float = 1.0, **kwargs) -> RunWriter:
    writer = RunWriter(root, one, **kwargs)
    writer.evaluation(10, "final", returns=[value])
    (writer.path / "policy.pt").write_bytes(b"weights")
    writer.finish()
    return writer


def test_another_identity_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    first, second = finished(tmp_path, info(0.3)), finished(tmp_path, info(1.0))
    assert first.path.name == "omiga__game__mixed__seed0"
    assert second.path.name == f"omiga__game__mixed__seed0__{RunIdentity(info(1.0).identity).hash}"
    for one in (0.3, 1.0):  # each is found again where it is
        with pytest.raises(FileExistsError, match="holds a run already"):
            RunWriter(tmp_path, info(one))
        assert RunWriter(tmp_path, info(one), existing="keep").finished


def test_a_finished_run_is_kept_as_it_is(tmp_path: Path) -> None:
    before = finished(tmp_path, info(), 2.5)
    text = (before.path / "run.json").read_text()
    for existing in ("keep", "resume", "extend"):
        again = RunWriter(tmp_path, info(), existing=existing)
        assert again.finished and again.continues and again.final_return == 2.5
    assert (before.path / "run.json").read_text() == text
    assert len((before.path / "evaluations.jsonl").read_text().splitlines()) == 1


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    RunWriter(tmp_path, info()).evaluation(5, "training", returns=[1.0])
    again = RunWriter(tmp_path, info(), existing="keep")
    assert again.continues and not again.finished
    again.finish()
    sessions = load_runs(tmp_path)[0].info.audit["sessions"]
    assert len(sessions) == 2 and "ended" not in sessions[0] and sessions[1]["seconds"] >= 0
    assert sessions[1]["peak_memory"]["process_mib"] > 10


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (info(data={"fingerprint": "b" * 64}), "data.fingerprint (recorded 'aaaa"),
        (info(1.0), r"algorithm.alpha (recorded 0.3, asked 1)"),
        (info(task={"kwargs": {"max_steps": 20}}), "task.kwargs.max_steps (recorded None, asked 20)"),
        (
            info(steps=20),
            "trainer.steps (recorded 10, asked 20); expected the same ones to resume. existing='ext",
        ),
    ],
)
def test_resuming_another_run_lists_the_differences(tmp_path: Path, other: RunInfo, named: str) -> None:
    finished(tmp_path, info())
    with pytest.raises(ValueError) as caught:
        RunWriter(tmp_path, other, existing="resume")
    assert named in str(caught.value)


def test_a_former_run_is_reported_and_not_resumed(tmp_path: Path) -> None:
    former = replace(info(), identity={})
    RunWriter(tmp_path, former).evaluation(10, "final", returns=[1.0])
    assert load_runs(tmp_path)[0].final.mean_return == 1.0
    with pytest.raises(
        ValueError, match=r"written by a former version.* It can be reported; use existing='over"
    ):
        RunWriter(tmp_path, info(), existing="resume")


def test_overwriting_removes_everything_of_the_former_run(tmp_path: Path) -> None:
    path = finished(tmp_path, info()).path
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "step_00000010.pt").write_bytes(b"old")
    writer = RunWriter(tmp_path, info(1.0), existing="overwrite")
    assert writer.path == path and sorted(one.name for one in path.iterdir()) == [".lock", "run.json"]
    assert json.loads((path / "run.json").read_text())["identity"]["algorithm"]["alpha"] == 1
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_overwrite_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".omiga__game__mixed__seed0.former-123"
    left.mkdir()
    (left / "policy.pt").write_bytes(b"old")
    RunWriter(tmp_path, info())
    assert not left.exists()


def test_a_folder_without_a_description_is_no_run(tmp_path: Path) -> None:
    path = finished(tmp_path, info()).path
    (path / "run.json").unlink()
    for existing in ("error", "keep", "resume", "extend"):
        with pytest.raises(DataError, match=r"got files without run\.json\. Use existing='overwrite'"):
            RunWriter(tmp_path, info(), existing=existing)
    (path / "run.json").write_text('{"algorithm": ')
    with pytest.raises(DataError, match="must be a whole JSON file, got damaged JSON"):
        RunWriter(tmp_path, info(), existing="resume")
    assert not RunWriter(tmp_path, info(), existing="overwrite").continues


def test_extending_goes_on_and_says_what_is_no_longer_the_same(tmp_path: Path) -> None:
    finished(tmp_path / "plain", info())
    writer = RunWriter(tmp_path / "plain", info(steps=20), existing="extend")
    assert writer.continues and not writer.finished
    assert writer.info.identity == info(steps=20).identity  # as if it had been that long from the start
    finished(tmp_path / "cosine", info(schedule="cosine"))
    writer = RunWriter(tmp_path / "cosine", info(steps=20, schedule="cosine"), existing="extend")
    assert writer.info.identity["trainer"]["extended_from"] == [10]
    writer.finish()
    again = RunWriter(tmp_path / "cosine", info(steps=20, schedule="cosine"), existing="resume")
    assert again.finished
    with pytest.raises(ValueError, match=r"trainer\.steps \(recorded 20, asked 5\)"):
        RunWriter(tmp_path / "cosine", info(steps=5, schedule="cosine"), existing="extend")


def test_only_finished_runs_are_extended(tmp_path: Path) -> None:
    RunWriter(tmp_path, info())
    with pytest.raises(ValueError, match="one that stopped before its 10 steps"):
        RunWriter(tmp_path, info(steps=20), existing="extend")


def _take(folder: Path, answers) -> None:
    try:
        lock_folder(folder)
        answers.put("taken")
    except RunLockedError as error:
        answers.put(str(error))


def test_two_processes_cannot_write_one_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writer = RunWriter(tmp_path, info())
    answers = context.Queue()
    for expected in ("being written by another process", "taken"):
        # A forked process shares the open file, and with it the lock: it has to forget it.
        other = context.Process(target=_fresh, args=(writer.path, answers))
        other.start()
        assert expected in answers.get(timeout=30)
        other.join()
        release_folder(writer.path)


def _fresh(folder: Path, answers) -> None:
    from omiga_torchrl.report import lock

    lock._HELD.clear()
    _take(folder, answers)


def test_an_unknown_value_of_existing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'keep'"):
        claim_folder(tmp_path, info(), "kepp")  # type: ignore[arg-type]
