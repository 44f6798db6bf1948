"""The store below a vault: its folder, the names of its arrays, and what it needs."""

from __future__ import annotations

import sys

import pytest

from omiga_torchrl.data.layouts.vault_store import (
    LARGEST_CHUNK,
    LARGEST_METADATA,
    LIMITS,
    load_tensorstore,
    store_spec,
    zarr_spec,
)


def test_arrays_have_their_place_in_the_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = store_spec((tmp_path / "a").relative_to(tmp_path))
    assert store == {"driver": "ocdbt", "base": {"driver": "file", "path": f"{tmp_path / 'a'}/"}}
    spec = zarr_spec(store, "infos.state.")
    assert spec == {"driver": "zarr", "kvstore": {**store, "path": "infos.state./"}} and "path" not in store


def test_tensorstore_takes_the_limits(tmp_path):
    ts = pytest.importorskip("tensorstore")
    assert load_tensorstore() is ts
    spec = {**zarr_spec(store_spec(tmp_path), "x"), "dtype": "int32"}
    array = ts.open(spec, context=ts.Context(LIMITS), shape=(2,), create=True).result()
    array.write([3, 4]).result()
    assert ts.open(spec, read=True).result().read().result().tolist() == [3, 4]
    assert (tmp_path / "manifest.ocdbt").is_file()


def test_without_tensorstore_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    with pytest.raises(ImportError, match=r'Vaults need tensorstore: pip install "omiga-torchrl\[data\]"'):
        load_tensorstore()


def test_sizes_that_are_believed_of_a_file():
    assert (LARGEST_METADATA, LARGEST_CHUNK) == (1_048_576, 67_108_864)  # 1 MiB, 64 MiB
