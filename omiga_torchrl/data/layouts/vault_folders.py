"""Folders of Flashbax Vaults: one for each uid, as OG-MARL lays them out."""

from __future__ import annotations

import zipfile
from itertools import chain, islice
from pathlib import Path
from typing import Final

from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.data.layouts.vault_store import METADATA_FILE, STORE_FILE
from omiga_torchrl.errors import DataError

# In a ``.vlt`` folder itself, and below it as in ``{source}/{environment}/{scenario}.vlt`` of OG-MARL.
_PLACES: Final = ("*", "*.vlt/*", "*/*.vlt/*", "*/*/*.vlt/*")
_TOLD: Final = 12


def is_vault(path: Path) -> bool:
    """Whether a folder is that of a uid."""
    return (path / METADATA_FILE).is_file() and (path / STORE_FILE).is_file()


def vault_folders(path: Path) -> list[Path]:
    """The folders of uids in a ``.vlt`` folder, or in those up to three levels below ``path``."""
    if not path.is_dir():
        return []
    return sorted(folder for folder in chain(*map(path.glob, _PLACES)) if is_vault(folder))


def zipped_vaults(path: Path) -> list[str]:
    """The uids in a zip of OG-MARL's, such as ``"3m.vlt/Good"``; none if it is no such zip."""
    if path.suffix != ".zip" or not path.is_file():
        return []
    with as_data_error(path), zipfile.ZipFile(path) as file:
        names = [name.rpartition("/") for name in file.namelist()]
    return sorted(folder for folder, _, name in names if name == METADATA_FILE and ".vlt/" in folder)


def one_uid(path: Path) -> Path:
    """The folder of a uid, or the only one in ``path``.

    Raises:
        DataError: there is none, or there are several, which are listed; or it is a zip.
    """
    if is_vault(path):
        return path
    zipped = zipped_vaults(path)
    if zipped:
        raise DataError(
            f"OfflineDataset: {path} is a zip of the vaults {_listed(zipped)}; expected a folder. Unpack it, "
            f"python -m zipfile -e {path.name} {path.parent}, and pass {path.parent / zipped[0]}."
        )
    found = vault_folders(path)
    if len(found) != 1:
        told = _listed([folder.relative_to(path).as_posix() for folder in found])
        raise DataError(
            f"OfflineDataset: {path} holds {len(found)} vaults ({told}); "
            f"expected one. Pass {found[0] if found else f'a folder with {METADATA_FILE} and {STORE_FILE}'}."
        )
    return found[0]


def _listed(names: list[str]) -> str:
    rest = f", and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(islice(names, _TOLD)) + rest
