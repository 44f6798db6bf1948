"""Downloads of published datasets: from any of their links to where they belong."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import pytest

from omiga_torchrl.data.published import registry as published
from omiga_torchrl.data.published.card import Archive, Link
from omiga_torchrl.data.published.download import download
from omiga_torchrl.errors import DataError

from .server import CONTENT, SHA256, SIZE, is_whole, make_zip, running_server


@pytest.fixture
def server(monkeypatch):
    with running_server(monkeypatch) as running:
        running.behaviour.files["/file"] = CONTENT
        yield running


@pytest.fixture
def register(monkeypatch):
    """Makes a published dataset known for a test."""

    def add(name, **changes):
        old = published.published_dataset("d4rl:hopper-medium-v2")
        fields = {"name": name, "file": "file.hdf5", "sha256": None, "size": None, **changes}
        # The check of addresses would refuse the test's server.
        monkeypatch.setattr("omiga_torchrl.data.published.card._findings", lambda card: ())
        card = dataclasses.replace(old, **fields)
        registry = {**published._registry(), name: card}
        monkeypatch.setattr(published, "_registry", lambda: registry)
        return card

    return add


def test_into_the_cache(server, register, tmp_path):
    register("test:one", sources=(Link("direct", server.address),), sha256=SHA256, size=SIZE)
    path = download("test:one", tmp_path, progress=False)
    assert path == tmp_path / "downloads" / "test" / "file.hdf5" and is_whole(path)
    assert download("test:one", tmp_path) == path
    assert len(server.behaviour.requests) == 1


def test_default_folder_is_the_cache(server, register, tmp_path):
    register("test:one", sources=(Link("direct", server.address),))
    assert download("test:one").is_relative_to(tmp_path / "cache")  # set in conftest.py


def test_next_mirror(server, register, tmp_path):
    server.behaviour.files["/damaged"] = CONTENT[::-1]
    links = [Link("page", "https://example.org")]
    links += [Link("direct", f"{server.url}/{name}") for name in ("missing", "damaged", "file")]
    register("test:one", sources=tuple(links), sha256=SHA256, size=SIZE)
    assert is_whole(download("test:one", tmp_path))


def test_no_mirror_works(server, register, tmp_path):
    links = tuple(Link("direct", f"{server.url}/{name}") for name in ("missing", "lost"))
    register("test:one", sources=links)
    with pytest.raises(
        OSError, match=r"no link to test:one works: .*/missing answered 404.*/lost answered 404"
    ):
        download("test:one", tmp_path)


def test_only_mirror_is_damaged(server, register, tmp_path):
    register("test:one", sources=(Link("direct", server.address),), sha256="0" * 64)
    with pytest.raises(DataError, match="expected sha256 0000"):
        download("test:one", tmp_path)


def test_archive(server, register, tmp_path):
    buffer = io.BytesIO()
    make_zip(buffer, {"a.vlt/Good/x": "1", "a.vlt/Poor/x": "2"})
    server.behaviour.files["/path/a.zip"] = buffer.getvalue()
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    for tier in ("Good", "Poor"):
        register(
            f"test:{tier}",
            file=f"here/a.vlt/{tier}",
            sources=(Link("direct", f"{server.url}/path/a.zip?download=true"),),
            archive=Archive("here", digest, len(buffer.getvalue())),
        )
        path = download(f"test:{tier}", tmp_path)
        assert path == tmp_path / "downloads" / "test" / "here" / "a.vlt" / tier
    assert (path / "x").read_text() == "2"
    assert [p.name for p in (tmp_path / "downloads" / "test" / "here").iterdir()] == ["a.vlt"]
    assert len(server.behaviour.requests) == 1


def test_archive_is_not_fetched_to_overwrite_something(server, register, tmp_path):
    card = register("test:Good", file="here/a.vlt/Good", sources=(Link("direct", f"{server.url}/a.zip"),),
                    archive=Archive("here"))  # fmt: skip
    (card.folder(tmp_path) / "here" / "a.vlt").mkdir(parents=True)
    with pytest.raises(FileExistsError, match=r"lacks a\.vlt/Good"):
        download("test:Good", tmp_path)
    assert not server.behaviour.requests


def test_without_a_direct_link(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"https://cloud\.tsinghua\.edu\.cn"):
        download("omiga:hopper-3x1/medium", tmp_path)


def test_unknown(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'omiga:hopper-3x1/medium'"):
        download("omiga:hopper-3x1/medum", tmp_path)
