"""All settings of a training, checked before any work: every mistake in one message."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, Final, get_args

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.algorithms.config import make_config
from omiga_torchrl.algorithms.registry import find_algorithm
from omiga_torchrl.cli import EXTRAS
from omiga_torchrl.data import LAYOUTS, READ_OPTIONS, ReadOptions
from omiga_torchrl.data.bundled import cache_root
from omiga_torchrl.data.sources import open_source
from omiga_torchrl.envs import available_tasks, make_env
from omiga_torchrl.errors import (
    SettingsError,
    require_choice,
    require_count,
    require_number,
    require_seed,
    told_together,
    unknown_name,
)
from omiga_torchrl.evaluation import Protocol
from omiga_torchrl.random_state import get_random_state, set_random_state
from omiga_torchrl.report.run_folder import EXISTING
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers.dataset_names import dataset_name, require_dataset
from omiga_torchrl.trainers.diagnosis import OnNonFinite
from omiga_torchrl.trainers.grids import grid_variants
from omiga_torchrl.trainers.precision import Precision, find_device
from omiga_torchrl.trainers.schedules import Schedule
from omiga_torchrl.trainers.stepping import CompileMode

NOT_ARGUMENTS: Final = ("name", "label", "preset", "slice_len")  # of a recipe's group ``algorithm``
# Logger to the package that it needs.
LOGGERS: Final[Mapping[str, str | None]] = {
    "csv": None, "tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow",
}  # fmt: skip
_MISTAKES = (ValueError, TypeError, FileNotFoundError, ImportError, NotImplementedError)


def check_settings(config: Any) -> None:
    """Raises one error with all mistakes of a training's settings.

    Nothing is written, converted or trained for it. What only the data can tell, such as whether they fit
    the environment, is checked when they are opened.

    Args:
        config: with the fields of ``TrainConfig`` in ``recipes/train.py``.

    Raises:
        SettingsError: the mistakes, each with its key and the value that was expected; a single one as it is.

    Examples:
        >>> all_mistakes("train", [lambda: require_number("train", "> 0", lr=-1), lambda: None])
        Traceback (most recent call last):
            ...
        omiga_torchrl.errors.SettingsError: train: lr is -1; expected a number > 0.
    """
    state = get_random_state()
    try:
        all_mistakes("train", [partial(check, config) for check in _CHECKS])
    finally:
        set_random_state(state)


def all_mistakes(component: str, checks: Iterable[Callable[[], object]]) -> None:
    """Runs all checks, and raises what they raised in one error.

    Args:
        component: who checks, for the message.
        checks: functions without arguments.

    Raises:
        SettingsError: a check failed; with the message of one as it is, those of several as a list.
    """
    found: list[Exception] = []
    for check in checks:
        try:
            check()
        except _MISTAKES as error:
            found.append(error)
    if found:
        raise SettingsError(told_together(component, map(str, found))) from found[0]


def algorithm_arguments(algorithm: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``make_algorithm`` in a recipe's group ``algorithm``."""
    return {name: value for name, value in algorithm.items() if name not in NOT_ARGUMENTS}


def _check_counts(config: Any) -> None:
    trainer = config.trainer
    counts: dict[str, tuple[int, Any]] = {
        "trainer.steps": (1, trainer.steps),
        "trainer.batch_size": (1, trainer.batch_size),
        "trainer.log_interval": (1, trainer.log_interval),
        "trainer.keep_checkpoints": (1, trainer.keep_checkpoints),
        "trainer.save_interval": (1, 1 if trainer.save_interval is None else trainer.save_interval),
        "seed": (0, config.seed),
        "threads": (1, 1 if config.threads is None else config.threads),
        **{f"seeds[{i}]": (0, seed) for i, seed in enumerate(config.seeds)},
    }
    checks = [
        partial(require_count, "train", least, **{key: value}) for key, (least, value) in counts.items()
    ]
    all_mistakes("train", checks)
    if len(set(config.seeds)) < len(config.seeds):
        raise ValueError(f"train: seeds must be different ones, got {config.seeds}. Name each once.")


def _check_rates(config: Any) -> None:
    require_number("train", "> 0", **{"trainer.lr": config.trainer.lr})
    if config.trainer.clip_grad_norm is not None:
        require_number("train", "> 0", **{"trainer.clip_grad_norm": config.trainer.clip_grad_norm})


def _check_choices(config: Any) -> None:
    if config.existing not in EXISTING:
        raise unknown_name("train", "value of existing", config.existing, EXISTING)
    require_choice(
        "train",
        compile=(config.compile, get_args(CompileMode)),
        precision=(config.precision, get_args(Precision)),
        on_nonfinite=(config.trainer.on_nonfinite, get_args(OnNonFinite)),
    )
    if config.trainer.lr_schedule is not None:
        require_choice("train", lr_schedule=(config.trainer.lr_schedule, get_args(Schedule)))
    find_device(config.device)


