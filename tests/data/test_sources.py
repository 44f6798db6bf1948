"""From a name or path to a source: what is meant, its fingerprint, its folder in the cache."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from omiga_torchrl.data import ReadOptions, sources, write_recording
from omiga_torchrl.data.layouts import find_layout
from omiga_torchrl.data.published import registry
from omiga_torchrl.data.sources import Source, conversion_folder, open_source
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import file_sha256

from .conftest import make_card, make_episodes


@pytest.fixture
def folder(tmp_path):
    episodes = make_episodes()
    write_recording(tmp_path / "data", episodes, make_card(episodes))
    return tmp_path / "data"


def opened(path, root=Path("/nowhere"), layout=None, by_content=False, **options):
    return open_source(path, root, layout, options, by_content)


def touched(file, seconds):
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + seconds * 10**9))


def test_a_folder_is_known_by_its_card(folder):
    source = opened(folder)
    assert (source.name, source.path, source.layout.name) == ("toy/one", folder, "recording")
    assert source.known["transitions"] == 8 and source.options == ReadOptions() and not source.by_content
    assert opened(str(folder), actions="raw").options == ReadOptions(actions="raw")
    assert opened(folder, by_content=True).by_content


def test_without_a_card_the_file_gives_the_name(folder):
    renamed = folder.with_name("other.v2.npz")
    os.link(folder / "data.npz", renamed)
    source = Source("x", renamed, find_layout(folder), ReadOptions())
    assert source.known == {} and source.by_content is False and source.reads_again
    with pytest.raises(ValueError, match="unknown layout 'none'"):
        opened(folder, layout="none")
    found = opened(renamed, layout="recording")
    assert (found.name, found.known) == ("other.v2", {})


def test_bundled_names_and_paths_from_home(folder, monkeypatch):
    source = opened("vmas/navigation/mixed")
    assert source.name == "vmas/navigation/mixed" and source.path.is_dir()
    monkeypatch.setenv("HOME", str(folder.parent))
    assert opened("~/data").path == folder


@pytest.mark.parametrize("path", [Path("nowhere"), "/nowhere", "nowhere.npz"])
def test_paths_that_are_not_there(path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.* does not exist"):
        opened(path)


def test_names_that_nobody_knows():
    with pytest.raises(ValueError, match="unknown dataset 'vmas/navigation/mxed'; did you mean"):
        opened("vmas/navigation/mxed")
    with pytest.raises(ValueError, match="unknown dataset 'omiga:nothing'"):
        opened("omiga:nothing")


def test_published_names_are_known_by_the_registry(tmp_path, folder, monkeypatch):
    dataset = registry.published_dataset("omiga:hopper-3x1/medium")
    monkeypatch.setattr(type(dataset), "locate", lambda self, root: folder if root == tmp_path else None)
    source = opened("omiga:hopper-3x1/medium", root=tmp_path, layout="recording", max_steps=7)
    assert (source.name, source.path) == ("omiga:hopper-3x1/medium", folder)
    assert source.options == replace(dataset.read, max_steps=7)
    assert source.known["task"] == dataset.task and source.known["layout"] == dataset.layout
    assert source.known["source"] == dataset.sources[0].url and source.known["tier"] == "medium"
    assert source.known["data_sha256"] == (dataset.sha256 or "")
    assert opened("omiga:hopper-3x1/medium", root=tmp_path).layout.name == dataset.layout


def test_open_sources_go_through_as_they_are(folder):
    source = opened(folder)
    assert opened(source) is source
    with pytest.raises(ValueError, match=r"toy/one is open with its own options, got \{'actions': 'raw'\}"):
        opened(source, actions="raw")
    with pytest.raises(ValueError, match="got 'recording'"):
        opened(source, layout="recording")
    with pytest.raises(ValueError, match=r"is a list; expected a name or path"):
        opened([folder])


def test_fingerprints_follow_size_and_time_and_place(folder):
    source = opened(folder)
    first = source.fingerprint()
    assert opened(folder).fingerprint() == first and len(first) == 64
    card = source.known | {"name": "other"}
    assert replace(source, known=card, name="other").fingerprint() == first  # a claim does not count
    touched(folder / "data.npz", 1)
    second = source.fingerprint()
    assert second != first
    (folder / "deep").mkdir()
    assert source.fingerprint() == second  # folders are no files
    (folder / "deep" / "more").write_text("x")
    third = source.fingerprint()
    (folder / "deep" / "more").rename(folder / "deep" / "less")
    assert len({first, second, third, source.fingerprint()}) == 4
    moved = folder.parent / "elsewhere" / "data"
    moved.parent.mkdir()
    before = source.fingerprint()
    folder.rename(moved)
    assert replace(source, path=moved).fingerprint() != before


def test_fingerprints_of_the_content_follow_nothing_else(folder):
    source = opened(folder, by_content=True)
    first = source.fingerprint()
    touched(folder / "data.npz", 1)
    moved = folder.parent / "elsewhere" / "data"
    moved.parent.mkdir()
    folder.rename(moved)
    source = replace(source, path=moved)
    assert source.fingerprint() == first
    data = bytearray((moved / "data.npz").read_bytes())
    data[-1] ^= 1
    (moved / "data.npz").write_bytes(data)
    assert source.fingerprint() != first


def test_published_checksums_are_compared_where_there_is_one_file(folder):
    file = folder / "data.npz"
    source = opened(folder)
    right = {"data_sha256": file_sha256(file)}
    replace(source, path=file, known=right).verify()
    replace(source, path=file, known={}).verify()
    replace(source, path=file, known={"data_sha256": ""}).verify()
    wrong = {"data_sha256": "0" * 64}
    replace(source, known=wrong).verify()  # a folder has none
    with pytest.raises(DataError, match=rf"sha256 {right['data_sha256'][:16]}\.\.\., the published.*0{{16}}"):
        replace(source, path=file, known=wrong).verify()


def test_options_that_mean_nothing_in_a_layout_are_an_error(folder, monkeypatch):
    source = opened(folder, max_steps=3)
    monkeypatch.setattr(type(source.layout), "ignores", ("max_steps", "team_reward"))
    with pytest.raises(DataError, match=r"toy/one: max_steps is 3, which means nothing in the layout 'reco"):
        source.reading()
    assert opened(folder).reading().steps == 8


def test_folders_of_the_cache_tell_data_and_options_apart(folder, tmp_path, monkeypatch):
    source = opened(folder)
    found = conversion_folder(tmp_path, source)
    assert found.parent.parent == tmp_path / "datasets"
    assert found.parent.name == f"toy--one-{source.fingerprint()[:16]}"
    kind, digits = found.name.split("-")
    assert kind == f"layout{sources._LAYOUT}" and len(digits) == 8
    other = conversion_folder(tmp_path, replace(source, options=ReadOptions(actions="raw")))
    assert other.parent == found.parent and other.name != found.name
    assert conversion_folder(tmp_path, replace(source, name="a b:c//d.e-f")).parent.name.startswith(
        "a--b--c--d.e-f-"
    )
    touched(folder / "data.npz", 1)
    assert conversion_folder(tmp_path, source).parent != found.parent
