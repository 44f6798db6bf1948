"""Algorithms: networks, loss and parameter groups from the sizes of a task.

To add one, write a function in a file of this folder and decorate it with
:func:`register_algorithm`: every file here is imported, so that
``recipes/train.py algorithm=...`` knows it as soon as it has a YAML of its arguments.
"""

from __future__ import annotations

import importlib
import pkgutil

from omiga_torchrl.algorithms.bc import make_bc
from omiga_torchrl.algorithms.common import Algorithm
from omiga_torchrl.algorithms.icq import ICQNetworks, icq_networks, make_icq
from omiga_torchrl.algorithms.omiga import OMIGANetworks, make_omiga, omiga_networks
from omiga_torchrl.algorithms.registry import (
    ALGORITHMS,
    RegisteredAlgorithm,
    make_algorithm,
    register_algorithm,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ICQNetworks",
    "OMIGANetworks",
    "RegisteredAlgorithm",
    "icq_networks",
    "make_algorithm",
    "make_bc",
    "make_icq",
    "make_omiga",
    "omiga_networks",
    "register_algorithm",
]
