"""`BenchmarkProtocol`: how all runs of a suite are trained and judged, by name and version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from omiga_torchrl.benchmark.records import Record
from omiga_torchrl.errors import DataError, SettingsError, require_count, unknown_name
from omiga_torchrl.evaluation import Protocol


@dataclass(frozen=True)
class BenchmarkProtocol:
    """Conditions that the runs of a table share; ``docs/protocol.md`` says what is the same in all protocols.

    Attributes:
        name: stored in every record; a report holds records of one protocol.
        version: raised whenever a value below changes.
        seeds: seeds of training; all differ from ``tuning_seed``.
        evaluation: episodes, interval and seed of evaluations.
        tuning_trials: settings tried for each algorithm, the same number for all; 0: none was tuned.
        tuning_seed: the training seed of these trials.

    Raises:
        SettingsError: no seeds, one that is there twice, or that of the tuning among them.

    Examples:
        >>> BenchmarkProtocol("standard", seeds=(0, 1, 2)).to_record()["final_episodes"]
        300
    """

    name: str
    version: int = 1
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    evaluation: Protocol = field(default_factory=Protocol)
    tuning_trials: int = 0
    tuning_seed: int = 1_000

    def __post_init__(self) -> None:
        require_count("protocol", 1, version=self.version)
        for i, seed in enumerate(self.seeds):
            require_count("protocol", 0, **{f"seeds[{i}]": seed})
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or self.tuning_seed in self.seeds:
            raise SettingsError(
                f"protocol: seeds is {list(self.seeds)}; expected at least one, each once, and not the "
                f"tuning seed {self.tuning_seed}."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BenchmarkProtocol:
        """The protocol in plain values, as in ``recipes/configs/protocol``.

        Args:
            values: the fields; ``evaluation`` is a mapping.

        Raises:
            SettingsError: an unknown field; names the nearest.
        """
        known = [one.name for one in fields(cls)]
        for name in values:
            if name not in known:
                raise SettingsError(str(unknown_name("protocol", "key", name, known)))
        given = {**values, "evaluation": evaluation_protocol(values.get("evaluation", {}))}
        return cls(**{**given, "seeds": tuple(values.get("seeds", cls.seeds))})

    def to_record(self, evaluation: Protocol | None = None) -> dict[str, Any]:
        """Plain values for a record.

        Args:
            evaluation: of the cell; ``None`` is the protocol's.
        """
        tuning = {"tuning_trials": self.tuning_trials, "tuning_seed": self.tuning_seed}
        return {"name": self.name, "version": self.version, **asdict(evaluation or self.evaluation), **tuning}


def evaluation_protocol(values: Mapping[str, Any], base: Protocol | None = None) -> Protocol:
    """An evaluation protocol in plain values.

    Args:
        values: fields of :class:`omiga_torchrl.evaluation.Protocol`.
        base: has what is left out; ``None``: the defaults.

    Raises:
        SettingsError: an unknown field; names the nearest.
    """
    known = [one.name for one in fields(Protocol)]
    for name in values:
        if name not in known:
            raise SettingsError(str(unknown_name("protocol", "key of evaluation", name, known)))
    return Protocol(**{**asdict(base or Protocol()), **values})


def require_one_protocol(records: Iterable[Record]) -> Mapping[str, Any]:
    """The protocol of records that may be in one report.

    Args:
        records: at least one.

    Returns:
        Name and version.

    Raises:
        DataError: there are several protocols, or a cell was judged in several ways.
    """
    kinds: dict[str, list[str]] = {}
    cells: dict[str, dict[str, str]] = {}
    for one in records:
        protocol = dict(one.values["protocol"])
        kinds.setdefault(f"{protocol.get('name')} {protocol.get('version')}", []).append(one.key)
        cells.setdefault(one.cell, {})[json.dumps(protocol, sort_keys=True)] = one.key
    if len(kinds) != 1:
        told = ", ".join(f"{kind!r} ({len(keys)} records, e.g. {keys[0]})" for kind, keys in kinds.items())
        raise DataError(
            f"benchmark: a report needs records of one protocol, got {told or 'no records'}. Keep each "
            f"protocol in a folder of its own."
        )
    for cell, found in cells.items():
        if len(found) > 1:
            raise DataError(
                f"benchmark: runs of {cell} were judged in {len(found)} ways, e.g. "
                f"{' and '.join(list(found.values())[:2])}. Keep them in folders of their own."
            )
    name, _, version = next(iter(kinds)).rpartition(" ")
    return {"name": name, "version": int(version)}
