"""Algorithms: networks, loss and parameter groups from the sizes of a task.

To add one, write a function in a file of this folder and decorate it with
:func:`register_algorithm`: every file here is imported, so that
``recipes/train.py algorithm=...`` knows it as soon as it has a YAML of its arguments.
"""

from __future__ import annotations

import importlib
import pkgutil

from omiga_torchrl.algorithms.bc import make_bc
from omiga_torchrl.algorithms.bcq import BCQConfig, make_bcq
from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import AlgorithmConfig, CriticConfig
from omiga_torchrl.algorithms.cql import CFCQLConfig, CQLConfig, make_cfcql, make_cql
from omiga_torchrl.algorithms.iql import make_iql
from omiga_torchrl.algorithms.omar import OMARConfig, make_omar
from omiga_torchrl.algorithms.registry import (
    ALGORITHMS,
    RegisteredAlgorithm,
    make_algorithm,
    register_algorithm,
)
from omiga_torchrl.algorithms.td3_bc import TD3BCConfig, make_td3_bc

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "AlgorithmConfig",
    "BCQConfig",
    "CFCQLConfig",
    "CQLConfig",
    "CriticConfig",
    "NetworkBuilder",
    "OMARConfig",
    "RegisteredAlgorithm",
    "TD3BCConfig",
    "make_algorithm",
    "make_bc",
    "make_bcq",
    "make_cfcql",
    "make_cql",
    "make_iql",
    "make_omar",
    "make_td3_bc",
    "register_algorithm",
]
