"""The networks of policy files: built by name, filled with weights, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tensordict.nn import TensorDictModuleBase
from torch import nn

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.blueprints import Blueprint, build
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.renames import rename_entries
from omiga_torchrl.specs import TeamSpec


def build_network(blueprint: Blueprint, weights: Mapping[str, Any]) -> TensorDictModuleBase:
    """A policy's network with its weights; the random numbers of the process stay as they are.

    Args:
        blueprint: of :func:`omiga_torchrl.blueprints.blueprint_of`, or of an algorithm.
        weights: its ``state_dict``, perhaps under former names.

    Raises:
        ValueError: an unknown builder or algorithm, or weights of another network.
        TypeError: an unknown argument.
    """
    network = _build(blueprint)
    own = network.state_dict()
    found = rename_entries(weights, own)
    wrong = _differences({key: value.shape for key, value in found.items()}, network)
    if wrong:
        raise ValueError(
            f"it must hold the weights of the policy that its arguments make, got others, e.g. {wrong[0]!r}. "
            f"Train it again, or load it with the version that wrote it."
        )
    network.load_state_dict(found)
    return network


def require_rebuildable(network: nn.Module, blueprint: Blueprint) -> None:
    """Raise unless a blueprint makes a network of the same weights.

    Args:
        network: the policy's.
        blueprint: of it.

    Raises:
        TypeError: it makes another network; names a weight.
    """
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    wrong = _differences(shapes, _build(blueprint))
    if wrong:
        raise TypeError(
            f"save_policy: the policy must be as its builder made it, got a network that was changed, e.g. "
            f"{wrong[0]!r}. Make it in one function with omiga_torchrl.blueprints.rebuildable."
        )


def _build(blueprint: Blueprint) -> TensorDictModuleBase:
    with isolated_random(0):
        if blueprint.get("kind") == "algorithm":
            spec = TeamSpec.from_dict(blueprint["spec"])
            return make_algorithm(blueprint["algorithm"], spec, **blueprint["arguments"]).policy
        return cast(TensorDictModuleBase, build(blueprint))


def _differences(shapes: Mapping[str, Any], network: nn.Module) -> list[str]:
    own = {key: value.shape for key, value in network.state_dict().items()}
    wrong = sorted(shapes.keys() ^ own.keys())
    return wrong + sorted(key for key in shapes.keys() & own.keys() if shapes[key] != own[key])
