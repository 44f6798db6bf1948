"""From a dataset in any layout to a memory-mapped TensorDict with a card."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.action_bounds import told_box
from omiga_torchrl.action_conventions import ActionConvention, convert_actions
from omiga_torchrl.data.cards import CARD_FILE, DatasetCard
from omiga_torchrl.data.data_spec import data_spec
from omiga_torchrl.data.ends import DatasetEnds
from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts import Reading, ReadOptions
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.ted import TedWriter, expected_bytes
from omiga_torchrl.data.ted_folder import write_whole
from omiga_torchrl.data.totals import LARGEST, Totals
from omiga_torchrl.errors import DataError
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec

_LOG = logging.getLogger(__name__)


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
        StorageError: the disk is full; nothing is kept.
    """
    blocks = iter(reading.blocks)
    first = next(blocks, None)
    if first is None or not first.steps:
        raise DataError(f"OfflineDataset: {name} holds no transition. Is the file complete?")
    _require_known_groups(known or {}, first, name)
    if options.agent_rewards and all(group.reward is None for group in first.groups.values()):
        raise DataError(f"OfflineDataset: {name}: there are no rewards of agents. Leave agent_rewards out.")
    convention = options.actions or reading.actions
    spec = data_spec(known or {}, first, reading, options, name)

    def write(writer: TedWriter) -> None:
        totals = Totals.of_team(spec)
        # A block is written, which takes longest, while the next one is read.
        with ThreadPoolExecutor(1) as worker:
            written = None
            for block in _bar(_chain(first, blocks), reading.steps, name, progress):
                block = _convert_actions(block, convention, spec)
                totals.add(block)
                _require_sound(block, totals, name)
                if written is not None:
                    written.result()
                written = worker.submit(writer.append, block)
            if written is not None:
                written.result()
        said = dict(known or {})
        if options.action_low is not None:
            said.pop("sizes", None)
        card = _describe(said, first, spec, totals, name, reading.left_out)
        if options.team_reward is not None:
            card.team_reward = options.team_reward
        if options.timeout_is_terminal is not None:
            card.timeout_is_terminal = options.timeout_is_terminal
        if convention is not None:
            card.action_convention = convention
        else:
            _require_in_range(card, totals, name)
        _tell_left_out(reading.left_out, writer.folder, card)
        _keep_ends(totals, reading, writer.folder, name, options)
        (writer.folder / CARD_FILE).write_text(card.to_json())

    write_whole(folder, write, expected_bytes=expected_bytes(first, reading.steps or 0))


def _tell_left_out(left_out: LeftOut, folder: Path, card: DatasetCard) -> None:
    """Keep the rewards of steps that are left out, and say how many there are."""
    left_out.save(folder)
    if left_out.steps:
        _LOG.warning(
            "OfflineDataset: %s: %d last steps of truncated episodes are left out, as what was seen after "
            "them is unknown; %d steps remain. Their rewards count in the behaviour's return.",
            card.name, left_out.steps, card.transitions,
        )  # fmt: skip


def _keep_ends(totals: Totals, reading: Reading, folder: Path, name: str, options: ReadOptions) -> None:
    """Keep how episodes end, and tell what may not be as it seems unless the user has said what it is."""
    lengths, terminated = np.concatenate(totals.lengths), np.concatenate(totals.terminated)
    ends = DatasetEnds.of(lengths, terminated, reading.ends, reading.left_out.steps)
    ends.save(folder)
    for note in ends.notes:
        if note in reading.ends.notes or options.timeout_is_terminal is None:
            _LOG.warning("OfflineDataset: %s: %s See dataset.ends.", name, note)


def _require_known_groups(known: Mapping[str, Any], first: Episodes, name: str) -> None:
    """Raise unless the data have the groups of their card, in its order, which is that of the state."""
    if "sizes" not in known:
        return
    expected = TeamSpec.from_dict(known["sizes"]).groups
    if list(expected) != list(first.groups):
        raise DataError(
            f"OfflineDataset: {name}: the data have the groups {', '.join(first.groups)}, their card says "
            f"{', '.join(expected)}. Is it the card of these data?"
        )


