"""Jobs of recipes: names of the runs of a sweep, failures that stop no other job, and signals."""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from omiga_torchrl.command_line import is_told, settings_of, told
from omiga_torchrl.trainers.interruption import TrainingInterrupted, clean_interruption

_LOG = logging.getLogger(__name__)

# Keys that a run's folder names anyway, and those that decide nothing.
_NAMED: Final = ("seed", "task", "algorithm", "out", "existing", "data_root", "logger", "imports")
_failed: list[tuple[str, str]] = []


def mark_sweep(arguments: Sequence[str]) -> list[str]:
    """A command line that says which keys it sweeps: ``++swept=[...]``.

    Args:
        arguments: overrides and options of Hydra's.

    Examples:
        >>> mark_sweep(["-m", "algorithm.alpha=0.3,1", "seed=0,1", "trainer.steps=9"])
        ['-m', 'algorithm.alpha=0.3,1', 'seed=0,1', 'trainer.steps=9', '++swept=[algorithm.alpha]']
        >>> mark_sweep(["algorithm.alpha=1"])
        ['algorithm.alpha=1']
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if not {"-m", "--multirun"} & set(arguments):
        return list(arguments)
    swept = []
    for argument in arguments:
        if argument.startswith("-") or "=" not in argument:
            continue
        try:
            (override,) = OverridesParser.create().parse_overrides([argument])
        except HydraException:
            continue  # Hydra says it better
        key = override.key_or_group.removeprefix("hydra.sweeper.params.")
        is_swept = override.is_sweep_override() or key != override.key_or_group
        if is_swept and key.lstrip("+") not in _NAMED:
            swept.append(key.lstrip("+"))
    return [*arguments, f"++swept=[{','.join(swept)}]"] if swept else list(arguments)


def swept_label(swept: Sequence[str], overrides: Sequence[str]) -> str:
    """Suffix of the name of a job's run: the values of the swept keys.

    Args:
        swept: the keys.
        overrides: of the job, ``key=value``.

    Examples:
        >>> swept_label(["algorithm.alpha"], ["seed=0", "algorithm.alpha=0.3"])
        '-alpha-0.3'
        >>> swept_label(["dataset"], ["dataset=good/data.hdf5"])
        '-dataset-good-data.hdf5'
    """
    values = dict(one.lstrip("+").partition("=")[::2] for one in overrides)
    names = [f"-{key.rpartition('.')[2]}-{values[key]}" for key in swept if key in values]
    return re.sub(r"[^\w.+-]+", "-", re.sub(r"[\[\]{}'\"]", "", "".join(names)))


def run_job(component: str, config: Any, function: Callable[[Any], float]) -> float:
    """One job of a recipe; in a sweep its run is named by what is swept, and an error stops no other job.

    A mistake in the settings or the data ends the process with its message alone; ``HYDRA_FULL_ERROR=1``
    shows the way to it.

    Args:
        component: the recipe, for messages.
        config: Hydra's, of a dataclass with the fields ``algorithm`` and ``swept``.
        function: what the job is; gives its objective.

    Returns:
        The objective, NaN if the job has failed in a sweep.

    Raises:
        TrainingInterrupted: a signal has ended the job, and with it the sweep.
        SystemExit: the settings or the data are wrong, outside of a sweep.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    with clean_interruption():
        hydra = HydraConfig.get()
        alone = hydra.mode != RunMode.MULTIRUN
        try:
            settings = settings_of(component, config)
            if not alone:
                _name_job(settings, hydra)
            return function(settings)
        except Exception as error:
            known = is_told(error)
            if alone and known:
                sys.stderr.write(f"error: {told(error)}\n")
                raise SystemExit(1) from error
            if alone or hydra.runtime.choices.get("hydra/launcher") != "basic":
                raise  # of a sweep: in another process, whose launcher collects what fails
            reason = f"{type(error).__name__}: {error}"
            overrides = [one for one in hydra.overrides.task if not one.startswith("++swept")]
            _failed.append((" ".join(overrides), reason))
            _LOG.error("job failed, the others go on: %s", reason, exc_info=not known)
            return math.nan


def _name_job(settings: Any, hydra: Any) -> None:
    """Adds the swept values to the label of a job's run."""
    from omegaconf import OmegaConf

    # A file may name the keys, too, as for Optuna's sweeper.
    swept = dict.fromkeys([*settings.swept, *(OmegaConf.select(hydra, "sweeper.params") or ())])
    suffix = swept_label([key for key in swept if key not in _NAMED], list(hydra.overrides.task))
    if suffix:
        label = settings.algorithm.get("label") or settings.algorithm["name"]
        settings.algorithm["label"] = f"{label}{suffix}"


def run_recipe(main: Callable[[], Any]) -> None:
    """Runs a recipe to the end of the process: exits with 1 if a job failed, with 128 + n after a signal.

    Args:
        main: the recipe's function, wrapped by Hydra.
    """
    _failed.clear()
    try:
        with clean_interruption():
            main()
    except TrainingInterrupted as stop:
        sys.stderr.write(
            f"\ntrain: {stop}. The same command with existing=resume goes on; a sweep with existing=keep.\n"
        )
        raise SystemExit(stop.exit_code) from None
    if _failed:
        listed = "".join(f"\n  - {job}: {reason}" for job, reason in _failed)
        sys.stderr.write(f"train: {len(_failed)} of the sweep's jobs failed, the others are done:{listed}\n")
        raise SystemExit(1)