def _check_logger(config: Any) -> None:
    if config.logger is None:
        return
    require_choice("train", logger=(config.logger, LOGGERS))
    package = LOGGERS[config.logger]
    if package is not None and importlib.util.find_spec(package) is None:
        raise ImportError(
            f"train: logger={config.logger} needs the package {package}, which is not installed. pip install "
            f"'omiga-torchrl[{EXTRAS[package]}]', or use logger=csv."
        )


def _check_protocol(config: Any) -> None:
    _require_keys("evaluation", config.evaluation, [field.name for field in fields(Protocol)])
    for name, value in config.evaluation.items():
        if name != "seed":
            require_count("train", 1, **{f"evaluation.{name}": value})
    require_seed("train", **{"evaluation.seed": config.evaluation.get("seed", 0)})


def _check_data(config: Any) -> None:
    _require_keys("read", config.read, ("layout", *READ_OPTIONS))
    given = {name: value for name, value in config.read.items() if value is not None}
    layout = given.pop("layout", None)
    if layout is not None and layout not in LAYOUTS:
        raise unknown_name("train", "value of read.layout", layout, LAYOUTS)
    ReadOptions(**given)
    if config.reward_scale not in ("std", None):
        require_number("train", "> 0", reward_scale=config.reward_scale)
    if config.task is None or config.task in available_tasks():  # or else the task is what is wrong
        require_dataset(config)
        open_source(dataset_name(config), cache_root(config.data_root), layout, given)


def check_task(config: Any) -> None:
    """Raise unless a recipe's task is there.

    Args:
        config: with the fields ``task``, which may be ``None``, and ``task_kwargs``.

    Raises:
        ValueError: there is none of this name; lists the nearest and all.
    """
    # Tasks that are not listed may be known: their environment says so.
    if config.task is not None and config.task not in available_tasks():
        make_env(config.task, **config.task_kwargs)


def _check_slices(config: Any) -> None:
    algorithm, length = config.algorithm, config.algorithm.get("slice_len")
    label = algorithm.get("label")
    if label is not None and not (isinstance(label, str) and label.strip()):
        raise ValueError(f"train: algorithm.label is {label!r}; expected a name, e.g. algorithm.label=mine.")
    if length is None:
        if algorithm.get("rnn_hidden_size") is not None:
            raise ValueError(
                f"train: algorithm.slice_len is null with algorithm.rnn_hidden_size="
                f"{algorithm['rnn_hidden_size']}; expected a number: networks with a memory learn from "
                f"slices of episodes. Add e.g. algorithm.slice_len=16."
            )
        return
    require_count("train", 1, **{"algorithm.slice_len": length})
    if isinstance(config.trainer.batch_size, int) and config.trainer.batch_size % length:
        raise ValueError(
            f"train: trainer.batch_size is {config.trainer.batch_size}; expected a multiple of "
            f"algorithm.slice_len={length}. Use e.g. {max(config.trainer.batch_size // length, 1) * length}."
        )
    burn_in = algorithm.get("burn_in", 0)
    if isinstance(burn_in, int) and burn_in >= length:
        raise ValueError(
            f"train: algorithm.burn_in is {burn_in}; expected less than algorithm.slice_len={length}."
        )


def _check_algorithm(config: Any) -> None:
    variants = grid_variants(config.algorithm, [config.seed], config.grid)
    checks = [partial(_check_arguments, one["name"], algorithm_arguments(one)) for _, one in variants]
    all_mistakes("train", checks)


def _check_arguments(name: str, arguments: dict[str, Any]) -> None:
    """Builds it for small made-up teams; at least one must do."""
    found = find_algorithm(name)
    make_config(name, found.config, arguments)
    if any(isinstance(value, Mapping) for value in arguments.values()):
        return  # by the groups of a team, which are not known yet
    errors: list[Exception] = []
    for agents in (2, 1):
        for kind in found.actions:
            try:
                make_algorithm(name, TeamSpec(agents, 3, 2, 4, discrete=kind == "discrete"), **arguments)
                return
            except _MISTAKES as error:
                errors.append(error)
    raise errors[0]


def _require_keys(group: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for name in given:
        if name not in (listed := list(known)):
            raise unknown_name("train", f"key of {group}", name, listed)


_CHECKS: Final[tuple[Callable[[Any], None], ...]] = (
    *(_check_counts, _check_rates, _check_choices, _check_logger, _check_protocol),
    *(check_task, _check_data, _check_algorithm, _check_slices),
)
