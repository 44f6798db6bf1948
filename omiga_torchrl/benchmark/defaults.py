"""Defaults behind records: a run's key is of the settings asked for, whatever the others were when it ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from omiga_torchrl.benchmark.cells import RunSpec
from omiga_torchrl.benchmark.records import Record

# Of a run's configuration: what its result depends on, besides the data.
_SECTIONS: Final = ("algorithm", "trainer", "read", "reward_scale", "normalise_observations")
_NO_MATTER: Final = {
    "algorithm.label",
    *(f"trainer.{name}" for name in ("progress_bar", "log_interval", "save_interval", "keep_checkpoints")),
}
Resolve = Callable[[Sequence[str]], Mapping[str, Any]]


def settings_used(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that a run's result depends on, by their names on the command line.

    Args:
        config: whole configuration of ``recipes/train.py``.

    Examples:
        >>> settings_used({"algorithm": {"alpha": 3.0}, "reward_scale": "std", "out": "runs"})
        {'algorithm.alpha': 3.0, 'reward_scale': 'std'}
    """
    found: dict[str, Any] = {}
    for name in _SECTIONS:
        value = config.get(name)
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": one for key, one in value.items()}
        elif name in config:
            found[name] = value
    return {name: value for name, value in found.items() if name not in _NO_MATTER}


def mixed_defaults(records: Iterable[Record]) -> list[str]:
    """Sentences on runs of one key, apart from cell and seed, that had several values of a setting.

    Whether the setting made a difference is not known here: a report has them in one row, and says so.

    Args:
        records: of one report.
    """
    first: dict[tuple[str, str], Record] = {}
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for one in records:
        known = first.setdefault(_asked(one.key), one)
        changes = _changes(known.values["config"], one.values["config"])
        if changes:
            found.setdefault((_asked(one.key)[0], _told(changes, " and")), (known.key, one.key))
    return [
        f"Runs of {label} are of versions with different defaults: {told}, e.g. {' and '.join(keys)}. To "
        f"have them alike, move those of one version, and their folders in runs/, out of the way; the "
        f"suite's command runs them again."
        for (label, told), keys in found.items()
    ]


def changed_defaults(
    records: Iterable[Record], specs: Iterable[tuple[RunSpec, str]], resolve: Resolve
) -> list[str]:
    """Sentences on records that were made with other defaults than the present ones, one for each label.

    Settings that only one of the versions has are not compared.

    Args:
        records: that are there.
        specs: runs of a suite, with their keys.
        resolve: from overrides of ``recipes/train.py`` to its whole configuration.
    """
    runs = {key: spec for spec, key in specs}
    present: dict[tuple[str, str], Mapping[str, Any]] = {}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in (one for one in records if one.key in runs):
        asked = _asked(one.key)
        if asked not in present:
            present[asked] = resolve(runs[one.key].overrides)
        changes = _changes(one.values["config"], present[asked])
        if changes:
            found[asked[0], _told(changes, ", now")].append(one.key)
    return [
        f"{len(keys)} records of {label} count as done, but were made with other defaults than those of this "
        f"version: {told}. To run them again, move them and their folders in runs/ out of the way: "
        f"{', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}."
        for (label, told), keys in found.items()
    ]


def _asked(key: str) -> tuple[str, str]:
    label, *_, digest = key.split("__")
    return label, digest


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    before, after = settings_used(old), settings_used(new)
    shared = before.keys() & after.keys()
    return {name: (before[name], after[name]) for name in sorted(shared) if before[name] != after[name]}


def _told(changes: Mapping[str, tuple[Any, Any]], link: str) -> str:
    return ", ".join(f"{name} {old!r}{link} {new!r}" for name, (old, new) in changes.items())
