"""Algorithms: networks, loss and parameter groups from the sizes of a task.

To add one, write a ``make_*`` function in a file of its own and enter it in
:data:`ALGORITHMS`; ``recipes/train.py algorithm=...`` then knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omiga_torchrl.algorithms.bc import make_bc
from omiga_torchrl.algorithms.common import Algorithm
from omiga_torchrl.algorithms.icq import ICQNetworks, icq_networks, make_icq
from omiga_torchrl.algorithms.omiga import OMIGANetworks, make_omiga, omiga_networks
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.specs import TeamSpec

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {
    "bc": make_bc,
    "icq": make_icq,
    "omiga": make_omiga,
}


def make_algorithm(name: str, spec: TeamSpec, **kwargs: Any) -> Algorithm:
    """Assemble the algorithm ``name`` for a task.

    Args:
        name: a key of :data:`ALGORITHMS`.
        spec: sizes of the task.
        **kwargs: the algorithm's own arguments.

    Raises:
        ValueError: if there is no such algorithm.

    Examples:
        >>> make_algorithm("bc", TeamSpec(3, 5, 2, 7)).loss.out_keys
        ['loss_actor']
    """
    if name not in ALGORITHMS:
        raise unknown_name("make_algorithm", "algorithm", name, ALGORITHMS)
    return ALGORITHMS[name](spec, **kwargs)


__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ICQNetworks",
    "OMIGANetworks",
    "icq_networks",
    "make_algorithm",
    "make_bc",
    "make_icq",
    "make_omiga",
    "omiga_networks",
]
