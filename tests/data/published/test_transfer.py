"""Transfers: what arrives is the right file, whole, whatever the network does."""

from __future__ import annotations

import sys

import pytest

from omiga_torchrl.data.published import transfer
from omiga_torchrl.data.published.transfer import fetch
from omiga_torchrl.errors import DataError

from .server import CONTENT, SHA256, SIZE, is_whole, running_server


@pytest.fixture
def server(monkeypatch):
    with running_server(monkeypatch) as running:
        running.behaviour.files["/file"] = CONTENT
        yield running


@pytest.fixture
def target(tmp_path):
    return tmp_path / "deep" / "file.hdf5"


def ranges(server):
    return [request.get("Range") for request in server.behaviour.requests]


def test_whole_file_at_once(server, target):
    fetch(server.address, target, sha256=SHA256, size=SIZE, progress=True)
    assert is_whole(target)
    assert ranges(server) == [None]


def test_goes_on_where_the_connection_broke(server, target):
    server.behaviour.cuts = [1000, 500]
    fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert is_whole(target)
    assert ranges(server) == [None, "bytes=1000-", "bytes=1500-"]


def test_starts_again_where_the_server_knows_no_ranges(server, target):
    server.behaviour.ranges, server.behaviour.cuts = False, [1000]
    fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert is_whole(target)
    assert ranges(server) == [None, "bytes=1000-"]


def test_goes_on_in_a_later_call(server, target):
    part = target.with_name("file.hdf5.part")
    part.parent.mkdir()
    part.write_bytes(CONTENT[:4000])
    fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert is_whole(target)
    assert ranges(server) == ["bytes=4000-"]


def test_a_complete_part_needs_no_server(server, target):
    target.parent.mkdir()
    target.with_name("file.hdf5.part").write_bytes(CONTENT)
    fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert is_whole(target) and not server.behaviour.requests


def test_a_part_that_is_too_long_is_dropped(server, target):
    target.parent.mkdir()
    target.with_name("file.hdf5.part").write_bytes(CONTENT + b"more")
    fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert is_whole(target) and ranges(server) == [None]


def test_range_beyond_the_end_starts_again(server, target):
    target.parent.mkdir()
    target.with_name("file.hdf5.part").write_bytes(CONTENT + b"more")
    fetch(server.address, target, sha256=SHA256)
    assert is_whole(target) and ranges(server) == [f"bytes={SIZE + 4}-", None]


def test_wrong_checksum_keeps_nothing(server, target):
    with pytest.raises(DataError, match=f"gave sha256 {SHA256}.*expected sha256 {'0' * 64}"):
        fetch(server.address, target, sha256="0" * 64, size=SIZE)
    assert list(target.parent.iterdir()) == []


def test_part_of_another_file_is_noticed(server, target):
    target.parent.mkdir()
    target.with_name("file.hdf5.part").write_bytes(b"\xff" * 1000)
    with pytest.raises(DataError, match="expected sha256"):
        fetch(server.address, target, sha256=SHA256, size=SIZE)
    fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert is_whole(target)


def test_another_size_is_noticed_before_anything_is_fetched(server, target):
    target.parent.mkdir()
    part = target.with_name("file.hdf5.part")
    part.write_bytes(CONTENT[:10])
    server.behaviour.ranges = False
    with pytest.raises(DataError, match=f"has {SIZE} bytes, the published file {SIZE + 1}"):
        fetch(server.address, target, sha256=SHA256, size=SIZE + 1)
    assert part.read_bytes() == CONTENT[:10]  # another mirror may send the rest


def test_temporary_refusals_are_waited_out(server, target):
    server.behaviour.statuses = [503, 429, 500]
    fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert is_whole(target) and len(server.behaviour.requests) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_final_refusals_are_not(server, target, status):
    server.behaviour.statuses = [status]
    with pytest.raises(OSError, match=f"answered {status}"):
        fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert len(server.behaviour.requests) == 1


