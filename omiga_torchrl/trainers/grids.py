"""Runs that train together, from a command line: seeds and lists of an algorithm's numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from omiga_torchrl.algorithms import default_arguments
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.trainers.diagnosis import NonFiniteError
from omiga_torchrl.trainers.loop import SteppedTrainer
from omiga_torchrl.trainers.options import SpeedOptions
from omiga_torchrl.trainers.together import RunGroup

Prepare = Callable[[Any], tuple[SteppedTrainer | None, Callable[[], float]]]
Results = tuple[list[float], dict[int, NonFiniteError]]


def grid_variants(
    algorithm: Mapping[str, Any], seeds: Sequence[int], grid: Mapping[str, Sequence[Any]]
) -> list[tuple[int, dict[str, Any]]]:
    """Every seed with every combination of values, and a label that tells them apart.

    Args:
        algorithm: ``name``, perhaps ``label``, and arguments.
        seeds: of the runs.
        grid: ``"algorithm.<argument>"`` to its values.

    Returns:
        Seed and algorithm of each run.

    Raises:
        ValueError: a key of ``grid`` is no argument of the algorithm; names the nearest.

    Examples:
        >>> grid_variants({"name": "iql"}, [0], {"algorithm.temperature": [1, 3]})
        [(0, {'name': 'iql', 'temperature': 1, 'label': 'iql-temperature-1'}),
         (0, {'name': 'iql', 'temperature': 3, 'label': 'iql-temperature-3'})]
    """
    known = [f"algorithm.{name}" for name in default_arguments(algorithm["name"])]
    for key in grid:
        if key not in known:
            raise unknown_name("train", "key of grid", key, known)
    found = []
    for seed, *values in itertools.product(seeds, *grid.values()):
        chosen = {key.partition(".")[2]: value for key, value in zip(grid, values, strict=True)}
        one = {**algorithm, **chosen}
        if chosen:
            label = algorithm.get("label") or algorithm["name"]
            one["label"] = "-".join([label, *(f"{name}-{value}" for name, value in chosen.items())])
        found.append((seed, one))
    return found


def train_variants(config: SpeedOptions, prepare: Prepare) -> float:
    """Trains every seed with every value of ``grid``; the mean of what the runs end with.

    They train at once, as one compiled graph; with ``compile="none"`` one after the other, which saves every
    run but the first the start of a process.

    Args:
        config: of a recipe, with the fields ``seed`` and ``algorithm``.
        prepare: from the config of one run to its trainer, ``None`` if it is finished, and what to do after
            training.

    Raises:
        ValueError: the runs differ in structure, or ``grid`` names no argument of the algorithm.
        NonFiniteError: runs have diverged; the others are finished.
    """
    one = cast(Any, config)
    runs = [
        (algorithm, seed, replace(one, seed=seed, algorithm=algorithm, compile="none"))
        for seed, algorithm in grid_variants(one.algorithm, config.seeds or [one.seed], config.grid)
    ]
    train = _in_turn if config.compile == "none" else _at_once
    returns, failures = train([run for *_, run in runs], prepare)
    if failures:
        names = [f"{algorithm.get('label') or algorithm['name']}, seed {seed}" for algorithm, seed, _ in runs]
        listed = "; ".join(f"{names[i]}: {error}" for i, error in failures.items())
        first = min(error.step for error in failures.values())
        raise NonFiniteError(f"vectorize: {len(failures)} of {len(runs)} runs: {listed}", first)
    return math.fsum(returns) / len(returns)


def _at_once(configs: Sequence[Any], prepare: Prepare) -> Results:
    group, trained, ends = RunGroup(), list[int](), list[Callable[[], float]]()
    for config in configs:
        trainer, finish = prepare(config)
        if trainer is not None:
            group.add(trainer, kind=repr(config.algorithm))
            trained.append(len(ends))
        ends.append(finish)
    with suppress(NonFiniteError):  # the others are done
        group.train()
    failures = {trained[k]: error for k, error in group.failures.items()}
    return [finish() for i, finish in enumerate(ends) if i not in failures], failures


def _in_turn(configs: Sequence[Any], prepare: Prepare) -> Results:
    returns, failures = list[float](), dict[int, NonFiniteError]()
    for i, config in enumerate(configs):
        trainer, finish = prepare(replace(config, vectorize=False, seeds=[], grid={}))
        try:
            if trainer is not None:
                trainer.train()
            returns.append(finish())
        except NonFiniteError as error:
            failures[i] = error
    return returns, failures


def comma_lists(arguments: Sequence[str]) -> list[str]:
    """A command line whose ``a,b`` are lists where ``vectorize=true``; Hydra would take them for a sweep.

    Args:
        arguments: overrides of Hydra's.

    Examples:
        >>> comma_lists(["vectorize=true", "seeds=0,1", "algorithm.alpha=1,3"])
        ['vectorize=true', 'seeds=[0,1]', '++grid={algorithm.alpha:[1,3]}']
        >>> comma_lists(["seed=0,1"])
        ['seed=0,1']
    """
    if "vectorize=true" not in arguments:
        return list(arguments)
    plain, grid = [], []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if "," not in value or value[:1] in ("[", "{", "'", '"'):
            plain.append(argument)
        elif key == "seeds":
            plain.append(f"seeds=[{value}]")
        else:
            grid.append(f"{key}:[{value}]")
    return [*plain, *([f"++grid={{{','.join(grid)}}}"] if grid else [])]
