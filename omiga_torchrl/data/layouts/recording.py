"""Our own recordings: a folder with ``card.json`` and ``data.npz``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from omiga_torchrl.data.cards import CARD_FILE, DATA_FILE, DatasetCard, read_card
from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import (
    Layout,
    Reading,
    ReadOptions,
    block_spans,
    relabel_ends,
    to_team_reward,
)
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import file_sha256


@register_layout("recording", priority=90)
class RecordingLayout(Layout):
    """A folder written by :func:`omiga_torchrl.data.write_recording`."""

    summary: ClassVar[str] = f"folder with {CARD_FILE} and {DATA_FILE}, written by record_dataset.py"
    ignores: ClassVar[tuple[str, ...]] = ("delimiter_rows",)

    def matches(self, path: Path) -> bool:
        """Whether there is a card."""
        return (path / CARD_FILE).is_file()

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check the file against its card, then read it.

        Raises:
            DataError: the checksum is not the card's, the file is damaged, or the rewards of agents, which
                another ``team_reward`` than the card's needs, were not kept.
        """
        card = read_card(path)
        found = file_sha256(path / DATA_FILE)
        if found != card.data_sha256:
            raise DataError(
                f"OfflineDataset: {path / DATA_FILE} has sha256 {found[:16]}..., its card says "
                f"{card.data_sha256[:16]}...; the file is damaged or was replaced. Fetch or record it "
                "again; rewards are changed by dataset.relabel_rewards(), files by write_recording()."
            )
        groups = card.spec.groups
        counts = {name: group.action_size for name, group in groups.items() if group.discrete}
        return Reading(
            self._blocks(path / DATA_FILE, card, options),
            steps=card.transitions,
            n_actions=(counts if len(groups) > 1 else next(iter(counts.values()))) if counts else None,
            agents={name: group.agents for name, group in groups.items() if group.agents},
        )

    def _blocks(self, file: Path, card: DatasetCard, options: ReadOptions) -> Iterator[Episodes]:
        episodes = Episodes.load(file, largest=_most_bytes(card))
        reward = _reward(episodes, card, options, f"OfflineDataset: {file}")
        ends = relabel_ends(episodes.terminated, episodes.truncated, episodes.length, options)
        episodes = episodes.replaced(reward=reward, terminated=ends[0], truncated=ends[1])
        row_bytes = sum(a.nbytes for a in episodes.arrays().values()) // max(episodes.steps, 1)
        for first, last in block_spans(episodes.length, row_bytes):
            yield episodes.part(first, last)


def _reward(episodes: Episodes, card: DatasetCard, options: ReadOptions, where: str) -> Array:
    """The team's reward `[T]`, by the rule that is asked for."""
    if options.team_reward in (None, card.team_reward):
        return episodes.reward
    own = [group.reward for group in episodes.groups.values() if group.reward is not None]
    if len(own) < len(episodes.groups):
        raise DataError(
            f"{where}: team_reward is {options.team_reward!r}; expected {card.team_reward!r}, by which the "
            "team's reward was recorded: the rewards of agents were not kept. Leave it out, or record again."
        )
    return np.asarray(to_team_reward(np.concatenate(own, 1), options, where))


def _most_bytes(card: DatasetCard) -> int:
    """Largest bytes of a recording's arrays by its card, twice over: a small file may hold gigabytes."""
    values = 8 + card.spec.state_size  # of a row
    for group in card.spec.groups.values():
        values += group.n_agents * (group.observation_size + 2 * group.action_size + 4)
    return 2**20 + 2 * 8 * values * (card.transitions + card.episodes)
