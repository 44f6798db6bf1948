"""`Selection`: policies ranked by their fitted values, with what can be said about the ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from omiga_torchrl.report.table import Style, format_cells, format_interval, format_number
from omiga_torchrl.selection.calibration import Calibration
from omiga_torchrl.selection.scores import CheapScores

COLUMNS = (
    *("rank", "policy", "fitted value", "lowest to highest seed", "check", "coverage"),
    *("TD error", "mean value", "soft OPC", "log likelihood", "weight ESS"),
)


@dataclass(frozen=True)
class ScoredPolicy:
    """A candidate with its scores.

    Attributes:
        name: folder of its run and step.
        run: path of the run's folder.
        step: gradient steps of its training.
        is_last: whether it is the policy that its run ended with.
        coverage: share of its actions that have a like in the data.
        values: fitted values by critic and seed; empty without coverage.
        cheap: scores by its own networks.
    """

    name: str
    run: str
    step: int
    is_last: bool
    coverage: float
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    cheap: CheapScores = field(default_factory=CheapScores)

    def mean(self, critic: str) -> float:
        """Mean fitted value over seeds; NaN without one."""
        return float(np.mean(self.values[critic])) if critic in self.values else math.nan

    def lowest(self, critic: str) -> float:
        """Lowest fitted value of all seeds; NaN without one.

        Where a policy leaves the data its critics extrapolate, each seed in its own way, and mostly upwards:
        the lowest of an ensemble is the least wrong one.
        """
        return float(np.min(self.values[critic])) if critic in self.values else math.nan


@dataclass(frozen=True)
class Selection:
    """The candidates of one task and dataset, best first; those without coverage come last, without a rank.

    Attributes:
        policies: ranked by the lowest fitted value of all seeds, of the first critic.
        critics: names of the critics; the first ranks, the others are checks.
        calibration: of the behaviour's own values, by critic.
        coverage_of_data: that of the data's own actions.
        least_coverage: that policies must have to be ranked.
        notes: what was left out.
        settings: how it was made.

    Examples:
        >>> good = ScoredPolicy("b@9", "b", 9, True, 0.9, {"linear": [3.0, 3.2]})
        >>> bad = ScoredPolicy("a@9", "a", 9, True, 0.9, {"linear": [1.0, 1.1]})
        >>> selection = Selection([bad, good], ["linear"], {})
        >>> selection.chosen.name, selection.warnings
        ('b@9', [])
    """

    policies: Sequence[ScoredPolicy]
    critics: Sequence[str]
    calibration: Mapping[str, Calibration]
    coverage_of_data: float = 1.0
    least_coverage: float = 0.0
    notes: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self.critics[0]

        def key(one: ScoredPolicy) -> tuple[bool, float]:
            value = one.lowest(first)
            return not math.isfinite(value), -value if math.isfinite(value) else 0.0

        object.__setattr__(self, "policies", sorted(self.policies, key=key))

    @property
    def ranked(self) -> list[ScoredPolicy]:
        """The policies that have a rank, best first."""
        return [one for one in self.policies if math.isfinite(one.lowest(self.critics[0]))]

    @property
    def chosen(self) -> ScoredPolicy:
        """The policy whose lowest value is the highest."""
        return self.ranked[0]

    @property
    def ties(self) -> list[str]:
        """Policies whose gap to the chosen one is within its spread over the seeds, which share batches.

        The gap may be negative: a policy with a higher mean that its seeds do not agree on.
        """
        best = np.array(self.chosen.values[self.critics[0]])
        found = []
        for other in self.ranked[1:]:
            gap = best - np.array(other.values[self.critics[0]])
            if len(gap) > 1 and gap.mean() <= gap.std(ddof=1):
                found.append(other.name)
        return found

    @property
    def warnings(self) -> list[str]:
        """Reasons against the ranking."""
        first, found = self.critics[0], []
        left = [f"{one.name} ({one.coverage:.2f})" for one in self.policies if not one.values]
        if left:
            found.append(
                f"the data do not cover the actions of {', '.join(left)}, of which at least "
                f"{self.least_coverage:.2f} must have a like in the data: they are not ranked"
            )
        if len(self.chosen.values[first]) == 1:
            found.append("with one seed the spread of the fits is not known: take at least 3")
        if self.ties:
            found.append(
                f"the spread over seeds exceeds the gap between {self.chosen.name} and "
                f"{len(self.ties)} others: {', '.join(self.ties)}"
            )
        for critic, one in self.calibration.items():
            if abs(one.error) > one.spread:
                found.append(
                    f"the {critic} critic is off on the behaviour itself by {one.error:.3g}, more than the "
                    f"spread {one.spread:.3g} of its returns: more steps, or other settings"
                )
        for critic in self.critics[1:]:
            place = sorted((one.lowest(critic) for one in self.ranked), reverse=True)
            rank = place.index(self.chosen.lowest(critic)) + 1
            if rank > max(1, len(place) // 4):
                found.append(f"the {critic} critic has {self.chosen.name} at place {rank} of {len(place)}")
        return found

    def table(self, style: Style = "markdown") -> str:
        """The policies as a table.

        Args:
            style: ``"markdown"`` or ``"terminal"``.
        """
        ranks = {id(one): str(rank) for rank, one in enumerate(self.ranked, 1)}
        lines = [list(COLUMNS)]
        for one in self.policies:
            values = one.values.get(self.critics[0], [])
            checks = [format_number(one.mean(name)) for name in self.critics[1:] if name in one.values]
            lines.append(
                [
                    *(ranks.get(id(one), "-"), one.name),
                    format_number(one.mean(self.critics[0]) if values else None),
                    format_interval((min(values), max(values)) if len(values) > 1 else None),
                    *(" ".join(checks), f"{one.coverage:.2f}"),
                    *(format_number(value) for value in vars(one.cheap).values()),
                ]
            )
        return format_cells(lines, style, names=2)

    def to_dict(self) -> dict[str, Any]:
        """All records as plain values."""
        return {
            "chosen": self.chosen.name,
            "warnings": self.warnings,
            "ties": self.ties,
            **asdict(self),
        }
