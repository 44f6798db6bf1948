"""Converted folders are whole or absent."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple

import pytest

from omiga_torchrl.data.inventory import damage_of
from omiga_torchrl.data.ted_folder import write_whole
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import StorageError

from .conftest import make_episodes

Usage = namedtuple("Usage", "total used free")


def failing(error):
    def write(writer):
        writer.append(make_episodes())
        raise error

    return write


def test_a_folder_is_written_once_and_left_as_it_is(tmp_path):
    calls = []

    def write(writer):
        calls.append(writer.folder)
        writer.append(make_episodes())

    folder = tmp_path / "deep" / "data"
    write_whole(folder, write)
    assert damage_of(folder) is None and len(load_ted(folder)) == 8
    assert calls[0] != folder and not calls[0].exists()
    write_whole(folder, write)
    assert len(calls) == 1


def test_a_damaged_folder_is_made_anew(tmp_path):
    folder = tmp_path / "data"
    write_whole(folder, lambda writer: writer.append(make_episodes()))
    (folder / "episode.memmap").unlink()
    (folder / "stray").touch()
    write_whole(folder, lambda writer: writer.append(make_episodes((2,))))
    assert damage_of(folder) is None and len(load_ted(folder)) == 2
    assert not (folder / "stray").exists()


def test_what_an_interrupted_process_left_is_removed_first(tmp_path):
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / "old").touch()
    write_whole(tmp_path / "data", lambda writer: writer.append(make_episodes()))
    assert not (tmp_path / "data" / "old").exists() and not (tmp_path / "data.partial").exists()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.EIO, "broken")])
def test_an_error_leaves_nothing_and_stays_what_it_is(tmp_path, error):
    with pytest.raises(type(error)) as raised:
        write_whole(tmp_path / "data", failing(error))
    assert raised.value is error
    assert [path for path in tmp_path.iterdir() if path.is_dir() and path.name != "cache"] == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_with_what_was_needed(tmp_path, monkeypatch, number):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 7 * 2**20))
    with pytest.raises(StorageError, match=rf"{tmp_path}.*about 5 MiB, 7 MiB free") as raised:
        write_whole(tmp_path / "data", failing(OSError(number, "full")), expected_bytes=5 * 2**20)
    assert raised.value.errno == errno.ENOSPC
    assert not (tmp_path / "data").exists() and not (tmp_path / "data.partial").exists()


def test_too_little_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 100))
    with pytest.raises(StorageError, match="not enough room"):
        write_whole(tmp_path / "data", lambda writer: pytest.fail("called"), expected_bytes=101)
    assert not (tmp_path / "data.partial").exists()
    write_whole(tmp_path / "data", lambda writer: writer.append(make_episodes()), expected_bytes=100)
    assert len(load_ted(tmp_path / "data")) == 8


def test_a_place_that_is_no_folder_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written.*root=") as raised:
        write_whole(tmp_path / "file" / "data", lambda writer: None)
    assert raised.value.errno in (errno.ENOTDIR, errno.EEXIST)
