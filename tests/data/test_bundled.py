"""Where datasets, checkpoints and caches are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from omiga_torchrl.data import bundled
from omiga_torchrl.data.bundled import bundled_behaviours, bundled_datasets, cache_root, find_dataset


@pytest.fixture
def assets(tmp_path, monkeypatch):
    root = tmp_path / "assets"
    for name in ("tasks/b/mixed", "tasks/a/mixed"):
        folder = root / "datasets" / name
        folder.mkdir(parents=True)
        (folder / "card.json").touch()
    (root / "datasets" / "tasks" / "c").mkdir()  # no card
    for name in ("mujoco/hopper/2.pt", "mujoco/hopper/1.pt", "tabular/xor-2/1.pt", "tabular/xor/3.pt"):
        (root / "behaviour" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "behaviour" / name).touch()
    (root / "behaviour" / "mujoco" / "hopper" / "notes.txt").touch()
    monkeypatch.setattr(bundled, "_ASSETS", root)
    return root


def test_datasets_are_the_folders_with_a_card(assets):
    assert bundled_datasets() == ["tasks/a/mixed", "tasks/b/mixed"]


def test_behaviours_are_sorted_and_joint_tasks_stand_in_for_shared_robots(assets):
    def names(task):
        return [path.relative_to(assets / "behaviour").as_posix() for path in bundled_behaviours(task)]

    assert names("mujoco/hopper") == ["mujoco/hopper/1.pt", "mujoco/hopper/2.pt"]
    assert names("mujoco/hopper-3x1") == ["mujoco/hopper/1.pt", "mujoco/hopper/2.pt"]
    assert names("tabular/xor") == ["tabular/xor/3.pt"] and names("tabular/xor-2") == ["tabular/xor-2/1.pt"]
    with pytest.raises(ValueError, match=r"mujoco/hopper, tabular/xor, tabular/xor-2"):
        bundled_behaviours("tabular/xor-9")  # only robots are shared
    with pytest.raises(ValueError, match="unknown task 'mujoco/ant'"):
        bundled_behaviours("mujoco/ant")


def test_a_dataset_is_a_name_or_a_folder_with_a_card(assets, tmp_path, monkeypatch):
    assert find_dataset("tasks/a/mixed") == assets / "datasets" / "tasks/a/mixed"
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(ValueError, match=r"own holds no card.json"):
        find_dataset(own)
    (own / "card.json").touch()
    assert find_dataset(own) == own and find_dataset(str(own)) == own
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_dataset("~/own") == own
    with pytest.raises(ValueError, match=r"^OfflineDataset: unknown dataset 'nowhere'.*tasks/a/mixed"):
        find_dataset("nowhere")


def test_the_bundled_name_wins(assets, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere" / "tasks" / "a" / "mixed"
    other.mkdir(parents=True)
    (other / "card.json").touch()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert find_dataset("tasks/a/mixed") == assets / "datasets" / "tasks/a/mixed"


def test_the_cache_is_where_one_says_or_in_the_environment_or_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", "~/env")
    assert cache_root("there") == Path("there") and cache_root("~/mine") == tmp_path / "mine"
    assert cache_root() == tmp_path / "env"
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", "")
    assert cache_root() == tmp_path / ".cache" / "omiga_torchrl"
    monkeypatch.delenv("OMIGA_TORCHRL_HOME")
    assert cache_root() == tmp_path / ".cache" / "omiga_torchrl"
