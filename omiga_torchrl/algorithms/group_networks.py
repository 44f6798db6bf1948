"""One network of a team of groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase

from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.modules import ConditionalVAE
from omiga_torchrl.modules.group_behavior import GroupVAE
from omiga_torchrl.modules.group_policy import group_actor
from omiga_torchrl.modules.groups import GroupNetwork, MixedNetwork
from omiga_torchrl.specs import KINDS


def join_groups(spec: GroupedTeamSpec, networks: Mapping[str, TensorDictModuleBase]) -> TensorDictModuleBase:
    """One network of the team from those of its groups, which are stochastic policies, VAEs or any others.

    Args:
        spec: the team.
        networks: name of a group to its network; groups of one kind of actions may be left out.
    """
    if not spec.is_mixed:
        return _join(spec, networks)
    kinds: dict[str, TensorDictModuleBase] = {}
    for kind in KINDS:
        part = spec.of_kind(kind)
        if part is not None and all(name in networks for name in part.groups):
            kinds[kind] = _join(part, {name: networks[name] for name in part.groups})
    return MixedNetwork(spec, kinds)


def _join(spec: GroupedTeamSpec, networks: Mapping[str, Any]) -> TensorDictModuleBase:
    for kind, join in ((ProbabilisticTensorDictSequential, group_actor), (ConditionalVAE, GroupVAE)):
        if all(isinstance(network, kind) for network in networks.values()):
            return cast(TensorDictModuleBase, join(spec, networks))
    return GroupNetwork(spec, networks)
