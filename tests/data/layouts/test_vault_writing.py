"""Vaults are written in whole chunks, whatever parts their rows come in."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omiga_torchrl.data.layouts import vault_writing
from omiga_torchrl.data.layouts.vault_files import VaultFiles
from omiga_torchrl.data.layouts.vault_store import load_tensorstore, store_spec, zarr_spec
from omiga_torchrl.data.layouts.vault_writing import write_vault
from omiga_torchrl.errors import DataError

pytest.importorskip("tensorstore")
NAMES = ("rewards", "infos.state", "infos.deep.mask")


def rows(first, last):
    """Rows of a leaf of four bytes, one of 24, and one of 2."""
    number = np.arange(first, last)
    return {
        "rewards": number.astype(np.float32),
        "infos.state": number[:, None] * np.array([1.0, -1.0, 0.5]),
        "infos.deep.mask": number[:, None] % [2, 3] == 0,
    }


def write(folder, *spans, **extra):
    folder.mkdir()
    write_vault(folder, (rows(*span) for span in spans), extra)
    return VaultFiles.open(folder, NAMES, ())


@pytest.mark.parametrize(
    "spans", [[(0, 7)], [(0, 1), (1, 2), (2, 7)], [(0, 3), (3, 6), (6, 7)], [(0, 5), (5, 7)]]
)
@pytest.mark.parametrize("size", [1, 72, 10**6])
def test_rows_come_back_whatever_their_parts(tmp_path, monkeypatch, spans, size):
    monkeypatch.setattr(vault_writing, "CHUNK_BYTES", size)
    files = write(tmp_path / "a", *spans, own={"x": 1})
    for name, values in rows(0, 7).items():
        assert len(files.arrays[name]) == 7
        np.testing.assert_array_equal(files.arrays[name][:], values, strict=True)
    assert files.metadata == {
        "version": 1.2,
        "structure_shape": {
            "rewards": "(1, 7)",
            "infos": {"state": "(1, 7, 3)", "deep": {"mask": "(1, 7, 2)"}},
        },
        "structure_dtype": {"rewards": "float32", "infos": {"state": "float64", "deep": {"mask": "bool"}}},
        "own": {"x": 1},
    }
    assert json.loads((tmp_path / "a" / "metadata.json").read_text()) == files.metadata


@pytest.mark.parametrize(("size", "chunk"), [(1, 1), (47, 1), (48, 2), (72, 3), (95, 3)])
def test_chunks_are_as_long_as_the_widest_leaf_allows(tmp_path, monkeypatch, size, chunk):
    monkeypatch.setattr(vault_writing, "CHUNK_BYTES", size)
    files = write(tmp_path / "a", (0, 7))
    for name, sizes in (("rewards", ()), ("infos.state", (3,)), ("infos.deep.mask", (2,))):
        assert files.arrays[name]._store.chunk_layout.read_chunk.shape == (1, chunk, *sizes)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([2, 2, 2, 2], [4, 4]),
        ([3, 3, 3], [4, 4, 1]),
        ([9, 1, 3], [8, 4, 1]),
        ([1, 1], [2]),
        ([4], [4]),
        ([], []),
    ],
)
def test_only_whole_chunks_are_written_but_for_the_last_one(monkeypatch, parts, expected):
    monkeypatch.setattr(vault_writing, "CHUNK_BYTES", 16)
    stops = np.cumsum(parts, dtype=int)
    given = [
        {"x": np.arange(stop - part, stop, dtype=np.int32)} for stop, part in zip(stops, parts, strict=True)
    ]
    found = [part["x"] for part in vault_writing._whole_chunks(given)]
    assert [len(part) for part in found] == expected
    assert np.concatenate([np.zeros(0, int), *found]).tolist() == list(range(sum(parts)))


def test_rows_that_change_and_none(tmp_path):
    with pytest.raises(DataError, match=r"VaultLayout: nothing to write to .* at least one transition"):
        write(tmp_path / "a")
    for number, change in enumerate(
        (
            {"rewards": np.ones(2)},
            {"infos.state": np.ones((2, 4))},
            {"more": np.ones(2)},
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(DataError, match=r"VaultLayout: rows change from .* expected one kind in a vault"):
            write_vault(folder, [rows(0, 2), {**rows(2, 4), **change}], {})
        assert not (folder / "metadata.json").exists()


def test_the_index_is_the_number_of_rows(tmp_path):
    write(tmp_path / "a", (0, 4), (4, 9))
    spec = zarr_spec(store_spec(tmp_path / "a"), "vault_index")
    index = load_tensorstore().open(spec, read=True).result()
    assert index.shape == (1,) and index.read().result().tolist() == [9]