def _chain(first: Episodes, rest: Iterator[Episodes]) -> Iterator[Episodes]:
    yield first
    yield from rest


def _convert_actions(block: Episodes, convention: ActionConvention | None, spec: AnyTeamSpec) -> Episodes:
    if convention not in (None, "raw"):
        for name, group in block.groups.items():
            if not group.is_discrete:
                sizes = spec.groups[name]
                group.action = convert_actions(group.action, convention, sizes.action_low, sizes.action_high)
    return block


def _require_sound(block: Episodes, totals: Totals, name: str) -> None:
    """Raise for values that would poison training."""
    found = list(totals.not_finite(block))
    ends = np.cumsum(block.length) - 1
    done = block.terminated | block.truncated
    if not done[ends].all():
        at = totals.steps - block.steps + int(ends[~done[ends]][0])
        found.append(f"an episode stops without an end in row {at}")
    if done.sum() > len(ends):
        found.append("an episode goes on after its end")
    if found:
        raise DataError(
            f"OfflineDataset: {name}: {'; '.join(found)}. Repair the data, or fetch the file again."
        )


def _require_in_range(card: DatasetCard, totals: Totals, name: str) -> None:
    """Raise for continuous actions beyond their bounds whose meaning nobody has said."""
    spec = card.spec
    for group, sizes in spec.groups.items():
        found = totals.groups[group]
        if found.outside:
            told = f" of group {group!r}" if len(spec.groups) > 1 else ""
            raise DataError(
                f"OfflineDataset: {name}: {found.outside} of {totals.steps} rows have actions{told} outside "
                f"{told_box(sizes.action_low, sizes.action_high)} ({found.lowest.min():.3g} to "
                f"{found.highest.max():.3g}). If the environment has other bounds, pass action_low= and "
                "action_high=. Or say what such actions mean: actions='raw' keeps them, 'clip' clips them, "
                "'scale' divides by 4."
            )


def _describe(
    known: Mapping[str, Any],
    first: Episodes,
    spec: AnyTeamSpec,
    totals: Totals,
    name: str,
    left_out: LeftOut,
) -> DatasetCard:
    """The card: what is known, and everything that only the data can say."""
    absent = [group for group, found in totals.groups.items() if not found.observation.count]
    if absent:
        raise DataError(
            f"OfflineDataset: {name}: no agent of {absent} ever takes part. Leave such a group out."
        )
    returns = np.concatenate(totals.returns)
    # Of the episodes as they were: rewards of steps that are left out count.
    whole_returns = left_out.whole_returns(returns)
    if not (np.abs(whole_returns) < LARGEST).all():
        raise DataError(
            f"OfflineDataset: {name}: rewards of rows that are left out are NaN, infinite or beyond "
            f"{LARGEST:g}. Repair the data, or fetch the file again."
        )
    facts: dict[str, Any] = {
        "name": name,
        "task": "",
        "tier": name,
        "sizes": spec.to_dict(),
        **known,
        "transitions": totals.steps,
        "episodes": len(returns),
        "actions_on_bound": {
            name: round(group.on_bound / group.entries, 6)
            for name, group in totals.groups.items()
            if group.on_bound
        },
        "reward_mean": float(totals.reward.mean[0]),
        "reward_std": float(totals.reward.std[0]),
        "behaviour_return": {"mean": float(whole_returns.mean()), "std": float(whole_returns.std())},
        "left_out_steps": left_out.steps,
        "observation_mean": _by_group(first, {g: t.observation.mean for g, t in totals.groups.items()}),
        "observation_std": _by_group(first, {g: t.observation.std for g, t in totals.groups.items()}),
    }
    if totals.state.count:
        facts |= {"state_mean": totals.state.mean.tolist(), "state_std": totals.state.std.tolist()}
    return DatasetCard(**facts)


def _by_group(block: Episodes, moments: Mapping[str, Array]) -> Any:
    """Plain values: of a plain team without the name of its group."""
    values = {group: one.tolist() for group, one in moments.items()}
    return next(iter(values.values())) if block.is_plain else values


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
