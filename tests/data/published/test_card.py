"""Cards of published datasets: they hold nothing impossible, and help where a file is missing."""

from __future__ import annotations

import dataclasses

import pytest

from omiga_torchrl.data.published.card import Archive, Link
from omiga_torchrl.data.published.registry import published_dataset, published_datasets
from omiga_torchrl.errors import DataError


def test_in_the_downloads(tmp_path):
    card = published_dataset("omiga:hopper-3x1/medium")
    card.folder(tmp_path).mkdir(parents=True)
    path = tmp_path / "downloads" / "omiga" / "Hopper-v2-3x1-medium.hdf5"
    path.touch()
    assert card.locate(tmp_path) == path


def test_directly_below_root(tmp_path):
    path = tmp_path / "simple_spread" / "expert" / "seed_0_data"
    path.mkdir(parents=True)
    assert published_dataset("omar:simple_spread/expert/seed_0").locate(tmp_path) == path


def test_default_root_is_the_cache(tmp_path):
    path = tmp_path / "cache" / "downloads" / "cfcql" / "2s3z_medium_replay.h5"  # see conftest.py
    path.parent.mkdir(parents=True)
    path.touch()
    assert published_dataset("cfcql:2s3z/medium-replay").locate() == path


def test_missing_says_where_to_get_it_and_where_to_put_it(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        published_dataset("omiga:hopper-3x1/medium").locate("/data")
    text = str(error.value)
    assert "https://cloud.tsinghua.edu.cn/d/dcf588d659214a28a777/" in text
    assert "/data/downloads/omiga/Hopper-v2-3x1-medium.hdf5" in text
    assert "'og-marl:omiga/mamujoco/3hopper/medium'" in text


def test_missing_with_a_direct_link_names_the_helper():
    with pytest.raises(FileNotFoundError) as error:
        published_dataset("og-marl:smac_v1/3m/good").locate("/data")
    text = str(error.value)
    assert "download('og-marl:smac_v1/3m/good')" in text
    assert "unpack it in /data/downloads/og-marl/og_marl/smac_v1" in text


def test_messages_are_short():
    for card in map(published_dataset, published_datasets()):
        with pytest.raises(FileNotFoundError) as error:
            card.locate("/data")
        assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"name": "hopper"}, "not '<family>:<dataset>'"),
        ({"layout": "csv"}, "layout is 'csv'"),
        ({"file": "../a"}, "expected a relative path"),
        ({"file": "/a"}, "expected a relative path"),
        ({"file": "a\\b"}, "expected a relative path"),
        ({"sources": ()}, "sources are missing"),
        ({"sources": (Link("direct", "http://a"),)}, "an https address"),
        ({"sources": (Link("mirror", "https://a"),)}, "'page' or 'direct'"),
        ({"sha256": "ABC"}, "64 hexadecimal digits"),
        ({"size": 0}, "size is 0"),
        ({"archive": Archive("other")}, "not below 'other'"),
        ({"archive": Archive("..")}, "archive.into is '..'"),
        ({"archive": Archive("a", sha256="1")}, "64 hexadecimal digits"),
        ({"statistics": {"mean": 1.0}}, r"unknown statistics \['mean'\]"),
        ({"statistics": {"episodes": 5, "transitions": 4}}, "in ascending order"),
        ({"random_return": 1.0}, "expected both"),
        ({"random_return": 2.0, "expert_return": 1.0}, "the first below the second"),
    ],
)
def test_impossible_values(change, finding):
    card = published_dataset("omiga:hopper-3x1/medium")
    with pytest.raises(DataError, match=finding):
        dataclasses.replace(card, **change)


def test_all_findings_in_one_message():
    card = published_dataset("omiga:hopper-3x1/medium")
    with pytest.raises(DataError, match=r"layout is.*size is"):
        dataclasses.replace(card, layout="csv", size=0)
