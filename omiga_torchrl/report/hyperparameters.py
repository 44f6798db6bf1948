"""Hyper-parameters of two starts of a run, compared by what they mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.renames import rename_hyperparameters


def changed_hyperparameters(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of the hyper-parameters that differ, sorted, those of sections as ``"<section>.<name>"``.

    Names of former versions are translated, and what an algorithm's arguments leave out is its default.

    Args:
        before: plain values, perhaps recorded by a former version.
        now: plain values.

    Examples:
        >>> recorded = {"algorithm": {"name": "bc", "hidden": [8]}}
        >>> changed_hyperparameters(
        ...     recorded, {"algorithm": {"name": "bc", "hidden_sizes": (8,), "burn_in": 0}}
        ... )
        []
        >>> changed_hyperparameters(recorded, {"algorithm": {"name": "bc", "hidden_sizes": [4]}})
        ['algorithm.hidden_sizes']
    """
    one, other = _flat(before), _flat(now)
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _flat(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Every value, as JSON stores it, by its full name."""
    sections = rename_hyperparameters(hyperparameters)
    algorithm = sections.get("algorithm")
    if isinstance(algorithm, Mapping) and algorithm.get("name") in ALGORITHMS:
        config = ALGORITHMS[algorithm["name"]].config
        sections["algorithm"] = {**{field.name: field.default for field in fields(config)}, **algorithm}
    values: dict[str, Any] = {}
    for section, value in json.loads(json.dumps(sections, default=str)).items():
        named = {f"{section}.{name}": one for name, one in value.items()} if isinstance(value, dict) else None
        values |= {section: value} if named is None else named
    return values