def test_gives_up_after_five_failures_without_progress(server, target):
    server.behaviour.cuts = [100, 0, 0, 0, 0, 0]
    with pytest.raises(OSError, match=r"failed 5 times in a row.*after 100 of.*100 bytes are kept"):
        fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert target.with_name("file.hdf5.part").read_bytes() == CONTENT[:100]
    assert not target.exists()


def test_waits_longer_after_every_failure():
    assert [transfer._pause(failures) for failures in (0, 1, 2, 9)] == [1.0, 2.0, 4.0, 30.0]


def test_the_wrong_part_is_not_appended(server, target):
    server.behaviour.cuts, server.behaviour.shift = [1000], 1
    with pytest.raises(OSError, match="sent bytes 1001-"):
        fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert target.with_name("file.hdf5.part").read_bytes() == CONTENT[:1000]


def test_nobody_listens(server, target):
    with pytest.raises(OSError, match="failed 5 times"):
        fetch("http://127.0.0.1:9/file", target, sha256=SHA256)


def test_web_page_instead_of_the_file(server, target):
    server.behaviour.headers["Content-Type"] = "text/html; charset=utf-8"
    with pytest.raises(DataError, match="gives text/html"):
        fetch(server.address, target)
    assert not target.exists()


def test_compressed_on_its_way(server, target):
    server.behaviour.headers["Content-Encoding"] = "gzip"
    with pytest.raises(DataError, match="gzip"):
        fetch(server.address, target)


def test_length_unknown(server, target):
    server.behaviour.length = False
    fetch(server.address, target)
    assert is_whole(target)


def test_length_unknown_but_published(server, target):
    server.behaviour.length, server.behaviour.cuts = False, [1000]
    fetch(server.address, target, sha256=SHA256, size=SIZE)
    assert is_whole(target) and ranges(server) == [None, "bytes=1000-"]


def test_disk_full(server, target, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: type("", (), {"free": 10})())
    with pytest.raises(OSError, match="the disk has 10 free"):
        fetch(server.address, target)
    assert len(server.behaviour.requests) == 1


# Without a checksum only the server's tag can say that the rest belongs to what is there.
def test_goes_on_if_the_tag_is_the_same(server, target):
    server.behaviour.headers["ETag"], server.behaviour.cuts = '"one"', [1000]
    fetch(server.address, target)
    assert is_whole(target)
    assert server.behaviour.requests[1]["If-Range"] == '"one"'
    assert ranges(server)[1] == "bytes=1000-"


def test_starts_again_if_the_file_was_replaced(server, target):
    target.parent.mkdir()
    target.with_name("file.hdf5.part").write_bytes(b"\xff" * 1000)
    target.with_name("file.hdf5.part.tag").write_text('"old"')
    server.behaviour.headers["ETag"] = '"new"'
    fetch(server.address, target)
    assert is_whole(target)


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
def test_starts_again_without_a_tag(server, target, headers):
    target.parent.mkdir()
    target.with_name("file.hdf5.part").write_bytes(b"\xff" * 1000)
    server.behaviour.headers.update(headers)
    fetch(server.address, target)
    assert is_whole(target) and ranges(server) == [None]


@pytest.mark.parametrize("url", ["http://example.org/a", "ftp://example.org/a", "file:///etc/hostname", "a"])
def test_https_only(url, target):
    with pytest.raises(DataError, match="not an https address"):
        fetch(url, target)
    assert not target.parent.exists()


def test_redirections_too(server, target):
    server.behaviour.redirects["/there"] = "ftp://127.0.0.1/file"
    with pytest.raises(DataError, match="not an https address"):
        fetch(f"{server.url}/there", target)


def test_redirections_are_followed(server, target):
    server.behaviour.redirects["/there"] = "/file"
    server.behaviour.cuts = [1000]
    fetch(f"{server.url}/there", target, sha256=SHA256, size=SIZE)
    assert is_whole(target)
    assert ranges(server) == [None, None, "bytes=1000-", "bytes=1000-"]


def test_progress_bar_is_optional(server, target, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fetch(server.address, target, progress=True)
    assert is_whole(target)
