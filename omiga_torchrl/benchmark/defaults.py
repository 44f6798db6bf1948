"""Defaults behind records: a run's key is of the settings asked for, whatever the others were when it ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from omiga_torchrl.benchmark.cells import RunSpec
from omiga_torchrl.benchmark.records import Record
from omiga_torchrl.errors import DataError

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


def require_one_default(records: Iterable[Record]) -> None:
    """Checks that runs of one key, apart from cell and seed, had one value of every setting.

    Args:
        records: of one report.

    Raises:
        DataError: versions with different defaults have made them; names the settings.
    """
    first: dict[tuple[str, str], Record] = {}
    for one in records:
        known = first.setdefault(_asked(one.key), one)
        changes = _changes(known.values["config"], one.values["config"])
        if changes:
            raise DataError(
                f"benchmark: {known.path} and {one.path} were asked for with the same settings, but versions "
                f"with different defaults have made them: {_told(changes, ' and')}. Move those of one "
                f"version, and their folders in runs/, out of the way; the suite's command runs them again."
            )


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
