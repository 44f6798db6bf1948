"""The inventory of a converted dataset notices every kind of damage, and reads no more than it must."""

from __future__ import annotations

import json
import os
import zlib

import pytest

from omiga_torchrl.data import inventory
from omiga_torchrl.data.inventory import INVENTORY_FILE, damage_of, update_inventory, write_inventory


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_bytes(b"0123")
    (folder / "deep" / "b").write_bytes(b"x" * 9)
    write_inventory(folder)
    return folder


def rewrite(file, content, seconds=0):
    """Writes it with the time that it had, so many seconds later."""
    before = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + seconds * 10**9))


def test_all_files_are_listed_but_the_inventory(folder):
    assert sorted(json.loads((folder / INVENTORY_FILE).read_bytes())) == ["a", "deep/b"]
    write_inventory(folder)
    listed = json.loads((folder / INVENTORY_FILE).read_bytes())
    assert sorted(listed) == ["a", "deep/b"] and listed["a"][2] == zlib.crc32(b"0123")
    assert damage_of(folder) is None


def test_files_that_are_gone_longer_shorter_or_changed_are_named(folder):
    (folder / "a").write_bytes(b"01234")
    assert damage_of(folder) == "a has 5 bytes, expected 4"
    (folder / "a").write_bytes(b"012")
    assert damage_of(folder) == "a has 3 bytes, expected 4"
    (folder / "a").unlink()
    assert damage_of(folder) == "a is missing"


def test_contents_count_where_the_time_has_changed(folder):
    file = folder / "deep" / "b"
    rewrite(file, b"y" * 9, seconds=1)
    assert damage_of(folder) == "the content of deep/b has changed"
    rewrite(file, b"x" * 9, seconds=5)
    assert damage_of(folder) is None


def test_files_of_the_same_time_and_size_are_not_read(folder, monkeypatch):
    rewrite(folder / "a", b"3210")
    monkeypatch.setattr(inventory, "_crc", lambda file: pytest.fail("read"))
    assert damage_of(folder) is None


def test_copied_files_are_read_once(folder, monkeypatch):
    rewrite(folder / "a", b"0123", seconds=1)
    assert damage_of(folder) is None
    monkeypatch.setattr(inventory, "_crc", lambda file: pytest.fail("read"))
    assert damage_of(folder) is None
    listed = json.loads((folder / INVENTORY_FILE).read_bytes())
    assert listed["a"][:2] == [4, (folder / "a").stat().st_mtime_ns]


def test_checksums_are_of_the_whole_file_in_blocks(folder, monkeypatch):
    monkeypatch.setattr(inventory, "_BLOCK", 4)
    assert json.loads((folder / INVENTORY_FILE).read_bytes())["deep/b"][2] == inventory._crc(
        folder / "deep" / "b"
    )
    rewrite(folder / "deep" / "b", b"x" * 8 + b"y", seconds=1)
    assert damage_of(folder) == "the content of deep/b has changed"


def test_a_file_rewritten_on_purpose_is_taken_in(folder, monkeypatch):
    (folder / "a").write_bytes(b"new content")
    update_inventory(folder, "a")
    assert damage_of(folder) is None
    (folder / "c").write_bytes(b"1")
    update_inventory(folder, "c")
    assert sorted(json.loads((folder / INVENTORY_FILE).read_bytes())) == ["a", "c", "deep/b"]


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "3", '{"a": 3}', '{"a": [4, 5]}', '{"a": [1, 2, 3, 4]}', '{"a": ["x", 1, 2]}',
        '{"a": [1, 2, 3], "b": [1, 2]}', '{"a": null}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_inventory_is_damage(folder, text):
    (folder / INVENTORY_FILE).write_text(text)
    assert damage_of(folder) == f"{INVENTORY_FILE} is missing or damaged"


def test_no_inventory_is_damage(folder):
    (folder / INVENTORY_FILE).unlink()
    assert damage_of(folder) == f"{INVENTORY_FILE} is missing or damaged"
