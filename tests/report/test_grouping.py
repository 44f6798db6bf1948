"""What a report averages, and what it keeps apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from omiga_torchrl.report import RunIdentity, RunInfo, RunWriter, load_runs, separate_runs, table_rows

RECORD = {
    "algorithm": {"name": "omiga", "alpha": 0.3},
    "data": {"fingerprint": "a" * 64, "reward_scale": 1},
    "task": {"name": "game", "kwargs": {}},
    "evaluation": {"episodes": 4, "final_episodes": 4, "seed": 0},
    "trainer": {"steps": 10, "lr": 0.1},
    "library": "1",
}


def write(root: Path, value: float, seed: int = 0, **sections) -> None:
    record = {**RECORD, **{name: {**RECORD[name], **changed} for name, changed in sections.items()}}
    identity = RunIdentity({**record, "seed": seed})
    one = RunInfo("omiga", "game", "mixed", seed, identity=identity.record)
    RunWriter(root, one).evaluation(10, "final", returns=[value])


def rows(root: Path) -> dict[tuple[str, str], tuple[int | None, float | None]]:
    return {(row.dataset, row.algorithm): (row.seeds, row.mean) for row in table_rows(load_runs(root))}


def test_seeds_of_one_setting_are_averaged(tmp_path: Path) -> None:
    write(tmp_path, 1.0, 0)
    write(tmp_path, 3.0, 1)
    assert rows(tmp_path) == {("mixed", "omiga"): (2, 2.0)}
    assert separate_runs(load_runs(tmp_path)).notes == []


def test_two_settings_of_one_seed_are_two_rows(tmp_path: Path) -> None:
    write(tmp_path / "a", 1.0)
    write(tmp_path / "b", 3.0, algorithm={"alpha": 10})
    assert rows(tmp_path) == {
        ("mixed", "omiga [alpha=0.3]"): (1, 1.0),
        ("mixed", "omiga [alpha=10]"): (1, 3.0),
    }
    (note,) = separate_runs(load_runs(tmp_path)).notes
    assert note == "game / mixed / omiga: 2 rows, as they differ in algorithm.alpha."


@pytest.mark.parametrize(
    ("sections", "brackets"),
    [
        ({"data": {"fingerprint": "b" * 64}}, ("fingerprint=aaaaaaaa", "fingerprint=bbbbbbbb")),
        ({"task": {"kwargs": {"max_steps": 20}}}, ("max_steps=null", "max_steps=20")),
        ({"task": {"kwargs": {"team_reward": "sum"}}}, ("team_reward=null", "team_reward=sum")),
        ({"evaluation": {"final_episodes": 8}}, ("final_episodes=4", "final_episodes=8")),
    ],
)
def test_other_conditions_are_other_cells(tmp_path: Path, sections, brackets) -> None:
    write(tmp_path / "a", 1.0)
    write(tmp_path / "b", 3.0, **sections)
    found = rows(tmp_path)
    assert {dataset for dataset, _ in found} == {f"mixed [{one}]" for one in brackets}
    assert sorted(found.values()) == [(1, 1.0), (1, 3.0)]
    assert "2 cells" in separate_runs(load_runs(tmp_path)).notes[0]


def test_a_seed_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a", 1.0)
    write(tmp_path / "copy", 1.0)
    write(tmp_path / "a", 3.0, 1)
    assert rows(tmp_path) == {("mixed", "omiga"): (2, 2.0)}
    (note,) = separate_runs(load_runs(tmp_path)).notes
    assert "a seed counts once; left out" in note and "copy" in note


def test_separating_again_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a", 1.0)
    write(tmp_path / "b", 3.0, algorithm={"alpha": 10}, task={"kwargs": {"max_steps": 20}})
    once = separate_runs(load_runs(tmp_path)).runs
    again = separate_runs(once)
    assert again.runs == once and again.notes == []


def test_former_runs_are_told_apart_by_their_hyper_parameters(tmp_path: Path) -> None:
    for folder, alpha in (("a", 0.1), ("b", 10)):
        settings = {
            "algorithm": {"name": "omiga", "alpha": alpha},
            "trainer": {"progress_bar": folder == "a"},
        }
        former = RunInfo("omiga", "game", "mixed", 0, settings)
        RunWriter(tmp_path / folder, former).evaluation(1, "final", returns=[1.0])
    assert [name for _, name in rows(tmp_path)] == ["omiga [alpha=0.1]", "omiga [alpha=10]"]
