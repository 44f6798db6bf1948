"""From what a user names to what is read: the path, its layout, options and known facts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from omiga_torchrl.data.bundled import bundled_datasets, find_dataset
from omiga_torchrl.data.cards import CARD_FILE, read_card
from omiga_torchrl.data.layouts import Layout, ReadOptions, find_layout
from omiga_torchrl.errors import DataError, unknown_name
from omiga_torchrl.files import file_sha256


@dataclass(frozen=True)
class Source:
    """A dataset that is there, before it is read.

    Attributes:
        name: its name in messages and in the cache.
        path: its file or folder.
        layout: how it is laid out.
        options: how it is read.
        known: fields of its :class:`omiga_torchrl.data.DatasetCard` that are known beforehand.
    """

    name: str
    path: Path
    layout: Layout
    options: ReadOptions
    known: dict[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Hexadecimal digits that change when the files do (by size and time, not by content)."""
        if self.known.get("data_sha256"):
            return str(self.known["data_sha256"])
        found = [
            f"{file.relative_to(self.path.parent)} {file.stat().st_size} {file.stat().st_mtime_ns}"
            for file in _files(self.path)
        ]
        return hashlib.sha256("\n".join([str(self.path.resolve()), *found]).encode()).hexdigest()

    def verify(self) -> None:
        """Raise :class:`DataError` if a published checksum is known and the file has another one."""
        expected = self.known.get("data_sha256", "")
        if not expected or not self.path.is_file():
            return
        found = file_sha256(self.path)
        if found != expected:
            raise DataError(
                f"OfflineDataset: {self.path} has sha256 {found[:16]}..., the published file "
                f"{expected[:16]}...; it is damaged or another version. Fetch it again."
            )


def open_source(name_or_path: str | Path, root: Path, layout: str | None, options: dict[str, Any]) -> Source:
    """Find out what is meant: a bundled dataset, a published one, or a file or folder.

    Args:
        name_or_path: what the user said.
        root: folder in which published datasets are looked for.
        layout: name of its layout; ``None`` looks at the files.
        options: fields of :class:`ReadOptions` that the user chose.

    Raises:
        ValueError: an unknown name.
        FileNotFoundError: a published dataset whose file is not there; says where to get it.
    """
    text = str(name_or_path)
    if text in bundled_datasets():
        return _of_path(find_dataset(text), layout, options)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return _of_path(path, layout, options)
    if ":" in text:
        return _published(text, root, layout, options)
    if isinstance(name_or_path, Path) or path.is_absolute() or path.suffix:
        raise FileNotFoundError(
            f"OfflineDataset: {path} does not exist; expected a dataset's file or folder."
        )
    raise unknown_name("OfflineDataset", "dataset", text, bundled_datasets())


def _published(name: str, root: Path, layout: str | None, options: dict[str, Any]) -> Source:
    from omiga_torchrl.data.published.registry import published_dataset

    published = published_dataset(name)
    path = published.locate(root)
    known = {
        "task": published.task,
        "tier": published.tier,
        "task_kwargs": dict(published.task_kwargs),
        "data_sha256": published.sha256 or "",
        "observation_preprocessing": published.observation_preprocessing,
        "source": published.sources[0].url if published.sources else "",
        "random_return": published.random_return,
        "expert_return": published.expert_return,
        "layout": published.layout,
    }
    return Source(
        name=name,
        path=path,
        layout=find_layout(path, layout or published.layout),
        options=replace(published.read, **options),
        known=known,
    )


def _of_path(path: Path, layout: str | None, options: dict[str, Any]) -> Source:
    known: dict[str, Any] = {}
    if (path / CARD_FILE).is_file():
        known = asdict(read_card(path))
    name = known.get("name") or path.resolve().stem
    return Source(name, path, find_layout(path, layout), ReadOptions(**options), known)


def _files(path: Path) -> Iterator[Path]:
    yield from [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
