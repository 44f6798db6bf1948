"""Times of two ways to do the same, measured side by side in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Comparison:
    """Seconds per step of two ways to do the same.

    Attributes:
        name: what was compared.
        ours: seconds per step, library.
        plain: seconds per step, plain code.
        ratio: median over the blocks of ours / plain.
        against: what the second way is called.
    """

    name: str
    ours: float
    plain: float
    ratio: float
    against: str = "plain"

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.ours * 1e3:.3f} ms, {self.against} {self.plain * 1e3:.3f} ms, "
            f"ratio {self.ratio:.3f}"
        )


def compare(
    name: str, ours: Callable[[], object], plain: Callable[[], object], *, steps: int, blocks: int
) -> Comparison:
    """Times two blocks of ``steps`` steps alternately, so that both meet the same machine.

    Args:
        name: for the result.
        ours: runs ``steps`` steps.
        plain: runs ``steps`` steps.
        steps: steps per block.
        blocks: pairs of blocks; one more pair warms up.

    Examples:
        >>> compare("sum", lambda: sum(range(9)), lambda: sum(range(9)), steps=1, blocks=1).name
        'sum'
    """
    times: list[tuple[float, float]] = []
    for block in range(blocks + 1):
        pair = {}
        # The order alternates too: whoever runs second may find a faster clock.
        for run in (ours, plain) if block % 2 else (plain, ours):
            start = time.perf_counter()
            run()
            pair[run] = (time.perf_counter() - start) / steps
        times.append((pair[ours], pair[plain]))
    times = times[1:]
    return Comparison(
        name,
        min(mine for mine, _ in times),
        min(theirs for _, theirs in times),
        median(mine / theirs for mine, theirs in times),
    )


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    *,
    steps: int,
    blocks: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median time of a call of several functions, timed in turn, so that all meet the same machine.

    Args:
        functions: by their names.
        steps: calls in a block.
        blocks: timed blocks of each.
        clock: seconds: by default of the processor, all threads of the process included.

    Returns:
        Milliseconds a call.

    Examples:
        >>> times = interleaved({"nothing": lambda: None}, steps=10, blocks=3)
        >>> times["nothing"] < 1
        True
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(blocks):
        for name, function in functions.items():
            start = clock()
            for _ in range(steps):
                function()
            times[name].append((clock() - start) / steps * 1e3)
    return {name: median(values) for name, values in times.items()}


@dataclass(frozen=True)
class SpeedRatio:
    """Ratio of two times or speeds of environments, and the bar that it has to meet.

    Attributes:
        name: what was compared.
        value: median of the ratios over the blocks.
        bar: the limit.
        at_least: whether the bar is a lower limit.
        speeds: environment steps per second of both sides, best block of each.
    """

    name: str
    value: float
    bar: float
    at_least: bool
    speeds: tuple[float, float]

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def __str__(self) -> str:
        sign, (ours, theirs) = ">=" if self.at_least else "<=", self.speeds
        return (
            f"{self.name}: {ours:,.0f} to {theirs:,.0f} steps/s, ratio {self.value:.2f} "
            f"(bar {sign} {self.bar:g}: {'met' if self.met else 'MISSED'})"
        )


def speed_ratio(
    name: str, ours: Callable[[], int], theirs: Callable[[], int], bar: float, *, blocks: int
) -> SpeedRatio:
    """Times both alternately, so that both meet the same machine; ratio of their speeds.

    Args:
        name: for the result.
        ours: runs a block and says how many environment steps it was.
        theirs: the same on the other route.
        bar: lower limit of the ratio.
        blocks: pairs of blocks; one more pair warms up.

    Examples:
        >>> def run():
        ...     return len([number**2 for number in range(1000)])
        >>> speed_ratio("squares", run, run, 1.0, blocks=1).name
        'squares'
    """
    speeds = []
    for block in range(blocks + 1):
        pair = {}
        for run in (ours, theirs) if block % 2 else (theirs, ours):
            start = time.process_time()
            steps = run()
            pair[run] = steps / (time.process_time() - start)
        speeds.append((pair[ours], pair[theirs]))
    best = max(mine for mine, _ in speeds[1:]), max(other for _, other in speeds[1:])
    return SpeedRatio(name, median(mine / other for mine, other in speeds[1:]), bar, True, best)
