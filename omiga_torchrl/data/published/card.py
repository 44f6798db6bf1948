"""Facts about a published dataset without its file: the parts of a card."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from omiga_torchrl.data.bundled import cache_root
from omiga_torchrl.data.layouts import LAYOUTS, ReadOptions
from omiga_torchrl.errors import DataError

_STATISTICS: Final = (
    "transitions", "episodes", "rows", "return_mean", "return_std", "return_min", "return_max",
)  # fmt: skip


@dataclass(frozen=True)
class Link:
    """An address.

    Attributes:
        kind: ``"direct"`` for the file itself, ``"page"`` for a page to read or click through.
        url: the address.
    """

    kind: Literal["page", "direct"]
    url: str


@dataclass(frozen=True)
class Archive:
    """A zip that the direct links lead to instead of the dataset's own file.

    Attributes:
        into: folder below the family's in which it is unpacked.
        sha256: its checksum, if published.
        size: its bytes, if published.
    """

    into: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class PublishedDataset:
    """Facts about a published dataset without its file.

    Attributes:
        name: e.g. ``"omiga:hopper-3x1/medium"``; the family stands before the colon.
        task: task it was recorded on. Not all of them have an environment in this library.
        tier: how the behaviour policies were chosen, in its publishers' words.
        layout: name of the layout of its files.
        file: where its file or folder belongs below the family's folder.
        sources: where it is published; the official place first.
        observation_preprocessing: what was done to the simulator's observations.
        citation: what to cite.
        licence: licence of the data; ``"not stated"`` where none was found.
        task_kwargs: arguments of the task.
        sha256: checksum of the file, if published.
        size: bytes of the file, if published.
        archive: the zip that holds it, if the direct links lead to one.
        read: the options that its files have to be read with.
        statistics: published counts and returns; ``rows`` where rows are not transitions.
        random_return: return that counts as 0 in normalised scores, if one is published.
        expert_return: return that counts as 1.
        alternative: the same data in another layout, with a direct link.
        notes: traps.

    Raises:
        DataError: impossible values, all of them in one message.

    Examples:
        >>> from omiga_torchrl.data.published.registry import published_dataset
        >>> dataset = published_dataset("omiga:hopper-3x1/medium")
        >>> dataset.task, dataset.file, dataset.statistics["episodes"]
        ('mujoco/hopper-3x1', 'Hopper-v2-3x1-medium.hdf5', 4000)
        >>> dataset.read.actions
        'raw'
    """

    name: str
    task: str
    tier: str
    layout: str
    file: str
    sources: tuple[Link, ...]
    observation_preprocessing: str
    citation: str
    licence: str = "not stated"
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    size: int | None = None
    archive: Archive | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    statistics: dict[str, float] = field(default_factory=dict)
    random_return: float | None = None
    expert_return: float | None = None
    alternative: str | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        found = list(_findings(self))
        if found:
            raise DataError(f"PublishedDataset {self.name!r}: {'; '.join(found)}.")

    @property
    def family(self) -> str:
        """The part of the name before the colon; also the folder below ``downloads``."""
        return self.name.partition(":")[0]

    @property
    def direct_links(self) -> list[str]:
        """Addresses of the file, or of the archive that holds it; the official one first."""
        return [link.url for link in self.sources if link.kind == "direct"]

    def folder(self, root: str | Path | None = None) -> Path:
        """Where the family's downloads belong.

        Args:
            root: see :func:`omiga_torchrl.data.cache_root`.
        """
        return cache_root(root) / "downloads" / self.family

    def locate(self, root: str | Path | None = None) -> Path:
        """The dataset's file or folder on this machine.

        It is looked for in :meth:`folder`, then directly below ``root``, so that ``root`` may
        be a folder that was filled by other means.

        Args:
            root: see :func:`omiga_torchrl.data.cache_root`.

        Raises:
            FileNotFoundError: it is in neither place; says where to get it and where to put it.
        """
        for folder in (self.folder(root), cache_root(root)):
            if (folder / self.file).exists():
                return folder / self.file
        raise FileNotFoundError(f"OfflineDataset: {self.name} is not on this machine. {self._fix(root)}")

    def _fix(self, root: str | Path | None) -> str:
        place = f"put it at {self.folder(root) / self.file}"
        if not self.direct_links:
            also = f", or use {self.alternative!r}" if self.alternative else ""
            return f"Get {self.file} from {self.sources[0].url} and {place}{also}."
        if self.archive is not None:
            place = f"unpack it in {self.folder(root) / self.archive.into}"
        return (
            f"Call omiga_torchrl.data.download({self.name!r}), or fetch {self.direct_links[0]} and {place}."
        )


def _findings(card: PublishedDataset) -> Iterator[str]:
    """Contradictions among the facts about a published dataset."""
    if not re.fullmatch(r"[^:]+:[^:]+", card.name):
        yield "the name is not '<family>:<dataset>'"
    # Without plugins: these could not be imported yet, while this package is.
    if card.layout not in LAYOUTS.registered:
        yield f"layout is {card.layout!r}, expected one of {', '.join(LAYOUTS.registered)}"
    yield from _where_findings(card)
    yield from _number_findings(card)


def _where_findings(card: PublishedDataset) -> Iterator[str]:
    folders = {"file": card.file} | ({"archive.into": card.archive.into} if card.archive else {})
    for name, path in folders.items():
        if not path or path.startswith("/") or "\\" in path or ".." in path.split("/"):
            yield f"{name} is {path!r}, expected a relative path"
    if card.archive and not card.file.startswith(f"{card.archive.into}/"):
        yield f"file {card.file!r} is not below {card.archive.into!r}, where the archive is unpacked"
    if not card.sources:
        yield "sources are missing"
    for link in card.sources:
        if link.kind not in ("page", "direct") or not link.url.startswith("https://"):
            yield f"source {link.kind!r} {link.url!r}, expected 'page' or 'direct' and an https address"
    for one in (card, card.archive):
        if one is None:
            continue
        if one.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", one.sha256):
            yield f"sha256 is {one.sha256!r}, expected 64 hexadecimal digits"
        if one.size is not None and one.size < 1:
            yield f"size is {one.size}, expected at least 1"


def _number_findings(card: PublishedDataset) -> Iterator[str]:
    unknown = set(card.statistics) - set(_STATISTICS)
    if unknown:
        yield f"unknown statistics {sorted(unknown)}"
    counts = [card.statistics.get(name, math.inf) for name in ("episodes", "transitions", "rows")]
    if counts != sorted(counts):
        yield f"episodes, transitions and rows are {counts}, expected them in ascending order"
    low, high = card.random_return, card.expert_return
    if (low is None) != (high is None) or (low is not None and high is not None and not low < high):
        yield f"random_return is {low}, expert_return {high}; expected both, the first below the second"
