"""`OwnSource`: own data as a source of a dataset, read again or converted as they pass by."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from omiga_torchrl.data.cards import CARD_FILE, DatasetCard, read_card
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.inventory import damage_of, update_inventory
from omiga_torchrl.data.layouts import Reading, ReadOptions
from omiga_torchrl.data.own.content import ContentDigest, observed
from omiga_torchrl.data.regroup import regroup
from omiga_torchrl.data.sources import conversion_folder
from omiga_torchrl.errors import DataError, unknown_name

# What a user may know of own data; all else on a card is taken from the data.
_CARD: Final = (
    "task", "tier", "task_kwargs", "seeds", "recording", "team_reward", "action_convention",
    "observation_preprocessing", "source", "random_return", "expert_return", "best_checkpoint_return",
)  # fmt: skip


@dataclass(frozen=True)
class OwnSource:
    """Data of the user's, with the part of :class:`omiga_torchrl.data.sources.Source` that datasets need.

    Attributes:
        name: their name in messages and in the cache.
        options: how they are read.
        known: fields of their card that are known beforehand; ``"data_sha256"`` is their checksum.
        open: opens them for one pass.
        learned: what else only the data tell and is on their card: numbers of actions, names of agents.
        reads_again: whether ``open`` can be called more than once.
    """

    name: str
    options: ReadOptions
    known: dict[str, Any]
    open: Callable[[], Reading]
    learned: str = ""
    reads_again: bool = True

    def fingerprint(self) -> str:
        """Hexadecimal digits that change when the data or what is known of them does."""
        told = f"{json.dumps(self.known, sort_keys=True, default=str)} {self.learned}"
        return hashlib.sha256(told.encode()).hexdigest()

    def verify(self) -> None:
        """Nothing: the checksum is that of the data themselves."""

    def reading(self) -> Reading:
        """The open data."""
        return self.open()


def known_of(layout: str, options: ReadOptions, card: Mapping[str, Any] | None) -> dict[str, Any]:
    """Fields of the card of own data: what the user knows, and unknown for what is otherwise assumed.

    Args:
        layout: where the data come from: ``"arrays"``, ...
        options: how they are read.
        card: what the user knows.

    Raises:
        ValueError: a field that there is not, or that is taken from the data.
    """
    given = dict(card or {})
    for name in given:
        if name not in _CARD:
            every = {one.name for one in fields(DatasetCard)}
            if name in every:
                raise ValueError(
                    f"OfflineDataset: card has {name!r}, which is taken from the data. Leave it out; it may "
                    f"have {', '.join(_CARD)}."
                )
            raise unknown_name("OfflineDataset", "field of the card", name, _CARD)
    return {"layout": layout, "team_reward": options.team_reward or "", "action_convention": "", **given}


def checked_source(
    name: str, options: ReadOptions, known: Mapping[str, Any], read: Callable[[], Reading]
) -> OwnSource:
    """A source of data that can be read several times: their checksum is taken first.

    Args:
        name: their name.
        options: how they are read.
        known: fields of their card.
        read: opens them.

    Raises:
        DataError: something is wrong with the data.
    """
    digest, reading = ContentDigest(), read()
    for _ in observed(reading.blocks, digest):
        pass
    told = {"data_sha256": digest.hexdigest(*_told(reading))}
    return OwnSource(name, options, {**known, **told}, read, _learned(reading))


def _told(reading: Reading) -> list[str]:
    """Facts of rows that are not among a dataset's transitions; complete when all have been read."""
    left_out = [one.tolist() for one in (*reading.left_out.rewards, *reading.left_out.single)]
    found = [f"left out {left_out}"] if reading.left_out.steps else []
    return found + [f"{rows} {what}" for what, rows in reading.ends.dropped.items()] + reading.ends.notes


def streamed_source(
    name: str, options: ReadOptions, known: Mapping[str, Any], read: Callable[[], Reading], root: Path
) -> OwnSource:
    """A source of data that can be read once: they are converted now, into the cache.

    Args:
        name: their name.
        options: how they are read.
        known: fields of their card.
        read: opens them.
        root: folder of the cache.

    Raises:
        DataError: something is wrong with the data; nothing is kept of them.
    """
    opened: list[Reading] = []
    digest = ContentDigest()

    def read_once() -> Reading:
        if opened:
            raise DataError(
                f"OfflineDataset: {name}: groups={options.groups!r} reads the data twice. Give a list."
            )
        reading = read()
        opened.append(reading)
        return replace(reading, blocks=observed(reading.blocks, digest))

    folder = root / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    spool = Path(tempfile.mkdtemp(dir=folder, prefix="stream-"))
    try:
        reading, facts = regroup(read_once, options, known)
        convert(reading, spool / "data", options, name=name, known=facts)
        source = OwnSource(
            name,
            options,
            {**known, "data_sha256": digest.hexdigest(*_told(opened[0]))},
            partial(_used_up, name),
            _learned(opened[0]),
            reads_again=False,
        )
        card = read_card(spool / "data")
        card.data_sha256 = source.known["data_sha256"]
        (spool / "data" / CARD_FILE).write_text(card.to_json())
        update_inventory(spool / "data", CARD_FILE)
        target = conversion_folder(root, source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            if damage_of(target) is not None:  # or there is none yet
                shutil.rmtree(target, ignore_errors=True)
                os.replace(spool / "data", target)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    return source


def open_once(cls: Any, source: OwnSource, **options: Any) -> Any:
    """A dataset that no longer holds what it was made of: it has the cache, and can be pickled.

    Args:
        cls: the class of datasets.
        source: the data.
        **options: of the dataset.
    """
    dataset = cls(source, **options)
    dataset.source = replace(source, open=partial(_used_up, source.name))
    return dataset


def _learned(reading: Reading) -> str:
    """Facts that only the data tell, once they have been read."""
    return repr((reading.n_actions, dict(reading.agents or {})))


def _used_up(name: str) -> Reading:
    raise DataError(
        f"OfflineDataset: {name}: the data have been read and their cache is gone. Hand them in anew."
    )


def with_steps(blocks: Iterable[Episodes], where: str) -> Iterator[Episodes]:
    """The blocks, unless there are none."""
    empty = True
    for block in blocks:
        empty = False
        yield block
    if empty:
        raise DataError(
            f"{where}: no step is left. Of a truncated episode the last step needs next_observation=, or "
            "observations with one row more."
        )
