"""From what a user names to what is read: the path, its layout, options and known facts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from omiga_torchrl import keys
from omiga_torchrl.data.bundled import bundled_datasets, find_dataset
from omiga_torchrl.data.cards import CARD_FILE, read_card
from omiga_torchrl.data.layouts import Layout, Reading, ReadOptions, find_layout
from omiga_torchrl.errors import DataError, unknown_name
from omiga_torchrl.files import file_sha256

# Part of the cache's name: raise it whenever the converted form changes.
_LAYOUT: Final = 7


class AnySource(Protocol):
    """Origin of a dataset: files, or data of the user's.

    Attributes:
        name: its name in messages and in the cache.
        options: how it is read.
        known: fields of its card that are known beforehand.
        reads_again: whether it can be read more than once.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def options(self) -> ReadOptions: ...  # noqa: D102
    @property
    def known(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def reads_again(self) -> bool: ...  # noqa: D102

    def fingerprint(self) -> str:
        """Hexadecimal digits that change when the data do."""

    def verify(self) -> None:
        """Raise :class:`DataError` if the data are not those that are meant."""

    def reading(self) -> Reading:
        """The open dataset."""


def conversion_folder(root: Path, source: AnySource) -> Path:
    """The folder of the memory-mapped conversion of a dataset.

    Args:
        root: folder of the cache.
        source: the dataset.
    """
    name = re.sub(r"[^\w.-]+", "--", source.name)
    # The place of the state, too: a conversion that has it elsewhere would be read as if it had none.
    kind = repr((source.options, keys.STATE))
    options = hashlib.sha256(kind.encode()).hexdigest()[:8]
    return root / "datasets" / f"{name}-{source.fingerprint()[:16]}" / f"layout{_LAYOUT}-{options}"


@dataclass(frozen=True)
class Source:
    """A dataset that is there, before it is read.

    Attributes:
        name: its name in messages and in the cache.
        path: its file or folder.
        layout: how it is laid out.
        options: how it is read.
        known: fields of its :class:`omiga_torchrl.data.DatasetCard` that are known beforehand.
        by_content: whether the fingerprint is that of the files' content, not of their sizes and times.
        reads_again: files can be read more than once.
    """

    reads_again: ClassVar[bool] = True

    name: str
    path: Path
    layout: Layout
    options: ReadOptions
    known: dict[str, Any] = field(default_factory=dict)
    by_content: bool = False

    def fingerprint(self) -> str:
        """Hexadecimal digits that change when the files do: by size and time, or where asked by content.

        What their card says of them is a claim, which does not count.
        """
        told = file_sha256 if self.by_content else _size_and_time
        found = [f"{file.relative_to(self.path.parent)} {told(file)}" for file in _files(self.path)]
        where = [] if self.by_content else [str(self.path.resolve())]
        return hashlib.sha256("\n".join([*where, *found]).encode()).hexdigest()

    def reading(self) -> Reading:
        """The open dataset."""
        for name in self.layout.ignores:
            if (value := getattr(self.options, name)) is not None:
                raise DataError(
                    f"OfflineDataset: {self.name}: {name} is {value!r}, which means nothing in the layout "
                    f"{self.layout.name!r}. Leave it out."
                )
        return self.layout.read(self.path, self.options)

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


def open_source(
    name_or_path: str | Path | AnySource,
    root: Path,
    layout: str | None,
    options: dict[str, Any],
    by_content: bool = False,
) -> AnySource:
    """Find out what is meant: a bundled dataset, a published one, a file or folder, or an open source.

    Args:
        name_or_path: what the user said.
        root: folder in which published datasets are looked for.
        layout: name of its layout; ``None`` looks at the files.
        options: fields of :class:`ReadOptions` that the user chose.
        by_content: whether the fingerprint is that of the files' content.

    Raises:
        ValueError: an unknown name, or neither a name nor a path.
        FileNotFoundError: a published dataset whose file is not there; says where to get it.
    """
    if not isinstance(name_or_path, str | Path):
        return _open_already(name_or_path, layout, options)
    text = str(name_or_path)
    path = find_dataset(text) if text in bundled_datasets() else Path(name_or_path).expanduser()
    if path.exists():
        return replace(_of_path(path, layout, options), by_content=by_content)
    if ":" in text:
        return replace(_published(text, root, layout, options), by_content=by_content)
    if isinstance(name_or_path, Path) or path.is_absolute() or path.suffix:
        raise FileNotFoundError(
            f"OfflineDataset: {path} does not exist; expected a dataset's file or folder."
        )
    raise unknown_name("OfflineDataset", "dataset", text, bundled_datasets())


def _open_already(source: Any, layout: str | None, options: dict[str, Any]) -> AnySource:
    if not hasattr(source, "reading"):
        raise ValueError(
            f"OfflineDataset: name_or_path is a {type(source).__name__}; expected a name or path. Several "
            "datasets are put together by OfflineDataset.concatenate([...]), arrays come in by from_arrays()."
        )
    if options or layout is not None:
        raise ValueError(
            f"OfflineDataset: {source.name} is open with its own options, got {options or layout!r}. Leave "
            "them out."
        )
    opened: AnySource = source
    return opened


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


def _size_and_time(file: Path) -> str:
    return f"{file.stat().st_size} {file.stat().st_mtime_ns}"


def _files(path: Path) -> Iterator[Path]:
    yield from [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
