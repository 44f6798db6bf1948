"""The files of a vault: what its descriptions promise is there, or it is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.layouts import ReadOptions, find_layout, vault_files
from omiga_torchrl.data.layouts.vault import VaultLayout
from omiga_torchrl.data.layouts.vault_files import VaultFiles
from omiga_torchrl.data.layouts.vault_store import INDEX, METADATA_FILE, STORE_FILE, store_spec, zarr_spec
from omiga_torchrl.data.layouts.vault_writing import write_vault
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes
from tests.data.layouts.helpers_hdf5 import mutate
from tests.data.layouts.helpers_vault import FIXTURE, make_experience, write_slowly

ts = pytest.importorskip("tensorstore")
LAYOUT = VaultLayout()
TRUNCATED = ReadOptions(incomplete="truncated")


def test_rows_that_were_never_written(tmp_path):
    experience = make_experience("..t.t")
    for index, message in (
        (0, "the write index is 0"),
        (2**31 - 1, "the write index is 2147483647, 'observations' has room for 10000 rows"),
        (9_000, "'observations' has not all of the 9000 rows .* 'infos.legals' has not all"),
    ):
        path = write_slowly(tmp_path / str(index), experience, index=index)
        with pytest.raises(DataError, match=message):
            LAYOUT.read(path, ReadOptions())


def test_chunks_that_would_fill_the_memory(tmp_path):
    experience = make_experience("..t")
    path = write_slowly(tmp_path / "a", experience, room=10**13)
    # One array in its place, of one chunk of 120 GB: only its description is written.
    spec = {"driver": "zarr", "kvstore": {"driver": "ocdbt", "base": f"file://{path}/", "path": "rewards./"}}
    spec["metadata"] = {"chunks": [1, 10**10, 3]}
    ts.open(spec, create=True, delete_existing=True, shape=(1, 10**13, 3), dtype="float32").result()
    with pytest.raises(DataError, match="'rewards' has chunks of 114441 MiB"):
        LAYOUT.read(path, ReadOptions())


def test_metadata_that_is_none(tmp_path):
    path = write_slowly(tmp_path / "a", make_experience("..t"))
    file = path / "metadata.json"
    good = json.loads(file.read_text())
    for content, message in (
        ("", "cannot be read: JSONDecodeError"),
        ("[]", "cannot be read: TypeError"),
        ("{}", "cannot be read: KeyError: 'version'"),
        (json.dumps({**good, "version": 2.0}), "of vault version 2.0; expected 1.2"),
        (json.dumps({**good, "structure_shape": 3}), "cannot be read: AttributeError"),
        ("[" * 10**5, "cannot be read: RecursionError"),
        (" " * 2**21, "at most 1048576 bytes, got 2097152"),
    ):
        file.write_text(content)
        assert LAYOUT.matches(path)
        with pytest.raises(DataError, match=message):
            LAYOUT.read(path, ReadOptions())


def test_damaged_files_are_refused_or_sound(tmp_path):
    path, rng, refused = tmp_path / "a", np.random.default_rng(0), 0
    shutil.copytree(FIXTURE / "Good", path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    for _ in range(100):
        file = files[rng.integers(len(files))]
        whole = file.read_bytes()
        if rng.integers(10):
            file.write_bytes(mutate(whole, rng))
        else:
            file.unlink()
        LAYOUT.matches(path)
        try:
            for block in LAYOUT.read(path, TRUNCATED).blocks:
                assert len(block.observation) == block.steps + len(block)
        except DataError:
            refused += 1
        file.write_bytes(whole)
    assert 20 < refused < 100


def test_without_tensorstore_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    assert LAYOUT.matches(FIXTURE)
    for use in (
        lambda: LAYOUT.read(FIXTURE, ReadOptions()),
        lambda: LAYOUT.write(tmp_path / "a", [make_episodes()]),
        lambda: write_vault(tmp_path, [], {}),
    ):
        with pytest.raises(ImportError, match=r"omiga-torchrl\[data\]"):
            use()
    assert not list(tmp_path.iterdir())


def test_one_vault_of_several(tmp_path):
    with pytest.raises(DataError, match="holds 0 vaults"):
        LAYOUT.read(tmp_path, ReadOptions())
    for uid in ("Good", "Medium"):
        write_slowly(tmp_path / uid, make_experience("..t"))
    assert LAYOUT.matches(tmp_path)
    with pytest.raises(DataError, match=r"holds 2 vaults \(Good, Medium\); expected one. Pass .*Good"):
        LAYOUT.read(tmp_path, ReadOptions())


def test_ogmarls_folders_and_zips(tmp_path):
    """Its own download is vaults/{source}/{environment}/{scenario}.vlt/{uid}; Hugging Face has zips."""
    good = tmp_path / "vaults" / "og_marl" / "smac_v1" / "3m.vlt" / "Good"
    write_slowly(good, make_experience("..t"))
    for above in (good, *good.parents[:4]):
        assert find_layout(above).name == "vault"
        assert LAYOUT.read(above, ReadOptions()).steps == 3
    write_slowly(good.parents[1] / "8m.vlt" / "Poor", make_experience("..t"))
    with pytest.raises(DataError, match=r"2 vaults \(smac_v1/3m.vlt/Good, smac_v1/8m.vlt/Poor\)"):
        LAYOUT.read(good.parents[2], ReadOptions())
    zipped = Path(shutil.make_archive(tmp_path / "3m", "zip", good.parents[1], "3m.vlt"))
    with pytest.raises(DataError, match=r"is a zip of the vaults 3m.vlt/Good; .*Unpack it"):
        OfflineDataset(zipped, root=tmp_path)
    zipped.write_bytes(zipped.read_bytes()[:50])
    assert not LAYOUT.matches(zipped)


def test_many_vaults_are_not_all_listed(tmp_path):
    for number in range(14):
        folder = tmp_path / f"{number:02}.vlt" / "Good"
        folder.mkdir(parents=True)
        for name in (METADATA_FILE, STORE_FILE):
            (folder / name).write_text("")
    with pytest.raises(DataError, match=r"14 vaults \(00.vlt/Good, .* 11.vlt/Good, and 2 more\)"):
        LAYOUT.read(tmp_path, ReadOptions())


def write_leaf(folder, rows, *, chunks, index=None, **more):
    """A vault of one leaf `[rows, 2, 3]` in chunks of such sizes, with room for 20 rows."""
    folder.mkdir(parents=True)
    store, values = store_spec(folder), np.arange(1.0, rows * 6 + 1).reshape(rows, 2, 3)
    metadata = {"chunks": [1, *chunks], "compressor": {"id": "zlib", "level": 1}, **more}
    spec = {**zarr_spec(store, "observations."), "metadata": metadata}
    array = ts.open(spec, create=True, shape=(1, 20, 2, 3), dtype="float64").result()
    array[0, :rows].write(values).result()
    written = ts.open(zarr_spec(store, INDEX), create=True, shape=(1,), dtype="int32").result()
    written.write(rows if index is None else index).result()
    told = {"version": 1.2, "structure_shape": {"observations": "(1, 20, 2, 3)"}}
    (folder / METADATA_FILE).write_text(json.dumps(told))
    return values


@pytest.mark.parametrize("chunks", [(4, 2, 3), (4, 1, 2), (1, 2, 1), (3, 1, 3), (20, 2, 3)])
def test_chunks_of_any_sizes(tmp_path, chunks):
    for number, separator in enumerate((".", "/")):
        folder = tmp_path / str(number)
        values = write_leaf(folder, 8, chunks=chunks, dimension_separator=separator)
        files = VaultFiles.open(folder, ["observations"], ["actions"])
        leaf = files.arrays["observations"]
        assert list(files.arrays) == ["observations"] and len(leaf) == 8 and leaf.row_bytes == 48
        np.testing.assert_array_equal(leaf[:], values)
        np.testing.assert_array_equal(leaf[3:6], values[3:6])
        assert leaf[7:99].shape == (1, 2, 3) and leaf[5:5].shape == (0, 2, 3)


def test_every_chunk_of_a_row_has_to_be_there(tmp_path):
    write_leaf(tmp_path / "a", 8, chunks=(4, 1, 2), index=9)
    with pytest.raises(DataError, match="'observations' has not all of the 9 rows"):
        VaultFiles.open(tmp_path / "a", ["observations"], [])
    write_leaf(tmp_path / "b", 8, chunks=(4, 1, 2))
    store = ts.KvStore.open(store_spec(tmp_path / "b")).result()
    for lost in ("0.0.0.0", "0.1.1.1", "0.0.1.0"):
        chunk = store.read(f"observations./{lost}").result().value
        store.delete_range(ts.KvStore.KeyRange(f"observations./{lost}", f"observations./{lost}~")).result()
        with pytest.raises(DataError, match="'observations' has not all of the 8 rows"):
            VaultFiles.open(tmp_path / "b", ["observations"], [])
        store.write(f"observations./{lost}", chunk).result()
    assert len(VaultFiles.open(tmp_path / "b", ["observations"], []).arrays["observations"]) == 8


def test_what_is_just_small_enough(tmp_path, monkeypatch):
    write_leaf(tmp_path / "a", 20, chunks=(4, 1, 2))
    size = (tmp_path / "a" / METADATA_FILE).stat().st_size
    limits = {"LARGEST_METADATA": size, "LARGEST_CHUNK": 4 * 2 * 8}
    for name, value in limits.items():
        monkeypatch.setattr(vault_files, name, value)
    assert len(VaultFiles.open(tmp_path / "a", ["observations"], []).arrays["observations"]) == 20
    for name, value in limits.items():
        with monkeypatch.context() as patch, pytest.raises(DataError, match=r"chunks of|at most"):
            patch.setattr(vault_files, name, value - 1)
            VaultFiles.open(tmp_path / "a", ["observations"], [])


def test_versions_and_leaves_that_are_missing(tmp_path):
    write_leaf(tmp_path / "a", 8, chunks=(4, 2, 3))
    file = tmp_path / "a" / METADATA_FILE
    told = json.loads(file.read_text())
    for version, fits in ((1.0, True), (1.9, True), (0.9, False), (2, False)):
        file.write_text(json.dumps({**told, "version": version}))
        if fits:
            assert VaultFiles.open(tmp_path / "a", ["observations"], []).metadata["version"] == version
        else:
            with pytest.raises(DataError, match=f"of vault version {version}; expected 1.2"):
                VaultFiles.open(tmp_path / "a", ["observations"], [])
    with pytest.raises(DataError, match=r"'rewards' is missing \(found \['observations'\]\); 'infos.st"):
        file.write_text(json.dumps(told))
        VaultFiles.open(tmp_path / "a", ["rewards", "observations", "infos.state"], [])
