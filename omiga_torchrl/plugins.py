"""Algorithms, environments and layouts of other packages, by entry points or by import."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

GROUPS = ("omiga_torchrl.algorithms", "omiga_torchrl.envs", "omiga_torchrl.layouts")

_loaded: set[str] = set()


def load_plugins(group: str) -> None:
    """Import what installed packages add to a group, once per process.

    A package adds algorithms, environments or layouts by an entry point whose module registers
    them when it is imported, with ``register_algorithm``, ``register_env`` or ``register_layout``.
    In its ``pyproject.toml``::

        [project.entry-points."omiga_torchrl.envs"]
        my-simulator = "my_package.envs"

    A plugin that fails to import is named in a warning and left out; the others still work.

    Args:
        group: one of :data:`GROUPS`.

    Raises:
        ValueError: unknown group.

    Warns:
        RuntimeWarning: a plugin cannot be imported.

    Examples:
        >>> load_plugins("omiga_torchrl.envs")
    """
    if group not in GROUPS:
        raise ValueError(f"load_plugins: group must be one of {', '.join(GROUPS)}, got {group!r}.")
    if group in _loaded:
        return
    # Before loading: a plugin may look things up itself while it is imported.
    _loaded.add(group)
    for entry in entry_points(group=group):
        _load(entry)


def import_modules(names: Iterable[str]) -> None:
    """Import modules that register algorithms, environments or layouts: the recipes' ``imports``.

    Args:
        names: modules, e.g. ``["my_module"]``.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    for name in names:
        importlib.import_module(name)


def _load(entry: EntryPoint) -> None:
    try:
        entry.load()
    except Exception as error:
        distribution = entry.dist.name if entry.dist is not None else "unknown distribution"
        warnings.warn(
            f"load_plugins: the plugin {entry.name!r} ({entry.value}) of {distribution} must be importable, "
            f"got {type(error).__name__}: {error}. Repair or uninstall {distribution}.",
            RuntimeWarning,
            stacklevel=4,
        )
