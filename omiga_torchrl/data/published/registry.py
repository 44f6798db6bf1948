"""The published datasets by name, e.g. ``"omiga:hopper-3x1/medium"``.

The facts are in ``assets/published/*.json``, one file per family. A file has

- ``family`` and ``name``, the template of the names in it, e.g. ``"{group}/{tier}"``;
- ``defaults``: fields of :class:`PublishedDataset`, and of its
  :class:`omiga_torchrl.data.ReadOptions`, that all its datasets share;
- ``groups``: fields that the datasets of a task share, and below ``tiers`` those of one dataset.

The later overrides the earlier. Texts may hold ``{group}``, ``{tier}``, ``{Tier}`` (capitalised)
and what is in ``variables``.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from omiga_torchrl.data.layouts import READ_OPTIONS, ReadOptions
from omiga_torchrl.data.published.card import Archive, Link, PublishedDataset
from omiga_torchrl.errors import DataError, unknown_name

__all__ = ["PublishedDataset", "normalised_score", "published_dataset", "published_datasets", "read_family"]

_ASSETS = Path(__file__).parents[2] / "assets" / "published"

Returns = TypeVar("Returns")  # a number, an array or a tensor


def published_datasets(prefix: str | None = None) -> list[str]:
    """Names of the published datasets that this library knows.

    Args:
        prefix: only names that begin so, e.g. ``"omiga:"``; ``None`` means all.

    Examples:
        >>> published_datasets("omiga:ant")
        ['omiga:ant-2x4/expert', 'omiga:ant-2x4/medium', 'omiga:ant-2x4/medium-expert', \
'omiga:ant-2x4/medium-replay']
    """
    return sorted(name for name in _registry() if name.startswith(prefix or ""))


def published_dataset(name: str) -> PublishedDataset:
    """The published dataset called ``name``.

    Args:
        name: e.g. ``"omiga:hopper-3x1/medium"``.

    Raises:
        ValueError: unknown name; lists those that are most like it.

    Examples:
        >>> published_dataset("d4rl:hopper-medium-v2").expert_return
        3234.3
    """
    registry = _registry()
    if name in registry:
        return registry[name]
    # All of them would fill several screens.
    near = difflib.get_close_matches(name, registry, n=6, cutoff=0.5)
    families = sorted({f"{known.partition(':')[0]}:..." for known in registry})
    raise unknown_name("published_dataset", "dataset", name, near or families)


def normalised_score(returns: Returns, random_return: float, expert_return: float) -> Returns:
    """Returns on the scale on which a random policy has 0 and the expert 1.

    Papers print 100 times this.

    Args:
        returns: raw episode returns: a number, an array or a tensor.
        random_return: the return that counts as 0.
        expert_return: the return that counts as 1.

    Raises:
        ValueError: the two are equal, or not finite.

    Examples:
        >>> normalised_score(150.0, 100.0, 200.0)
        0.5
    """
    span = expert_return - random_return
    if not math.isfinite(span) or not span:
        raise ValueError(
            f"normalised_score: random_return is {random_return}, expert_return {expert_return}; "
            "expected two different finite numbers."
        )
    scaled: Any = returns
    return (scaled - random_return) / span


@lru_cache(maxsize=1)
def _registry() -> dict[str, PublishedDataset]:
    return {one.name: one for path in sorted(_ASSETS.glob("*.json")) for one in read_family(path)}


def read_family(path: Path) -> Iterator[PublishedDataset]:
    """The datasets of one file of facts; the module describes its form.

    Raises:
        DataError: not of that form, or impossible values.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        for group, shared in facts["groups"].items():
            for tier, own in shared["tiers"].items():
                yield _dataset(facts, group, tier, {**facts["defaults"], **shared, **own})
    except (json.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"read_family: {path.name} must describe a family of datasets as the files beside it do, got "
            f"{type(error).__name__}: {error}. Compare it with one of them."
        ) from error


def _dataset(facts: dict[str, Any], group: str, tier: str, fields: dict[str, Any]) -> PublishedDataset:
    words = {"group": group, "tier": tier, "Tier": tier.title(), **fields.pop("variables", {})}
    del fields["tiers"]
    filled = _fill({"tier": tier, **fields}, words)
    filled["sources"] = tuple(Link(**link) for link in filled["sources"])
    if filled.get("archive"):
        filled["archive"] = Archive(**filled["archive"])
    read = ReadOptions(**{name: filled.pop(name) for name in READ_OPTIONS if name in filled})
    return PublishedDataset(read=read, name=f"{facts['family']}:{facts['name'].format(**words)}", **filled)


def _fill(value: Any, words: Mapping[str, str]) -> Any:
    """``value`` with the words put into every text in it."""
    if isinstance(value, str):
        return value.format(**words)
    if isinstance(value, dict):
        return {key: _fill(one, words) for key, one in value.items()}
    return [_fill(one, words) for one in value] if isinstance(value, list) else value
