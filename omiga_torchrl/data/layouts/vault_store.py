"""The key-value store below a vault, and the names and sizes of its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

METADATA_FILE: Final = "metadata.json"
STORE_FILE: Final = "manifest.ocdbt"
VERSION: Final = 1.2

# Flashbax's names and sizes.
MAX_ROWS: Final = 10_000_000_000_000
INDEX: Final = "vault_index"
# Its level 5 takes more than twice the time, for files that are no smaller.
COMPRESSOR: Final = {"id": "gzip", "level": 1}
CHUNK_BYTES: Final = 4 * 2**20

LARGEST_METADATA: Final = 2**20
LARGEST_CHUNK: Final = 64 * 2**20
# Without limits, the memory that is needed grows with the number of processors.
LIMITS: Final = {
    "cache_pool": {"total_bytes_limit": 16 * 2**20},
    "data_copy_concurrency": {"limit": 1},
    "file_io_concurrency": {"limit": 1},
}


def load_tensorstore() -> Any:
    """The package tensorstore.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import tensorstore
    except ImportError as error:
        raise ImportError('Vaults need tensorstore: pip install "omiga-torchrl[data]"') from error
    return tensorstore


def store_spec(folder: Path) -> dict[str, Any]:
    """Tensorstore's description of the key-value store in a folder."""
    return {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder.resolve()}/"}}


def zarr_spec(store: dict[str, Any], name: str) -> dict[str, Any]:
    """Tensorstore's description of one array in a store.

    Args:
        store: the store, of :func:`store_spec`.
        name: the array's name in it.
    """
    return {"driver": "zarr", "kvstore": {**store, "path": f"{name}/"}}
