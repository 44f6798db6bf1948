"""HDF5 files are looked at before anything is read, and written whole or not at all."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from omiga_torchrl.data.layouts import hdf5_fields
from omiga_torchrl.data.layouts.hdf5 import create_hdf5, holds_fields, is_hdf5, open_hdf5
from omiga_torchrl.data.layouts.hdf5_fields import Field, ends_of, find_fields
from omiga_torchrl.errors import DataError

from .helpers_hdf5 import h5py, write_h5


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_flags_are_read_in_pieces(tmp_path, monkeypatch, dtype, shape):
    monkeypatch.setattr(hdf5_fields, "_SMALL", 64 * 3)  # three rows a piece
    flags = np.array([0, 1, 0, 1, 1, 0, 0, 0, 1]).astype(dtype).reshape(shape)
    with h5py.File(write_h5(tmp_path / "a.h5", {"d": flags})) as file:
        assert ends_of(Field(file["d"].id, "d", 10**6)).tolist() == [1, 3, 4, 8]


@pytest.mark.parametrize("wrong", [2, -1, 0.5, np.nan])
def test_flags_are_zeros_and_ones(tmp_path, wrong):
    path = write_h5(tmp_path / "a.h5", {"d": np.array([0, 1, wrong])})
    message = f"d holds {wrong}.* in row 2; expected zeros and ones"
    with h5py.File(path) as file, pytest.raises(DataError, match=message):
        ends_of(Field(file["d"].id, "d", 10**6))


def test_a_field_larger_than_its_file_is_not_allocated(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("o", (10**9, 2, 4), "f4", chunks=(10, 2, 4))
        file.create_dataset("never_written", (1000,), "f4", chunks=(10,))
        fields, found = find_fields(file, ["o", "never_written"], "a.h5")
        assert found == ["'o' has shape (1000000000, 2, 4), but 0 bytes of it are stored in 96 bytes"]
        assert not fields["never_written"][:].any()


def test_fields_that_are_no_numbers(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/x"], file["text"], file["empty"] = 1, "text", h5py.Empty("f4")
        file["scalar"], file["link"] = 1.0, h5py.SoftLink("/nowhere")
        fields, found = find_fields(file, ["group", "text", "empty", "link", "none", "scalar"], "a.h5")
    assert list(fields) == ["scalar"] and fields["scalar"].shape == ()
    assert [text.split()[0] for text in found] == ["'group'", "'text'", "'empty'", "'link'", "'none'"]
    assert found[0] == "'group' is no array" and found[-1] == "'none' is missing"


def test_rows_are_read_into_memory_that_is_there(tmp_path):
    values = np.arange(24.0).reshape(6, 4)
    with h5py.File(write_h5(tmp_path / "a.h5", {"o": values})) as file:
        field, out = Field(file["o"].id, "o", 10**6), np.zeros((2, 4))
        field.read_into(out, 3)
        np.testing.assert_array_equal(out, values[3:5])
        np.testing.assert_array_equal(field[4:], values[4:])
        assert len(field) == 6


def test_descriptions_of_many_arrays_take_little_memory(tmp_path):
    path = write_h5(tmp_path / "a.h5", {f"episode_{i}/x": np.zeros(2) for i in range(1500)})
    with open_hdf5(path) as file:
        fields, found = find_fields(file, [f"episode_{i}/x" for i in range(1500)], path)
        assert not found and all(field.read().sum() == 0 for field in fields.values())
        assert file.id.get_mdc_size()[0] <= 2**18  # the default, 2 MiB, grows with the file


def test_what_is_an_hdf5_file(tmp_path):
    path = write_h5(tmp_path / "a.h5", {"x": np.zeros(3), "y/z": np.zeros(3)})
    (tmp_path / "b.h5").write_bytes(path.read_bytes()[:100])
    (tmp_path / "c.h5").write_text("x y")
    assert [is_hdf5(tmp_path / name) for name in ("a.h5", "b.h5", "c.h5", "d.h5", "")] == [1, 1, 0, 0, 0]
    assert holds_fields(path, ["x", "y"]) and holds_fields(path, [])
    assert not any(holds_fields(tmp_path / name, ["x"]) for name in ("b.h5", "c.h5", "d.h5", ""))
    assert not holds_fields(path, ["x", "z"])
    with pytest.raises(DataError, match=r"b\.h5 cannot be read"), open_hdf5(tmp_path / "b.h5"):
        pass


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.h5"
    with pytest.raises(KeyboardInterrupt), create_hdf5(path) as file:
        file["x"] = 1
        raise KeyboardInterrupt
    assert not list(path.parent.iterdir())
    with create_hdf5(path) as file:
        file["x"] = 1
        assert not path.exists()
    assert path.stat().st_mode & 0o777 == 0o644 and holds_fields(path, ["x"])
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="expected a new file"), create_hdf5(path):
        pass
    assert path.read_bytes() == before and [one.name for one in path.parent.iterdir()] == ["a.h5"]


def test_without_h5py_it_says_what_to_install(tmp_path, monkeypatch):
    path = write_h5(tmp_path / "a.h5", {"x": np.zeros(3)})
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert holds_fields(path, ["x"]) and not holds_fields(tmp_path, ["x"])
    for opens in (open_hdf5, create_hdf5):
        with pytest.raises(ImportError, match=r"omiga-torchrl\[data\]"), opens(path):
            pass
