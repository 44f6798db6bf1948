"""Folders of Flashbax Vaults: one for each uid."""

from __future__ import annotations

from pathlib import Path

from omiga_torchrl.data.layouts.vault_store import METADATA_FILE, STORE_FILE
from omiga_torchrl.errors import DataError


def is_vault(path: Path) -> bool:
    """Whether a folder is that of a uid."""
    return (path / METADATA_FILE).is_file() and (path / STORE_FILE).is_file()


def vault_folders(path: Path) -> list[Path]:
    """The folders of uids in a ``.vlt`` folder."""
    return sorted(folder for folder in path.iterdir() if is_vault(folder)) if path.is_dir() else []


def one_uid(path: Path) -> Path:
    """The folder of a uid, or the only one in ``path``; a DataError if there is none or several."""
    if is_vault(path):
        return path
    found = vault_folders(path)
    if len(found) != 1:
        raise DataError(
            f"OfflineDataset: {path} holds {len(found)} vaults ({', '.join(one.name for one in found)}); "
            f"expected one. Pass {found[0] if found else f'a folder with {METADATA_FILE} and {STORE_FILE}'}."
        )
    return found[0]
