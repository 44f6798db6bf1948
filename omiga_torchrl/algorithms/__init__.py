"""Algorithms: networks, loss and parameter groups from the sizes of a task.

To add one, write a function in a file of this folder and decorate it with
:func:`register_algorithm`: every file here is imported, so that
``recipes/train.py algorithm=...`` knows it as soon as it has a YAML of its arguments.
"""

from __future__ import annotations

import importlib
import pkgutil

from omiga_torchrl.algorithms.awac import AWACConfig, make_awac
from omiga_torchrl.algorithms.awr import AWRConfig, make_awr
from omiga_torchrl.algorithms.bc import make_bc
from omiga_torchrl.algorithms.brac import BRACConfig, make_brac_p
from omiga_torchrl.algorithms.comadice import ComaDICEConfig, make_comadice
from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import AlgorithmConfig, CriticConfig
from omiga_torchrl.algorithms.iql import make_iql
from omiga_torchrl.algorithms.omac import OMACConfig, make_omac
from omiga_torchrl.algorithms.registry import (
    ALGORITHMS,
    RegisteredAlgorithm,
    make_algorithm,
    register_algorithm,
)

__all__ = [
    "ALGORITHMS",
    "AWACConfig",
    "AWRConfig",
    "Algorithm",
    "AlgorithmConfig",
    "BRACConfig",
    "ComaDICEConfig",
    "CriticConfig",
    "NetworkBuilder",
    "OMACConfig",
    "RegisteredAlgorithm",
    "make_algorithm",
    "make_awac",
    "make_awr",
    "make_bc",
    "make_brac_p",
    "make_comadice",
    "make_iql",
    "make_omac",
    "register_algorithm",
]
