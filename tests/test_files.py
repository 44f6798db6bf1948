"""Files that are whole or absent: full disks, folders of others, and what killed processes leave."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.errors import StorageError
from omiga_torchrl.files import atomic_write, remove_unfinished
from omiga_torchrl.report import RunInfo, RunWriter
from omiga_torchrl.trainers.checkpoint import load_checkpoint, save_checkpoint


@contextmanager
def small_files() -> Iterator[None]:
    """No file can grow beyond 20 kB, as on a full disk; also not the one that pytest's output may go to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [4_900, 100_000])  # torch fails in another way where its own buffer is full
def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path: Path, size: int) -> None:
    path = save_checkpoint(tmp_path / "a.pt", {"x": torch.zeros(3)}, step=1, metadata={})
    told = r"a\.pt cannot be written: File too large .*MiB free.*Make room"
    with small_files(), pytest.raises(StorageError, match=told):
        save_checkpoint(path, {"x": torch.zeros(size)}, step=2, metadata={})
    assert load_checkpoint(path)["step"] == 1
    assert [one.name for one in tmp_path.iterdir()] == ["a.pt"]


def test_a_run_on_a_full_disk_can_go_on_later(tmp_path: Path) -> None:
    info = RunInfo("bc", "game", "mixed", 0, versions={})
    writer = RunWriter(tmp_path, info)
    writer.evaluation(1, "training", returns=[1.0])
    told = r"evaluations\.jsonl cannot be written: File too large"
    with small_files(), pytest.raises(StorageError, match=told):
        writer.evaluation(2, "training", returns=[0.123456789] * 3000)
    again = RunWriter(tmp_path, info, existing="keep")
    again.evaluation(2, "training", returns=[2.0])
    lines = (again.path / "evaluations.jsonl").read_text().splitlines()
    assert [line[:10] for line in lines] == ['{"step": 1', '{"step": 2']


@pytest.mark.parametrize("below", ["file", "file/x"])
def test_a_place_that_cannot_be_a_folder_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match=r"cannot be written: .*folder of your own\. out= .*chooses it"):
        RunWriter(tmp_path / below, RunInfo("bc", "game", "mixed", 0))
    with pytest.raises(StorageError, match=r"cannot be written"), atomic_write(tmp_path / below / "a"):
        pass
    with pytest.raises(StorageError, match=r"cannot be written .*OMIGA_TORCHRL_HOME"):
        OfflineDataset("vmas/navigation/mixed", root=tmp_path / below)


def test_what_a_killed_process_had_begun_is_removed_at_the_next_start(tmp_path: Path) -> None:
    info = RunInfo("bc", "game", "mixed", 0)
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a") as file:
        left = Path(file.name) if isinstance(file.name, str) else next(tmp_path.iterdir())
        file.write(b"half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    folder = tmp_path / info.folder
    for name, continues in ((".run.json", False), ("checkpoints/.step_00000005.pt", True)):
        path = (folder / name).with_name((folder / name).name + left.name.removeprefix(".a"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        assert RunWriter(tmp_path, info, existing="keep").continues == continues
        assert not path.exists() and remove_unfinished(folder) == 0
