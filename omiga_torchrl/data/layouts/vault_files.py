"""The files of a Flashbax Vault: one chunked array per leaf, in one key-value store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.base import require
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.data.layouts.vault_store import (
    INDEX,
    LARGEST_CHUNK,
    LARGEST_METADATA,
    LIMITS,
    METADATA_FILE,
    VERSION,
    load_tensorstore,
    store_spec,
    zarr_spec,
)
from omiga_torchrl.errors import DataError


@dataclass(frozen=True)
class VaultArray:
    """One leaf of a vault `[T, ...]`; slices of it are arrays in memory.

    Attributes:
        shape: its sizes.
        dtype: the type of its values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _store: Any
    _where: str

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    def __getitem__(self, index: slice) -> Array:
        """Rows ``index`` of it; steps other than 1 are not for files."""
        first, last, _ = index.indices(len(self))
        with as_data_error(f"{self._where}: {self.name!r}"):
            return np.asarray(self._store[0, first:last].read().result())


@dataclass(frozen=True)
class VaultFiles:
    """An open vault.

    Attributes:
        metadata: what its ``metadata.json`` says.
        arrays: its leaves by their path, such as ``"infos.state"``.
    """

    metadata: dict[str, Any]
    arrays: dict[str, VaultArray]

    @classmethod
    def open(cls, folder: Path, required: Sequence[str], optional: Sequence[str]) -> VaultFiles:
        """Open the leaves, up to the vault's write index.

        Args:
            folder: with ``metadata.json``.
            required: leaves that have to be there.
            optional: leaves that are opened if they are there.

        Raises:
            ImportError: tensorstore is not installed.
            DataError: damaged, incomplete, or no vault; all findings in one message.
        """
        ts, where = load_tensorstore(), f"OfflineDataset: {folder}"
        with as_data_error(folder):
            metadata = _read_metadata(folder)
            leaves = set(_leaves(metadata["structure_shape"]))
            missing = [
                f"{name!r} is missing (found {sorted(leaves)})" for name in required if name not in leaves
            ]
            require(missing, where)
            context, store = ts.Context(LIMITS), store_spec(folder)
            values = ts.KvStore.open(store, context=context).result()
            keys = {key.decode() for key in values.list().result()}
            index = ts.open(zarr_spec(store, INDEX), context=context, read=True).result()
            rows = int(index[:1].read().result()[0])
            opened = {}
            for name in (*required, *optional):
                if name in leaves:
                    opened[name] = ts.open(zarr_spec(store, f"{name}."), context=context, read=True).result()
            found = [
                problem
                for name, array in opened.items()
                for problem in _problems(name, array, rows, keys, values)
            ]
            require(found, where)
            arrays = {
                name: VaultArray(name, (rows, *array.shape[2:]), array.dtype.numpy_dtype, array, str(folder))
                for name, array in opened.items()
            }
        return cls(metadata, arrays)


def _read_metadata(folder: Path) -> dict[str, Any]:
    file = folder / METADATA_FILE
    if file.stat().st_size > LARGEST_METADATA:
        raise DataError(
            f"OfflineDataset: {file} must be the description of a vault, of at most {LARGEST_METADATA} "
            f"bytes, got {file.stat().st_size}. Is the folder a vault?"
        )
    metadata = json.loads(file.read_text())
    version = metadata["version"]
    if int(version) != int(VERSION):
        raise DataError(
            f"OfflineDataset: {file} is of vault version {version}; expected {VERSION}. Was it "
            "written by another flashbax? Write it again with one of this version."
        )
    return metadata


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _problems(name: str, array: Any, rows: int, keys: set[str], values: Any) -> Iterator[str]:
    """Reason why the first ``rows`` rows of a leaf cannot be read, if there is one."""
    kind = array.dtype.numpy_dtype
    if kind.kind not in "fiub":
        yield f"{name!r} holds {kind}, expected numbers"
        return
    if array.rank < 2 or array.shape[0] != 1:
        yield f"{name!r} has shape {array.shape}, expected (1, T, ...)"
        return
    if not 1 <= rows <= array.shape[1]:
        yield f"the write index is {rows}, {name!r} has room for {array.shape[1]} rows"
        return
    chunk = array.chunk_layout.read_chunk.shape
    if prod(chunk) * kind.itemsize > LARGEST_CHUNK:
        yield f"{name!r} has chunks of {prod(chunk) * kind.itemsize / 2**20:.0f} MiB"
        return
    separator = json.loads(values.read(f"{name}./.zarray").result().value).get("dimension_separator", ".")
    counts = [1, ceil(rows / chunk[1])]
    counts += [ceil(size / part) for size, part in zip(array.shape[2:], chunk[2:], strict=True)]
    # Chunks that were never written would be read as zeros.
    written = prod(counts) <= len(keys) and all(
        f"{name}./{separator.join(map(str, place))}" in keys for place in product(*map(range, counts))
    )
    if not written:
        yield f"{name!r} has not all of the {rows} rows that the write index promises"
