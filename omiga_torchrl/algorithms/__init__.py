"""Algorithms: networks, loss and parameter groups from the sizes of a task.

To add one, write a function in a file of this folder and decorate it with
:func:`register_algorithm`: every file here is imported, so that
``recipes/train.py algorithm=...`` knows it as soon as it has a YAML of its arguments.
"""

from __future__ import annotations

import importlib
import pkgutil

from omiga_torchrl.algorithms.bc import make_bc
from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import AlgorithmConfig, CriticConfig
from omiga_torchrl.algorithms.icq import (
    ICQBehaviorConfig,
    ICQConfig,
    ICQNetworks,
    icq_networks,
    make_icq,
    make_icq_behavior,
)
from omiga_torchrl.algorithms.iql import make_iql
from omiga_torchrl.algorithms.omiga import OMIGAConfig, OMIGANetworks, make_omiga, omiga_networks
from omiga_torchrl.algorithms.registry import (
    ALGORITHMS,
    RegisteredAlgorithm,
    make_algorithm,
    register_algorithm,
)

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "AlgorithmConfig",
    "CriticConfig",
    "ICQBehaviorConfig",
    "ICQConfig",
    "ICQNetworks",
    "NetworkBuilder",
    "OMIGAConfig",
    "OMIGANetworks",
    "RegisteredAlgorithm",
    "icq_networks",
    "make_algorithm",
    "make_bc",
    "make_icq",
    "make_icq_behavior",
    "make_iql",
    "make_omiga",
    "omiga_networks",
    "register_algorithm",
]
