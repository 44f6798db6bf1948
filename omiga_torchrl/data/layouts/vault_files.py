"""The files of a Flashbax Vault: one chunked array per leaf, in one key-value store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.base import require
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.errors import DataError

METADATA_FILE: Final = "metadata.json"
STORE_FILE: Final = "manifest.ocdbt"
VERSION: Final = 1.2

# Flashbax's names and sizes.
_MAX_ROWS: Final = 10_000_000_000_000
_INDEX: Final = "vault_index"
# Its level 5 takes more than twice the time, for files that are no smaller.
_COMPRESSOR: Final = {"id": "gzip", "level": 1}
_CHUNK_BYTES: Final = 4 * 2**20

_LARGEST_METADATA: Final = 2**20
_LARGEST_CHUNK: Final = 64 * 2**20
# Without limits, the memory that is needed grows with the number of processors.
_LIMITS: Final = {
    "cache_pool": {"total_bytes_limit": 16 * 2**20},
    "data_copy_concurrency": {"limit": 1},
    "file_io_concurrency": {"limit": 1},
}


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
        ts, where = _tensorstore(), f"OfflineDataset: {folder}"
        with as_data_error(folder):
            metadata = _read_metadata(folder)
            leaves = set(_leaves(metadata["structure_shape"]))
            missing = [
                f"{name!r} is missing (found {sorted(leaves)})" for name in required if name not in leaves
            ]
            require(missing, where)
            context, store = ts.Context(_LIMITS), _store(folder)
            values = ts.KvStore.open(store, context=context).result()
            keys = {key.decode() for key in values.list().result()}
            index = ts.open(_zarr(store, _INDEX), context=context, read=True).result()
            rows = int(index[:1].read().result()[0])
            opened = {}
            for name in (*required, *optional):
                if name in leaves:
                    opened[name] = ts.open(_zarr(store, f"{name}."), context=context, read=True).result()
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


def write_vault(folder: Path, parts: Iterable[dict[str, Array]], extra: dict[str, Any]) -> None:
    """Write a vault that Flashbax reads.

    Args:
        folder: an empty folder.
        parts: rows of all leaves `[t, ...]`, part by part, with the same leaves, types and sizes.
        extra: more entries for ``metadata.json``.

    Raises:
        ImportError: tensorstore is not installed.
        DataError: the parts differ in their leaves, types or sizes, or there is none.
    """
    ts, store = _tensorstore(), _store(folder)
    context = ts.Context(_LIMITS)
    arrays: dict[str, Any] = {}
    rows = 0
    for part in _whole_chunks(parts):
        if not arrays:
            chunk = _chunk_rows(part)
            arrays = {name: _create(ts, context, store, name, values, chunk) for name, values in part.items()}
        size = len(next(iter(part.values())))
        writes = [arrays[name][0, rows : rows + size].write(values) for name, values in part.items()]
        for write in writes:
            write.result()
        rows += size
    if not rows:
        raise DataError(f"VaultLayout: nothing to write to {folder}; expected at least one transition.")
    index = ts.open(_zarr(store, _INDEX), context=context, dtype="int32", shape=(1,), create=True).result()
    index.write(rows).result()
    structure = {
        "structure_shape": _tree({name: str((1, rows, *a.shape[2:])) for name, a in arrays.items()}),
        "structure_dtype": _tree({name: a.dtype.name for name, a in arrays.items()}),
    }
    (folder / METADATA_FILE).write_text(json.dumps({"version": VERSION, **structure, **extra}))


def _create(ts: Any, context: Any, store: dict[str, Any], name: str, values: Array, chunk: int) -> Any:
    metadata = {
        "shape": [1, _MAX_ROWS, *values.shape[1:]],
        "chunks": [1, chunk, *values.shape[1:]],
        "dtype": values.dtype.str,
        "compressor": _COMPRESSOR,
    }
    spec = {**_zarr(store, f"{name}."), "metadata": metadata}
    return ts.open(spec, context=context, create=True).result()


def _chunk_rows(part: dict[str, Array]) -> int:
    return max(_CHUNK_BYTES // max(values[:1].nbytes for values in part.values()), 1)


def _whole_chunks(parts: Iterable[dict[str, Array]]) -> Iterator[dict[str, Array]]:
    """The same rows in parts of whole chunks: what is written in pieces is stored once per piece."""
    waiting: list[dict[str, Array]] = []
    rows, chunk = 0, 0
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
    for part in parts:
        found = {name: (str(values.dtype), values.shape[1:]) for name, values in part.items()}
        kinds = kinds or found
        if found != kinds:
            raise DataError(
                f"VaultLayout: rows change from {kinds} to {found}; expected one kind in a vault."
            )
        chunk = chunk or _chunk_rows(part)
        waiting.append(part)
        rows += len(next(iter(part.values())))
        if rows >= chunk:
            joined, whole = _join(waiting), rows - rows % chunk
            yield {name: values[:whole] for name, values in joined.items()}
            waiting, rows = [{name: values[whole:] for name, values in joined.items()}], rows - whole
    if rows:
        yield _join(waiting)


def _join(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _tree(flat: dict[str, str]) -> dict[str, Any]:
    """Nested by the dots in the names."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[leaf] = value
    return tree


def _tensorstore() -> Any:
    try:
        import tensorstore
    except ImportError as error:
        raise ImportError('Vaults need tensorstore: pip install "omiga-torchrl[data]"') from error
    return tensorstore


def _store(folder: Path) -> dict[str, Any]:
    return {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder.resolve()}/"}}


def _zarr(store: dict[str, Any], name: str) -> dict[str, Any]:
    return {"driver": "zarr", "kvstore": {**store, "path": f"{name}/"}}


def _read_metadata(folder: Path) -> dict[str, Any]:
    file = folder / METADATA_FILE
    if file.stat().st_size > _LARGEST_METADATA:
        raise DataError(f"OfflineDataset: {file} has {file.stat().st_size} bytes. Is it a vault's?")
    metadata = json.loads(file.read_text())
    version = metadata["version"]
    if int(version) != int(VERSION):
        raise DataError(f"OfflineDataset: {file} is of vault version {version}; expected {VERSION}.")
    return metadata


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _problems(name: str, array: Any, rows: int, keys: set[str], values: Any) -> Iterator[str]:
    """What keeps the first ``rows`` rows of a leaf from being read."""
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
    if prod(chunk) * kind.itemsize > _LARGEST_CHUNK:
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
