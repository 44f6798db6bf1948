"""``.npy`` files: what the header says is believed only if the file is that long; nothing is unpickled."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from omiga_torchrl.data.layouts.npy import NpyFile, to_single
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_hdf5 import mutate


def write_header(path, header, data=b"", version=1):
    text = header.encode() + b"\n"
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text + data)
    return path


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_, np.dtype(">f4")]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
    ),
    columns_first=st.booleans(),
    first=st.integers(0, 5),
    last=st.integers(0, 5),
)
def test_any_part_of_any_array(tmp_path_factory, values, columns_first, first, last):
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    np.save(path, np.asfortranarray(values) if columns_first else values)
    file = NpyFile.open(path)
    assert (file.shape, file.dtype, len(file)) == (values.shape, values.dtype, len(values))
    np.testing.assert_array_equal(file[first:last], values[first:last], strict=True)
    np.testing.assert_array_equal(file[:], values, strict=True)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 9)}", "its header says 72000000"),
        (
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}",
            "has 32 bytes of data, its header says 24",
        ),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -2)}", "its header says 32"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (0, -4)}", "its header says 0"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", r"its header says 8 \(float64 \(\)\)"),
        ("{'descr': '<U8', 'fortran_order': False, 'shape': (1,)}", "holds <U8, expected numbers"),
        ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,)}", "expected numbers"),
        ("{'descr': '<c16', 'fortran_order': False, 'shape': (2,)}", "complex128, expected numbers"),
        ("{'descr': '<f8', 'fortran_order': False}", "cannot be read"),
        (
            "{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').mkdir('ran')}",
            "cannot be read",
        ),
        ("(" * 5000, "cannot be read"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (4,)", "cannot be read"),
    ],
)
def test_headers_that_lie(tmp_path, monkeypatch, header, message):
    monkeypatch.chdir(tmp_path)
    path = write_header(tmp_path / "a.npy", header, bytes(32))
    with pytest.raises(DataError, match=message) as error:
        NpyFile.open(path)
    assert not (tmp_path / "ran").exists()
    assert len(str(error.value)) < 300 + len(str(path))


def test_arrays_of_objects_are_not_unpickled(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "a.npy"
    np.save(path, np.array([Payload()], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"Python objects, which may run code .* it was not loaded"):
        NpyFile.open(path)
    assert not (tmp_path / "ran").exists()


def test_other_files(tmp_path):
    path = tmp_path / "a.npy"
    for content in (
        b"",
        b"\x93NUMP",
        b"PK\x03\x04",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x03\x00ab",
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is no \.npy file|cannot be read|version"):
            NpyFile.open(path)
    with pytest.raises(DataError, match="cannot be read: FileNotFoundError"):
        NpyFile.open(tmp_path / "missing.npy")
    with pytest.raises(DataError, match="must be a file, got a folder"):
        NpyFile.open(tmp_path)


def test_a_file_that_shrinks_after_it_was_opened(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(100.0))
    file = NpyFile.open(path)
    path.write_bytes(path.read_bytes()[:-80])
    np.testing.assert_array_equal(file[:5], np.arange(5.0))
    with pytest.raises(DataError, match="cannot be read"):
        file[95:]


def test_bytes_of_booleans_that_are_none(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([True, False]))
    path.write_bytes(path.read_bytes()[:-2] + b"\x07\x00")
    np.testing.assert_array_equal(NpyFile.open(path)[:].view(np.uint8), [1, 0])


def test_damaged_files_are_refused_or_as_long_as_they_say(tmp_path):
    path, rng, refused = tmp_path / "a.npy", np.random.default_rng(0), 0
    np.save(path, rng.normal(size=(20, 3)))
    whole = path.read_bytes()
    for _ in range(300):
        path.write_bytes(mutate(whole, rng))
        try:
            file = NpyFile.open(path)
            assert file[:].shape == file.shape and file.shape[0] * file.row_bytes < len(whole)
        except DataError:
            refused += 1
    assert 50 < refused < 300


def test_large_values_become_infinite_without_a_warning():
    np.testing.assert_array_equal(to_single(np.array([1e300, -1e300, 2])), np.float32([np.inf, -np.inf, 2]))
