"""From a dataset in any layout to a memory-mapped TensorDict with a card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.action_conventions import ActionConvention, convert_actions
from omiga_torchrl.data.cards import CARD_FILE, DatasetCard
from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts import Reading, ReadOptions
from omiga_torchrl.data.moments import RunningMoments
from omiga_torchrl.data.ted import TedWriter, row_bytes, write_whole
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

# Single precision of a bound such as 1.0 may lie a rounding error outside it.
_TOLERANCE = 1e-5


@dataclass
class _Totals:
    """What is summed up while the blocks pass by."""

    reward: RunningMoments = field(default_factory=RunningMoments)
    observation: RunningMoments = field(default_factory=RunningMoments)
    state: RunningMoments = field(default_factory=RunningMoments)
    returns: list[Array] = field(default_factory=list)
    steps: int = 0
    outside: int = 0
    largest: float = 0.0

    def add(self, block: Episodes) -> None:
        self.reward.add(block.reward[:, None].astype(np.float64))
        self.observation.add(block.observation)
        if block.state is not None:
            self.state.add(block.state)
        self.returns.append(block.returns())
        if block.action.dtype.kind == "f":
            size = np.abs(block.action)
            self.largest = float(np.maximum(self.largest, size.max()))  # keeps NaN
            if self.largest > 1 + _TOLERANCE:
                self.outside += int((size > 1 + _TOLERANCE).reshape(len(size), -1).any(1).sum())
        self.steps += block.steps


def convert(
    reading: Reading,
    folder: Path,
    options: ReadOptions,
    *,
    name: str,
    known: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> None:
    """Stream a dataset to ``folder``: a memory-mapped TensorDict with ``card.json``.

    Args:
        reading: the open dataset.
        folder: where it goes; appears whole or not at all. If it is there, nothing is done.
        options: how it is read.
        name: its name in messages and on a card that is made here.
        known: fields of its card that are known beforehand; counts and statistics are taken
            from the data.
        progress: show a progress bar.

    Raises:
        DataError: NaN or infinity, actions outside their range, episodes that do not end, or a
            change of sizes within the data; nothing is kept.
        OSError: the disk is full; nothing is kept.
    """
    blocks = iter(reading.blocks)
    first = next(blocks, None)
    if first is None or not first.steps:
        raise DataError(f"OfflineDataset: {name} holds no transition. Is the file complete?")
    convention = options.actions or reading.actions

    def write(writer: TedWriter) -> None:
        totals = _Totals()
        # A block is written, which takes longest, while the next one is read.
        with ThreadPoolExecutor(1) as worker:
            written = None
            for block in _bar(_chain(first, blocks), reading.steps, name, progress):
                block = _convert_actions(block, convention)
                totals.add(block)
                _require_sound(block, totals, name)
                if written is not None:
                    written.result()
                written = worker.submit(writer.append, block)
            if written is not None:
                written.result()
        card = _describe(known or {}, first, reading, totals, name)
        if convention is not None:
            card.action_convention = convention
        elif totals.largest > max(abs(card.spec.action_low), abs(card.spec.action_high)) + _TOLERANCE:
            raise _out_of_range(name, totals)
        (writer.folder / CARD_FILE).write_text(card.to_json())

    expected = (reading.steps or 0) * row_bytes(first)
    write_whole(folder, write, expected_bytes=expected)


def _chain(first: Episodes, rest: Iterator[Episodes]) -> Iterator[Episodes]:
    yield first
    yield from rest


def _convert_actions(block: Episodes, convention: ActionConvention | None) -> Episodes:
    if block.action.dtype.kind != "f" or convention in (None, "raw"):
        return block
    block.action = convert_actions(block.action, convention)
    return block


def _require_sound(block: Episodes, totals: _Totals, name: str) -> None:
    """Raise for values that would poison training."""
    found = []
    for what, values in (
        ("observation", totals.observation.mean),
        ("reward", totals.reward.mean),
        ("state", totals.state.mean if block.state is not None else 0.0),
        ("action", totals.largest),
    ):
        if not np.isfinite(values).all():
            rows = getattr(block, what)
            bad = np.flatnonzero(~np.isfinite(rows.reshape(len(rows), -1)).all(1))
            at = totals.steps - block.steps + int(bad[0]) if len(bad) else totals.steps
            found.append(f"{what!r} is NaN or infinite in {len(bad)} rows, first near row {at}")
    ends = np.cumsum(block.length) - 1
    done = block.terminated | block.truncated
    if not done[ends].all():
        at = totals.steps - block.steps + int(ends[~done[ends]][0])
        found.append(f"an episode stops without an end in row {at}")
    if done.sum() > len(ends):
        found.append("an episode goes on after its end")
    if found:
        raise DataError(f"OfflineDataset: {name}: {'; '.join(found)}. Repair the file or fetch it again.")


def _out_of_range(name: str, totals: _Totals) -> DataError:
    return DataError(
        f"OfflineDataset: {name}: {totals.outside} of {totals.steps} rows have actions outside [-1, 1] "
        f"(up to {totals.largest:.3g}). Say what they mean: actions='raw' keeps them, 'clip' clips them, "
        "'scale' divides by 4."
    )


def _describe(
    known: Mapping[str, Any], first: Episodes, reading: Reading, totals: _Totals, name: str
) -> DatasetCard:
    """The card: what is known, and everything that only the data can say."""
    returns = np.concatenate(totals.returns)
    facts: dict[str, Any] = {
        "name": name,
        "task": "",
        "tier": name,
        "sizes": _sizes(first, reading, name).to_dict() if "sizes" not in known else None,
        **known,
        "transitions": totals.steps,
        "episodes": len(returns),
        "reward_mean": float(totals.reward.mean[0]),
        "reward_std": float(totals.reward.std[0]),
        "behaviour_return": {"mean": float(returns.mean()), "std": float(returns.std())},
        "observation_mean": totals.observation.mean.tolist(),
        "observation_std": totals.observation.std.tolist(),
    }
    if totals.state.count:
        facts |= {"state_mean": totals.state.mean.tolist(), "state_std": totals.state.std.tolist()}
    return DatasetCard(**facts)


def _sizes(block: Episodes, reading: Reading, name: str) -> TeamSpec:
    n_agents, size = block.observation.shape[1:]
    discrete = block.action.dtype.kind in "iu"
    actions = block.action.shape[-1]
    if discrete:
        mask = block.action_mask
        known = mask.shape[-1] if mask is not None else reading.n_actions
        if known is None:
            raise DataError(
                f"OfflineDataset: {name}: the number of discrete actions is unknown; pass n_actions=."
            )
        actions = known
    return TeamSpec(
        n_agents,
        size,
        actions,
        n_agents * size if block.state is None else block.state.shape[-1],
        discrete=discrete,
        masked=block.action_mask is not None,
    )


def _bar(blocks: Iterable[Episodes], steps: int | None, name: str, progress: bool) -> Iterator[Episodes]:
    bar = None
    if progress:
        try:
            from tqdm import tqdm

            bar = tqdm(total=steps, desc=f"converting {name}", unit="row", unit_scale=True, delay=1.0)
        except ImportError:  # the core works without it
            bar = None
    for block in blocks:
        yield block
        if bar is not None:
            bar.update(block.steps)
    if bar is not None:
        bar.close()
