"""Single arrays of HDF5 files: what is believed of them, and the room that their chunks are given."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts import hdf5_fields
from omiga_torchrl.data.layouts.hdf5 import open_hdf5
from omiga_torchrl.data.layouts.hdf5_fields import Field, ends_of, find_fields
from omiga_torchrl.errors import DataError

from .helpers_hdf5 import h5py, write_h5


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float16, np.float64])
def test_numbers_of_any_type(tmp_path, dtype):
    values = (np.arange(12) % 2).astype(dtype).reshape(4, 3)
    with open_hdf5(write_h5(tmp_path / "a.h5", {"x": values})) as file:
        (field,) = find_fields(file, ["x"], "here")[0].values()
        assert field.dtype == dtype and field.shape == (4, 3) and field.where == "here: 'x'"
        np.testing.assert_array_equal(field.read(), values, strict=True)
        np.testing.assert_array_equal(field[1:3], values[1:3], strict=True)


def test_what_is_no_array_of_numbers(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["complex"], file["text"] = np.ones(2, complex), ["a", "b"]
        file["null"] = h5py.Empty("f4")
        fields, found = find_fields(file, ["complex", "text", "null"], "here")
    assert not fields and len(found) == 3
    assert found[0] == "'complex' has type complex128 and shape (2,), expected an array of numbers"
    assert "shape (2,), expected an array of numbers" in found[1] and "shape None, expected" in found[2]


def test_what_may_be_there_and_what_has_to(tmp_path):
    with open_hdf5(
        write_h5(tmp_path / "a.h5", {"a": np.ones(2), "b": np.ones(3), "g/c": np.ones(4)})
    ) as file:
        fields, found = find_fields(file, ["b", "d"], "here", optional=["a", "e", "g/c"])
        assert list(fields) == ["b", "a", "g/c"] and found == ["'d' is missing"]
        assert [len(field) for field in fields.values()] == [3, 2, 4]
        assert find_fields(file["g"], ["c"], "here")[0]["c"].shape == (4,)


def test_a_field_is_no_larger_than_its_file(tmp_path):
    with h5py.File(write_h5(tmp_path / "a.h5", {"x": np.ones(100)})) as file:
        assert Field(file["x"].id, "x", 800).shape == (100,)
        with pytest.raises(DataError, match="800 bytes of it are stored in 799 bytes"):
            Field(file["x"].id, "x", 799)


def test_a_field_is_no_larger_than_compression_can_explain(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.zeros(10_000, "f4"), chunks=(10_000,), compression=9)
        stored = file["x"].id.get_storage_size()
        for small, factor, fits in ((0, -(-40_000 // stored), True), (0, 1, False), (40_000, 1, True)):
            monkeypatch.setattr(hdf5_fields, "_SMALL", small)
            monkeypatch.setattr(hdf5_fields, "_COMPRESSION", factor)
            _, found = find_fields(file, ["x"], "here")
            assert not found if fits else f"but {stored} bytes of it are stored" in found[0]


def cache(field):
    slots, size, preemption = field._found.get_access_plist().get_chunk_cache()
    return slots, size, round(preemption, 2)


def test_chunks_of_a_row_have_room(tmp_path, monkeypatch):
    """Three chunks are beside each other, and one more: four of 10 * 3 * 4096 numbers of four bytes."""
    values = np.random.default_rng(0).normal(size=(20, 8, 4096)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("wide", data=values, chunks=(10, 3, 4096))
        file.create_dataset("small", data=values, chunks=(1, 3, 4096))
        file.create_dataset("whole", data=values)
        file.create_dataset("empty", values.shape, "f4", chunks=(10, 3, 4096))
    with h5py.File(tmp_path / "a.h5") as file:
        fields, _ = find_fields(file, ["wide", "small", "whole", "empty"], "here")
        assert cache(fields["wide"]) == (10_007, 4 * 10 * 3 * 4096 * 4, 0.75)
        assert len({cache(fields[name]) for name in ("small", "whole", "empty")}) == 1
        np.testing.assert_array_equal(fields["wide"][3:17], values[3:17])
    monkeypatch.setattr(hdf5_fields, "_LARGEST_CHUNK_CACHE", 1_500_000)
    with h5py.File(tmp_path / "a.h5") as file:
        assert cache(find_fields(file, ["wide"], "here")[0]["wide"])[1] == 1_500_000


def test_flags_of_later_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_fields, "_SMALL", 64 * 4)  # four rows a piece
    flags = np.zeros(10)
    with h5py.File(
        write_h5(tmp_path / "a.h5", {"none": flags, "wrong": flags + 2 * (np.arange(10) == 6)})
    ) as file:
        fields, _ = find_fields(file, ["none", "wrong"], "here")
        assert ends_of(fields["none"]).tolist() == [] and ends_of(fields["none"]).dtype == np.int64
        with pytest.raises(DataError, match=r"here: 'wrong' holds 2.0 in row 6; expected zeros and ones"):
            ends_of(fields["wrong"])


def test_damage_that_only_reading_finds(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(10_000), chunks=(10_000,), compression=9)
        start = file["x"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[start : start + 64] = bytes(64)
    path.write_bytes(data)
    with open_hdf5(path) as file:
        field = find_fields(file, ["x"], "here")[0]["x"]
        reads = (field.read, lambda: field[:5], lambda: field.read_into(np.zeros(5, int), 0))
        for read in reads:
            with pytest.raises(DataError, match="here: 'x' cannot be read"):
                read()
