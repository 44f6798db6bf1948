"""Algorithms: networks, loss and parameter groups from the sizes of a task.

To add one, write a config and a function in a file of this folder and decorate the function with
:func:`register_algorithm`: every file here is imported, so that ``recipes/train.py algorithm=...`` knows it
as soon as it has a YAML. An installed package registers its own by an entry point of the group
``omiga_torchrl.algorithms``.
"""

from __future__ import annotations

import importlib
import pkgutil

from omiga_torchrl.algorithms.awac import AWACConfig, make_awac
from omiga_torchrl.algorithms.awr import AWRConfig, make_awr
from omiga_torchrl.algorithms.bc import BCConfig, make_bc
from omiga_torchrl.algorithms.bcq import BCQConfig, make_bcq
from omiga_torchrl.algorithms.brac import BRACConfig, make_brac_p
from omiga_torchrl.algorithms.comadice import ComaDICEConfig, make_comadice
from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import AlgorithmConfig, CriticConfig, LikelihoodConfig
from omiga_torchrl.algorithms.cql import CFCQLConfig, CQLConfig, make_cfcql, make_cql
from omiga_torchrl.algorithms.icq import (
    ICQBehaviorConfig,
    ICQConfig,
    ICQNetworks,
    icq_networks,
    make_icq,
    make_icq_behavior,
)
from omiga_torchrl.algorithms.iql import IQLConfig, make_iql
from omiga_torchrl.algorithms.matd3_bc import MATD3BCConfig, make_matd3_bc
from omiga_torchrl.algorithms.omac import OMACConfig, make_omac
from omiga_torchrl.algorithms.omar import OMARConfig, make_omar
from omiga_torchrl.algorithms.omiga import OMIGAConfig, OMIGANetworks, make_omiga, omiga_networks
from omiga_torchrl.algorithms.rebrac import ReBRACConfig, make_rebrac
from omiga_torchrl.algorithms.registry import (
    ALGORITHMS,
    RegisteredAlgorithm,
    default_arguments,
    make_algorithm,
    register_algorithm,
)
from omiga_torchrl.algorithms.td3_bc import TD3BCConfig, make_td3_bc

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "ALGORITHMS",
    "AWACConfig",
    "AWRConfig",
    "Algorithm",
    "AlgorithmConfig",
    "BCConfig",
    "BCQConfig",
    "BRACConfig",
    "CFCQLConfig",
    "CQLConfig",
    "ComaDICEConfig",
    "CriticConfig",
    "ICQBehaviorConfig",
    "ICQConfig",
    "ICQNetworks",
    "IQLConfig",
    "LikelihoodConfig",
    "MATD3BCConfig",
    "NetworkBuilder",
    "OMACConfig",
    "OMARConfig",
    "OMIGAConfig",
    "OMIGANetworks",
    "ReBRACConfig",
    "RegisteredAlgorithm",
    "TD3BCConfig",
    "default_arguments",
    "icq_networks",
    "make_algorithm",
    "make_awac",
    "make_awr",
    "make_bc",
    "make_bcq",
    "make_brac_p",
    "make_cfcql",
    "make_comadice",
    "make_cql",
    "make_icq",
    "make_icq_behavior",
    "make_iql",
    "make_matd3_bc",
    "make_omac",
    "make_omar",
    "make_omiga",
    "make_rebrac",
    "make_td3_bc",
    "omiga_networks",
    "register_algorithm",
]
