"""Command lines of recipes: overrides checked before Hydra composes them, and errors that are one line."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

from omiga_torchrl.errors import DataError, SettingsError, StorageError, require_fields, unknown_name
from omiga_torchrl.report import RunLockedError
from omiga_torchrl.typed import told_type

KNOWN_ERRORS: Final = (
    *(DataError, SettingsError, StorageError, RunLockedError),
    *(FileExistsError, FileNotFoundError, ImportError),
)
_OWN: Final = re.compile(r"[\w.\[\]']+(?: '[^']*')?: ")  # who raised it, as in all messages of the library


def is_told(error: BaseException) -> bool:
    """Whether the message of an error says it all, so that no way to it has to be shown.

    That are the library's own errors; ``HYDRA_FULL_ERROR=1`` asks for the way, too.

    Args:
        error: what was raised.

    Examples:
        >>> is_told(DataError("check_dataset: no reward")), is_told(ZeroDivisionError("division by zero"))
        (True, False)
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        return False
    if isinstance(error, KNOWN_ERRORS):
        return True
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_by = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    by_library = raised_by == "__main__" or raised_by.startswith("omiga_torchrl")
    own_kind = isinstance(error, ValueError | TypeError | KeyError | NotImplementedError)
    return by_library and own_kind and _OWN.match(told(error)) is not None


def told(error: BaseException) -> str:
    """The message of an error, without the quotes that ``KeyError`` adds."""
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


@contextmanager
def told_errors() -> Iterator[None]:
    """Ends the process with the message alone and exit code 1 where that says it all, see :func:`is_told`."""
    try:
        yield
    except Exception as error:
        if not is_told(error):
            raise
        sys.stderr.write(f"error: {told(error)}\n")
        raise SystemExit(1) from error


def run_once(component: str, config: Any, function: Callable[[Any], Any]) -> Any:
    """Runs a recipe with its configuration as an instance of its dataclass.

    Args:
        component: the recipe.
        config: Hydra's.
        function: takes the instance.

    Raises:
        SystemExit: what the settings or the data say is wrong; the message is printed.
    """
    with told_errors():
        return function(settings_of(component, config))


def settings_of(component: str, config: Any) -> Any:
    """The configuration of a recipe as an instance of its dataclass.

    Args:
        component: the recipe, for messages.
        config: Hydra's.

    Raises:
        SettingsError: a value that must be given is not, or there is an entry that is no field.
    """
    from omegaconf import OmegaConf

    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        given = " ".join(f"{name}=..." for name in missing)
        raise SettingsError(
            f"{component}: {' and '.join(missing)} must be given, got none. Add {given}; there are examples "
            f"at the beginning of configs/{component}.yaml."
        )
    return require_fields(component, OmegaConf.to_object(config))


def checked_overrides(component: str, arguments: Sequence[str], schema: type, configs: Path) -> list[str]:
    """A command line for Hydra; ends the process if it names unknown keys or choices, or has other types.

    Keys of mappings, e.g. ``algorithm.alpha``, go as ``++algorithm.alpha``: the recipe knows which there are
    better than Hydra, who would advise to add those that are misspelt.

    Args:
        component: the recipe, for the message.
        arguments: overrides and options of Hydra's; nothing is checked where they name other folders.
        schema: the dataclass of the recipe's fields.
        configs: folder of the configuration, with a folder of files for every group.

    Raises:
        SystemExit: all mistakes are printed, with the nearest names.

    Examples:
        >>> from omiga_torchrl.trainers.options import SpeedOptions
        >>> list(find_mistakes("train", ["thraeds=2", "vectorize=maybe"], SpeedOptions, Path("none")))
        ["train: unknown key 'thraeds'; did you mean 'threads'? Choose from: ...",
         "train: vectorize is 'maybe'; expected true or false."]
    """
    if any(argument.startswith(("-cd", "-cp", "--config", "hydra.searchpath")) for argument in arguments):
        return list(arguments)
    found = list(find_mistakes(component, arguments, schema, configs))
    if found:
        listed = found[0] if len(found) == 1 else "".join(f"\n  - {one}" for one in found)
        sys.stderr.write(f"error: {listed}\n")
        raise SystemExit(1)
    mappings = {name for name, kind in get_type_hints(schema).items() if not is_dataclass(kind)}
    return [f"++{one}" if one.partition(".")[0] in mappings else one for one in arguments]


def find_mistakes(component: str, arguments: Sequence[str], schema: type, configs: Path) -> Iterator[str]:
    """Mistakes in overrides, one message each; see :func:`checked_overrides`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ValueType
    from hydra.errors import HydraException

    listed = (ValueType.CHOICE_SWEEP, ValueType.SIMPLE_CHOICE_SWEEP)
    for argument in arguments:
        if argument.startswith("-") or "=" not in argument:
            continue
        try:
            (override,) = OverridesParser.create().parse_overrides([argument])
            values = [] if override.is_sweep_override() else [override.value()]
            if override.value_type in listed:
                values = list(override.sweep_iterator())
        except HydraException:
            continue  # Hydra says it better
        key = override.key_or_group
        group = configs / key
        if {"/", "@"} & set(key) or override.is_delete() or key.startswith("hydra"):
            continue
        if key.isidentifier() and any(group.glob("*.yaml")):
            known = sorted(file.stem for file in group.glob("*.yaml"))
            names = [str(value) for value in values if value is not None]
            yield from (str(unknown_name(component, key, one, known)) for one in names if one not in known)
        else:
            yield from _of_key(component, key, values, schema)


def _of_key(component: str, key: str, values: Sequence[Any], schema: type) -> Iterator[str]:
    """Mistakes of one key: in its name, or in the type of a value."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    kind: Any = schema
    for name in key.split("."):
        if not is_dataclass(kind):
            return  # a mapping, whose keys the recipe checks
        known = [field.name for field in fields(kind)]
        if name not in known:
            yield str(unknown_name(component, "key", name, known))
            return
        kind = get_type_hints(kind)[name]
    for value in values:
        try:
            OmegaConf.update(OmegaConf.structured(schema), key, value)
        except OmegaConfBaseException:
            yield f"{component}: {key} is {value!r}; expected {told_type(kind)}."
