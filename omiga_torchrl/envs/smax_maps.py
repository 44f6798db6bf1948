"""The maps of SMAX: those of the package, and look-alikes of two of SMAC's that it lacks."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from omiga_torchrl.errors import unknown_name

_PACKAGE_MAPS: Final = (
    *("3m", "8m", "25m", "2s3z", "3s5z", "5m_vs_6m", "10m_vs_11m", "27m_vs_30m", "3s5z_vs_3s6z"),
    *("3s_vs_5z", "6h_vs_8z", "smacv2_5_units", "smacv2_10_units", "smacv2_20_units"),
)

# Numbers of SMAX's unit types.
_STALKER, _ZEALOT, _ZERGLING = 2, 3, 4


@dataclass(frozen=True)
class SmaxMap:
    """Who fights whom on a map of our own.

    Attributes:
        allies: unit types of the team.
        enemies: unit types of its opponents.
    """

    allies: tuple[int, ...]
    enemies: tuple[int, ...]


OWN_MAPS: Final[dict[str, SmaxMap]] = {
    "2s_vs_64zg": SmaxMap((_STALKER,) * 2, (_ZERGLING,) * 64),
    "6z_vs_24zg": SmaxMap((_ZEALOT,) * 6, (_ZERGLING,) * 24),
}


def smax_tasks() -> list[str]:
    """The names of the maps, sorted.

    Examples:
        >>> "3m" in smax_tasks() and "6z_vs_24zg" in smax_tasks()
        True
    """
    return sorted([*_PACKAGE_MAPS, *OWN_MAPS])


def find_scenario(name: str) -> Any:
    """The scenario of a map, as the package describes it.

    Args:
        name: one of :func:`smax_tasks`, or a map given to jaxmarl's ``register_scenario``.

    Raises:
        ImportError: jaxmarl is not installed.
        ValueError: there is no such map.
    """
    smax = import_smax()
    own = OWN_MAPS.get(name)
    if own is not None:
        import jax.numpy as jnp

        units = jnp.array([*own.allies, *own.enemies], dtype=jnp.uint8)
        return smax.Scenario(units, len(own.allies), len(own.enemies), False, False)
    try:
        return smax.map_name_to_scenario(name)
    except KeyError:
        tasks = [f"smax/{one}" for one in smax_tasks()]
        raise unknown_name("make_env", "task", f"smax/{name}", tasks) from None


def import_smax() -> Any:
    """The module ``jaxmarl.environments.smax``.

    Raises:
        ImportError: it is not installed.
    """
    for package in ("jax", "jaxmarl"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(
                f'make_env: the package {package} is missing. pip install "omiga-torchrl[smax]"'
            )
    with _quiet():
        import jaxmarl.environments.smax as smax
    return smax


@contextmanager
def _quiet() -> Iterator[None]:
    """Importing jaxmarl prints lines, and puts the streams that Python started with in place of others."""
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    saved = {name: getattr(sys, name) for name in names}
    try:
        for name in names:
            setattr(sys, name, io.StringIO())
        yield
    finally:
        for name, stream in saved.items():
            setattr(sys, name, stream)
