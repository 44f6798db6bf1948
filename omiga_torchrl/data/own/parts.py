"""Episodes of datasets chosen, put together and described: what sets of datasets are made of."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.blocks import first_steps
from omiga_torchrl.data.ends import KINDS, LAST_STEPS
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts import Reading, ReadOptions
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError

if TYPE_CHECKING:
    from omiga_torchrl.data.dataset import OfflineDataset

# Fields of a card in which the parts of a set must not differ.
_SAME: Final = (
    "task", "task_kwargs", "team_reward", "action_convention", "observation_preprocessing",
    "timeout_is_terminal",
)  # fmt: skip
# Fields that are kept where they are equal.
_KEPT: Final = ("random_return", "expert_return", "best_checkpoint_return")


def lengths_and_returns(dataset: OfflineDataset) -> tuple[Array, Array]:
    """Steps and raw return of every stored episode `[E]`, rewards of steps that were left out included.

    Args:
        dataset: the dataset.

    Examples:
        >>> from omiga_torchrl.data import OfflineDataset
        >>> length, returns = lengths_and_returns(OfflineDataset("vmas/navigation/mixed"))
        >>> int(length.sum()), round(float(returns.mean()), 4)
        (30261, 1.0406)
    """
    data = load_ted(dataset.data_path)
    starts = first_steps(data[keys.EPISODE]).nonzero().flatten().numpy()
    reward = data["next", keys.REWARD].as_subclass(torch.Tensor).numpy().reshape(-1).astype(np.float64)
    (left_out,) = LeftOut.load(dataset.data_path, len(starts)).rewards
    return np.diff(starts, append=len(reward)), np.add.reduceat(reward, starts) + left_out


def choose_episodes(length: Array, shares: Sequence[float], seed: int) -> list[Array]:
    """Random episodes without repetition, of about these shares of all steps: their numbers, in order.

    Args:
        length: steps of every episode `[E]`.
        shares: of the steps, together at most 1.
        seed: seed of the choice.

    Raises:
        DataError: there are too few episodes for one in each share.

    Examples:
        >>> [len(one) for one in choose_episodes(np.full(10, 5), (0.8, 0.2), seed=0)]
        [8, 2]
    """
    order = np.random.default_rng(seed).permutation(len(length))
    ends = np.concatenate([[0], np.cumsum(length[order])])
    wanted = np.cumsum([0.0, *shares]) * ends[-1]
    # The number of episodes whose steps are nearest to what is wanted.
    borders = [int(np.abs(ends - steps).argmin()) for steps in wanted]
    if min(np.diff(borders)) < 1:
        raise DataError(
            f"OfflineDataset: {len(length)} episodes are too few for the shares {tuple(shares)}; one of "
            "them would be empty. Choose larger shares."
        )
    return [np.sort(order[a:b]) for a, b in itertools.pairwise(borders)]


def take_episodes(blocks: Iterator[Episodes], chosen: Array) -> Iterator[Episodes]:
    """The chosen episodes of all blocks.

    Args:
        blocks: in order.
        chosen: numbers of episodes, in order.
    """
    first = 0
    for block in blocks:
        mask = np.isin(np.arange(first, first + len(block)), chosen)
        first += len(block)
        if mask.any():
            yield block if mask.all() else _masked(block, mask)


def _masked(block: Episodes, mask: Array) -> Episodes:
    rows, steps = np.repeat(mask, block.length + 1), np.repeat(mask, block.length)
    return Episodes(
        groups={name: group.part(rows, steps) for name, group in block.groups.items()},
        reward=block.reward[steps],
        terminated=block.terminated[steps],
        truncated=block.truncated[steps],
        length=block.length[mask],
        state=None if block.state is None else block.state[rows],
    )


def read_parts(parts: Sequence[tuple[OfflineDataset, Array | None]]) -> Reading:
    """The episodes of several datasets, one after the other, with the same arrays.

    Args:
        parts: datasets of one task, each with the numbers of the episodes to take, or ``None`` for all.
    """
    has_state = any(one.card.state_mean for one, _ in parts)
    masked = {
        group for one, _ in parts for group in one.spec.groups if (group, "agent_mask") in one.data.keys(True)
    }

    def alike(block: Episodes) -> Episodes:
        groups = {
            name: AgentArrays(**{**group.arrays(), "agent_mask": np.ones(group.observation.shape[:2], bool)})
            if name in masked and group.agent_mask is None
            else group
            for name, group in block.groups.items()
        }
        return block.replaced(groups=groups, state=block.joint_state() if has_state else None)

    def blocks() -> Iterator[Episodes]:
        for dataset, chosen in parts:
            taken = dataset.blocks() if chosen is None else take_episodes(dataset.blocks(), chosen)
            yield from map(alike, taken)

    return Reading(blocks(), left_out=_left_out(parts), ends=_ends(parts))


def _ends(parts: Sequence[tuple[OfflineDataset, Array | None]]) -> EndNotes:
    """Ends of the episodes that are taken; rows are dropped from whole datasets."""
    notes = EndNotes()
    for dataset, chosen in parts:
        ends = dataset.ends
        cut = ends.kind == KINDS.index("cut")
        notes.cut.append(cut if chosen is None else cut[chosen])
        if chosen is None:
            for what, rows in ends.dropped.items():
                if what != LAST_STEPS:  # counted as left out
                    notes.drop(what, rows)
    return notes


def _left_out(parts: Sequence[tuple[OfflineDataset, Array | None]]) -> LeftOut:
    """The steps left out of the episodes that are taken."""
    whole = LeftOut()
    for dataset, chosen in parts:
        part = LeftOut.load(dataset.data_path, dataset.card.episodes)
        if chosen is None:
            whole.single += part.single
        whole.rewards += [one if chosen is None else one[chosen] for one in part.rewards]
        whole.dropped += [one if chosen is None else one[chosen] for one in part.dropped]
    return whole


def identity(dataset: OfflineDataset) -> str:
    """A checksum of what a dataset holds: of its files or content, and of how they were read."""
    told = f"{dataset.source.fingerprint()} {dataset.source.options!r}"
    return hashlib.sha256(told.encode()).hexdigest()


def describe_part(dataset: OfflineDataset, chosen: Array | None, how: str) -> dict[str, Any]:
    """The entry of one part on the card of a set.

    Args:
        dataset: the part.
        chosen: numbers of the episodes that are taken; ``None`` means all.
        how: how they were chosen.
    """
    length, _ = lengths_and_returns(dataset)
    length = length if chosen is None else length[chosen]
    facts = {
        "name": dataset.card.name,
        "tier": dataset.card.tier,
        "fingerprint": identity(dataset),
        "how": how,
    }
    return {**facts, "transitions": int(length.sum()), "episodes": len(length)}


def options_of(dataset: OfflineDataset, *, rewards: bool = True) -> ReadOptions:
    """How the raw episodes of a converted dataset are read: nothing is converted twice.

    Args:
        dataset: the dataset.

    Keyword Args:
        rewards: whether they are the dataset's.
    """
    raw = dataset.card.action_convention == "raw"
    rule = dataset.source.options.team_reward if rewards else None
    return ReadOptions(actions="raw" if raw else None, team_reward=rule)


def common_card(datasets: Sequence[OfflineDataset], given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the card of several datasets together.

    Args:
        datasets: the parts.
        given: what the user says of the whole; the parts may differ in that.

    Raises:
        DataError: they are of other sizes or tasks, or their rewards or actions mean something else.
    """
    first, found = datasets[0], []
    for one in datasets[1:]:
        if one.spec != first.spec:
            found.append(f"{one.card.name!r} is a {one.spec}, {first.card.name!r} a {first.spec}")
    known: dict[str, Any] = {"sizes": first.card.sizes}
    for name in _SAME:
        values = {one.card.name: getattr(one.card, name) for one in datasets}
        if name in given:
            continue
        if any(value != getattr(first.card, name) for value in values.values()):
            found.append(f"{name} is {values}")
        known[name] = getattr(first.card, name)
    if found:
        raise DataError(
            f"OfflineDataset: the parts differ: {'; '.join(found)}. Put data of one task together, or say "
            f"what holds with card={...}."
        )
    for name in _KEPT:
        same = all(getattr(one.card, name) == getattr(first.card, name) for one in datasets)
        known[name] = getattr(first.card, name) if same else None
    return {**known, **given}
