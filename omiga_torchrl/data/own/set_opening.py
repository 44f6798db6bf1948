"""Datasets of datasets: how episodes are chosen, and how the result is opened."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts import Reading
from omiga_torchrl.data.own.own_source import OwnSource, open_once, streamed_source
from omiga_torchrl.data.own.parts import (
    choose_episodes,
    common_card,
    describe_part,
    lengths_and_returns,
    options_of,
    read_parts,
)
from omiga_torchrl.errors import DataError, require_number

Parts = Sequence[tuple[Any, Array | None, str]]
"""Datasets, the numbers of the episodes taken of each (``None``: all), and how they were chosen."""

# Of a name that is joined from those of its parts.
_LONGEST = 80


def _relabelled(block: Episodes, reward: Callable[[Episodes], Array]) -> Episodes:
    new = np.asarray(reward(block))
    if new.shape != block.reward.shape or new.dtype.kind not in "fiub":
        raise DataError(
            f"OfflineDataset.relabel_rewards: 'reward' has the shape {new.shape} and the type {new.dtype}; "
            f"expected one number for each of {block.steps} steps, [T] = {block.reward.shape}. Return an "
            "array of the team's rewards."
        )
    groups = {
        group: AgentArrays(**{key: value for key, value in arrays.arrays().items() if key != "reward"})
        for group, arrays in block.groups.items()
    }
    return block.replaced(groups=groups, reward=new.astype(np.float64))


def require_some(datasets: Sequence[Any]) -> None:
    """Raise unless there is a dataset."""
    if isinstance(datasets, str | Path) or not len(datasets):
        raise ValueError(f"OfflineDataset: datasets must be a list of at least one, got {datasets!r}.")


def open_part(cls: Any, one: Any, options: Mapping[str, Any]) -> Any:
    """A dataset as it is, or opened by its name or path.

    Args:
        cls: the class of datasets.
        one: the dataset, its name or path.
        options: to open it with.
    """
    return cls(one, **options) if isinstance(one, str | Path) else one


def same_scale(dataset: Any) -> dict[str, Any]:
    """The options that keep the scale of a dataset, and how it is sampled."""
    normalisation = dataset.normalisation
    return {
        "reward_scale": dataset.reward_scale,
        "normalise_observations": False if normalisation is None else normalisation,
        "batch_size": dataset._batch_size,
        "slice_len": dataset.slice_len,
    }


def mixed_parts(shares: Mapping[Any, float], transitions: int | None, seed: int) -> Parts:
    """Random episodes of every dataset, so that they have these shares of the transitions.

    Args:
        shares: datasets to their shares.
        transitions: of the whole; ``None`` means as many as there are.
        seed: seed of the choice.
    """
    for dataset, share in shares.items():
        require_number("OfflineDataset.mix", "> 0", **{f"the share of {dataset.card.name}": share})
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(
            f"OfflineDataset.mix: the shares sum up to {sum(shares.values()):g}; expected 1. Divide them by "
            "that."
        )
    lengths = {one: lengths_and_returns(one)[0] for one in shares}
    most = min(lengths[one].sum() / share for one, share in shares.items())
    if transitions is not None and not 1 <= transitions <= most:
        raise ValueError(
            f"OfflineDataset.mix: transitions is {transitions}; expected 1 to {int(most)}, as no episode is "
            "taken twice. Take fewer, or other shares."
        )
    total = most if transitions is None else transitions
    parts: list[tuple[Any, Array | None, str]] = []
    for one, share in shares.items():
        part = min(1.0, share * total / lengths[one].sum())
        (chosen,) = choose_episodes(lengths[one], [part], seed)
        parts.append((one, chosen, f"share={share:g} seed={seed}"))
    return parts


def relabelled(
    dataset: Any, reward: Callable[[Episodes], Array], name: str, options: Mapping[str, Any]
) -> Any:
    """A dataset with other rewards; see :meth:`omiga_torchrl.data.OfflineDataset.relabel_rewards`."""

    def read() -> Reading:
        reading = read_parts([(dataset, None)])
        return Reading(_relabelled(block, reward) for block in reading.blocks)

    others = {"root": dataset.root, **options}
    card = dict(others.pop("card", None) or {})
    unknown = {"random_return": None, "expert_return": None, "best_checkpoint_return": None}
    known = {
        **common_card([dataset], {}),
        "team_reward": "",
        **unknown,
        "tier": f"{dataset.card.tier}-relabelled",
        **card,
        "layout": "set",
        "parts": [describe_part(dataset, None, "rewards relabelled")],
    }
    # The function has no checksum: what it gives has.
    reading = options_of(dataset, rewards=False)
    source = streamed_source(
        name or f"{dataset.card.name}-relabelled", reading, known, read, Path(others["root"])
    )
    return open_once(type(dataset), source, **others)


def choose(
    dataset: Any, fraction: float | None, episodes: int | Sequence[int] | None, top: float | None, seed: int
) -> tuple[Array, str]:
    """Numbers of the chosen episodes, and how they were chosen; see :meth:`OfflineDataset.subset`."""
    given = {"fraction": fraction, "episodes": episodes, "top": top}
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise ValueError(
            f"OfflineDataset.subset: exactly one of fraction, episodes and top must be given, got {chosen}."
        )
    length, returns = lengths_and_returns(dataset)
    for name in ("fraction", "top"):
        if name in chosen:
            require_number("OfflineDataset.subset", "in [0, 1]", **{name: chosen[name]})
    if fraction is not None:
        return choose_episodes(length, [fraction], seed)[0], f"fraction={fraction:g} seed={seed}"
    if top is not None:
        count = max(1, round(top * len(length)))
        return np.sort(np.argsort(-returns, kind="stable")[:count]), f"top={top:g}"
    if isinstance(episodes, int | np.integer):
        if not 1 <= episodes <= len(length):
            raise ValueError(
                f"OfflineDataset.subset: episodes is {episodes}; expected 1 to {len(length)}, how many "
                "there are."
            )
        order = np.random.default_rng(seed).permutation(len(length))
        return np.sort(order[:episodes]), f"episodes={episodes} seed={seed}"
    numbers = np.unique(np.asarray(episodes))
    if not len(numbers) or numbers.dtype.kind not in "iu" or numbers[0] < 0 or numbers[-1] >= len(length):
        raise ValueError(
            f"OfflineDataset.subset: episodes is {episodes!r}; expected numbers from 0 to {len(length) - 1}."
        )
    digest = hashlib.sha256(numbers.astype(np.int64).tobytes()).hexdigest()
    return numbers, f"episodes={digest[:16]}"


def open_set(cls: Any, parts: Parts, name: str, options: Mapping[str, Any]) -> Any:
    """The dataset of these parts; its checksum follows from theirs and from what is taken of them."""
    datasets = [one for one, _, _ in parts]
    options = {"root": datasets[0].root, **options}
    card = dict(options.pop("card", None) or {})
    described = [describe_part(*part) for part in parts]
    label = name or _joined(described, "name")
    known = {
        **common_card(datasets, card),
        "layout": "set",
        "tier": card.get("tier") or (name or _joined(described, "tier")),
        "parts": described,
    }
    content = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    source = OwnSource(
        label,
        options_of(datasets[0]),
        {**known, "data_sha256": content},
        lambda: read_parts([(one, chosen) for one, chosen, _ in parts]),
    )
    return open_once(cls, source, **options)


def _joined(parts: Sequence[Mapping[str, Any]], field: str) -> str:
    """Names of the parts with how they were chosen, in one that fits into a file's."""
    names = []
    for part in parts:
        how = re.sub(r"[^\w.]+", "-", part["how"])
        names.append(str(part[field]) if how == "all" else f"{part[field]}-{how}")
    joined = "+".join(names)
    return joined if len(joined) <= _LONGEST else f"{names[0][:_LONGEST]}+{len(names) - 1}-more"
