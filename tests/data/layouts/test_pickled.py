"""Files of ``torch.save``: numbers, lists and arrays are loaded, anything else is refused."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from omiga_torchrl.data.layouts.pickled import is_torch_file, load_pickled
from omiga_torchrl.errors import DataError


def test_objects_of_classes_are_refused(tmp_path):
    for value in (np.array(["a"]), np.array([None]), np.zeros(1, [("a", "f4"), ("b", "O")]), slice(1)):
        torch.save([[value]], tmp_path / "a")
        with pytest.raises(DataError, match=r"expected numbers|holds code or objects"):
            load_pickled(tmp_path / "a")


def test_arrays_of_all_kinds(tmp_path):
    values = [
        np.arange(3, dtype=">i2"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]),
        np.zeros((1, 3), np.float16),
        np.array(2.5),
    ]
    torch.save([*values, np.float32(1.5), np.bool_(True)], tmp_path / "a")
    *arrays, number, flag = load_pickled(tmp_path / "a")
    for got, value in zip(arrays, values, strict=True):
        np.testing.assert_array_equal(got.array, value)
    assert (number, flag) == (1.5, True)


def test_compressed_files_are_refused(tmp_path):
    torch.save(np.zeros(10_000), tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "a") as source, zipfile.ZipFile(tmp_path / "b", "w", 8) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(DataError, match="is compressed"):
        load_pickled(tmp_path / "b")


def test_types_that_lie_about_their_memory(tmp_path):
    """What numpy itself would believe: flags that make numbers pointers, and shapes beyond the data."""

    class Kind:
        def __reduce__(self):
            return np.dtype, ("f8", False, True), (3, "<", None, None, None, 8, 8, 1)

    class Lie:
        def __init__(self, shape, kind):
            self.state = (1, shape, kind, False, bytes(16))

        def __reduce__(self):
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self.state

    torch.save([Lie((2,), Kind())], tmp_path / "a")
    (got,) = load_pickled(tmp_path / "a")
    assert got.array.tolist() == [0, 0] and not got.array.dtype.hasobject
    for shape in ((10**15,), (3,), (3, -1)):
        torch.save([Lie(shape, np.dtype("f8"))], tmp_path / "a")
        with pytest.raises(DataError, match="cannot be read: ValueError"):
            load_pickled(tmp_path / "a")


def test_what_looks_like_a_torch_file(tmp_path):
    path = tmp_path / "a"
    for old in (False, True):
        torch.save([1], path, _use_new_zipfile_serialization=not old)
        assert is_torch_file(path)
    np.savez(tmp_path / "b.npz", a=np.zeros(2))
    path.write_bytes(b"PK\x03\x04 and so on")
    assert not any(map(is_torch_file, (path, tmp_path / "b.npz", tmp_path, tmp_path / "missing")))
