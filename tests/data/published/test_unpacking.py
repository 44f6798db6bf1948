"""Unpacking: the dataset comes out of an archive, and nothing leaves its folder."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest

from omiga_torchrl.data.published import unpacking
from omiga_torchrl.data.published.unpacking import unpack_member
from omiga_torchrl.errors import DataError

from .server import CONTENT, make_zip


def test_only_the_member_s_folder(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.vlt/Good/x": "1", "a.vlt/Poor/y": "2", "__MACOSX/z": "3"})
    unpack_member(path, "a.vlt/Good")
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"a.zip", "a.vlt/Good/x", "a.vlt/Poor/y"}


@pytest.mark.parametrize(
    "name",
    ["../out", "a.vlt/../../out", "/out", "\\out", "a.vlt\\..\\..\\out", "C:\\out", "a.vlt/x\0.txt"],
)
def test_paths_that_lead_out(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    path = make_zip(folder / "a.zip", {"a.vlt/Good/x": "1"})
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(info, "evil")
    with pytest.raises(DataError, match="leads out of its folder"):
        unpack_member(path, "a.vlt/Good")
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_links(tmp_path):
    info = zipfile.ZipInfo("a.vlt/Good")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc")
    with pytest.raises(DataError, match="leads out"):
        unpack_member(tmp_path / "a.zip", "a.vlt/Good")


def test_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_ALWAYS_ALLOWED", 1000)
    path = make_zip(tmp_path / "a.zip", {"a.vlt/x": bytes(1 << 20)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=f"unpacked {1 << 20}; not unpacked"):
        unpack_member(path, "a.vlt")
    assert list(tmp_path.iterdir()) == [path]


def test_disk_too_small_to_unpack(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: type("", (), {"free": 3})())
    with pytest.raises(OSError, match="needs 4 bytes unpacked, the disk has 3 free"):
        unpack_member(make_zip(tmp_path / "a.zip", {"a.vlt/x": "four", "b": "more"}), "a.vlt")


def test_member_is_missing(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.vlt/Poor/x": "1"})
    with pytest.raises(DataError, match=r"holds no a\.vlt/Good"):
        unpack_member(path, "a.vlt/Good")
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_overwritten(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.vlt/Good/x": "1"})
    (tmp_path / "a.vlt").mkdir()
    with pytest.raises(FileExistsError, match="move it away"):
        unpack_member(path, "a.vlt/Good")


def test_damaged_zips_end_in_data_errors(tmp_path):
    buffer = io.BytesIO()
    make_zip(buffer, {"a.vlt/Good/x": CONTENT}, compression=zipfile.ZIP_DEFLATED)
    whole = buffer.getvalue()
    for place in range(0, len(whole), 3):
        path = tmp_path / f"{place}.zip"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            unpack_member(path, "a.vlt/Good")
        except DataError:
            pass
        else:  # a byte that nobody reads, such as the time
            assert (tmp_path / "a.vlt" / "Good" / "x").read_bytes() == CONTENT
            (tmp_path / "a.vlt").rename(tmp_path / f"{place}.vlt")
    assert not list(tmp_path.glob(".unpacking-*"))
