"""Whole policies of all kinds, with normalised observations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.policies import TeamPolicy, inputs_of
from omiga_torchrl.specs import TeamSpec

CONTINUOUS = TeamSpec(3, 5, 2, 15, action_low=-2.0, action_high=(0.5, 3.0))
DISCRETE = TeamSpec(3, 5, 4, 15, discrete=True, masked=True)
GROUPS = TeamSpec.from_groups(
    {"cars": TeamSpec(2, 6, 3, 12), "buses": TeamSpec(1, 4, 5, 12, discrete=True, masked=True)}
)
SIMILAR = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 12), "buses": TeamSpec(1, 4, 2, 12)})
SPECS: dict[str, AnyTeamSpec] = {"continuous": CONTINUOUS, "discrete": DISCRETE, "groups": GROUPS}


def scales(spec: AnyTeamSpec) -> dict[str, Any]:
    """Moments that are far from 0 and 1, as plain values."""
    means = {name: np.linspace(-3, 5, group.observation_size).tolist() for name, group in spec.groups.items()}
    stds = {name: np.linspace(0.1, 9, group.observation_size).tolist() for name, group in spec.groups.items()}
    state = {"state_mean": [0.0] * spec.state_size, "state_std": [1.0] * spec.state_size}
    if isinstance(spec, TeamSpec):
        return {"observation_mean": means["agents"], "observation_std": stds["agents"], **state}
    return {"observation_mean": means, "observation_std": stds, **state}


def make_policy(name: str, spec: AnyTeamSpec, **arguments: Any) -> TeamPolicy:
    """A policy of an algorithm, untrained."""
    torch.manual_seed(0)
    given = {"hidden_sizes": [8], **arguments}
    metadata = {"task": "mine/game", "normalisation": scales(spec)}
    network = make_algorithm(name, spec, **given).policy
    return TeamPolicy(network, spec, algorithm=name, arguments=given, metadata=metadata)


def arrays_of(policy: TeamPolicy, batch: int, seed: int = 0) -> dict[str, Any]:
    """Random observations and masks by group, as arguments of ``act``."""
    random, found = np.random.default_rng(seed), {}
    for port in inputs_of(policy):
        shape = (batch, *port.shape)
        if port.role == "observation":
            found.setdefault("observations", {})[port.group] = 5 * random.normal(size=shape)
        if port.role == "action_mask":
            legal = random.random(shape) < 0.5
            legal[..., 0] = True
            found.setdefault("action_mask", {})[port.group] = legal
    if isinstance(policy.team, TeamSpec):
        return {name: value["agents"] for name, value in found.items()}
    return found
