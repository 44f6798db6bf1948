"""Writing a Flashbax Vault, in whole chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.vault_store import (
    CHUNK_BYTES,
    COMPRESSOR,
    INDEX,
    LIMITS,
    MAX_ROWS,
    METADATA_FILE,
    VERSION,
    load_tensorstore,
    store_spec,
    zarr_spec,
)
from omiga_torchrl.errors import DataError


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
    ts, store = load_tensorstore(), store_spec(folder)
    context = ts.Context(LIMITS)
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
    index = ts.open(zarr_spec(store, INDEX), context=context, dtype="int32", shape=(1,), create=True).result()
    index.write(rows).result()
    structure = {
        "structure_shape": _tree({name: str((1, rows, *a.shape[2:])) for name, a in arrays.items()}),
        "structure_dtype": _tree({name: a.dtype.name for name, a in arrays.items()}),
    }
    (folder / METADATA_FILE).write_text(json.dumps({"version": VERSION, **structure, **extra}))


def _create(ts: Any, context: Any, store: dict[str, Any], name: str, values: Array, chunk: int) -> Any:
    metadata = {
        "shape": [1, MAX_ROWS, *values.shape[1:]],
        "chunks": [1, chunk, *values.shape[1:]],
        "dtype": values.dtype.str,
        "compressor": COMPRESSOR,
    }
    spec = {**zarr_spec(store, f"{name}."), "metadata": metadata}
    return ts.open(spec, context=context, create=True).result()


def _chunk_rows(part: dict[str, Array]) -> int:
    return max(CHUNK_BYTES // max(values[:1].nbytes for values in part.values()), 1)


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
