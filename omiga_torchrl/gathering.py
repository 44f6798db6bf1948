"""The entries of several groups of agents as those of one team, side by side and filled up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torch.nn import functional as F

from omiga_torchrl import keys
from omiga_torchrl.functional.discrete import action_index

if TYPE_CHECKING:
    from omiga_torchrl.groups import GroupedTeamSpec
    from omiga_torchrl.specs import Kind

GATHERED = {
    "observation": "observation_size",
    "action": "action_size",
    "last_action": "action_size",
    "action_mask": "action_size",
    "agent_mask": None,
    "reward": None,
}
"""Entries of agents that a team gathers, and the size of a group that their last dimension has."""

_Entries = dict[str, Tensor]


def gather_groups(spec: GroupedTeamSpec, data: TensorDictBase) -> TensorDictBase:
    """See :meth:`omiga_torchrl.groups.GroupedTeamSpec.gather`.

    Args:
        spec: the groups.
        data: a batch ``[*B]`` with the entries of every group under its name.

    Raises:
        ValueError: a group is of another shape than its sizes.
    """
    team = data.exclude(*spec.groups, *(("next", name) for name in spec.groups))
    observations = _of_groups(spec, data, (), "observation")
    if len(observations) < len(spec.groups):
        return team
    for prefix in ((), ("next",)):
        for name, value in _gathered(spec, data, prefix, observations):
            team.set((*prefix, keys.GROUP, name), value)
    return team


def _of_groups(spec: GroupedTeamSpec, data: TensorDictBase, prefix: tuple[str, ...], name: str) -> _Entries:
    entries = {group: data.get((*prefix, group, name), None) for group in spec.groups}
    return {group: value for group, value in entries.items() if value is not None}


def _gathered(
    spec: GroupedTeamSpec, data: TensorDictBase, prefix: tuple[str, ...], observations: _Entries
) -> Iterator[tuple[str, Tensor]]:
    for name, size in GATHERED.items():
        if spec.is_mixed and size == "action_size":
            continue
        found = _of_groups(spec, data, prefix, name)
        if name == "action_mask" and (found or (not prefix and _differ_in_actions(spec))):
            found = {**_all_true(spec, observations, "action_size"), **found}
        if name == "agent_mask" and found:
            found = {**_all_true(spec, observations, None), **found}
        if len(found) == len(spec.groups):
            yield name, _joined(spec, name, size, found, observations)


def _differ_in_actions(spec: GroupedTeamSpec) -> bool:
    sizes = {group.action_size for group in spec.groups.values()}
    return len(sizes) > 1 and spec.kind == "discrete"


def _all_true(spec: GroupedTeamSpec, observations: Mapping[str, Tensor], size: str | None) -> _Entries:
    masks = {}
    for name, group in spec.groups.items():
        rows = observations[name].shape[:-1]
        shape = rows if size is None else (*rows, getattr(group, size))
        masks[name] = torch.ones(shape, dtype=torch.bool, device=observations[name].device)
    return masks


def _joined(
    spec: GroupedTeamSpec, name: str, size: str | None, found: _Entries, observations: _Entries
) -> Tensor:
    values = []
    for group, sizes in spec.groups.items():
        value, agents = found[group], observations[group].shape[:-1]
        if sizes.discrete and name in ("action", "last_action"):
            value = action_index(value, agents)
        if agents[-1] != sizes.n_agents or value.shape[: len(agents)] != agents:
            raise ValueError(
                f"GroupedTeamSpec: {(group, name)!r} must have {sizes.n_agents} agents after the batch "
                f"dimensions {tuple(agents[:-1])}, got the shape {tuple(value.shape)}. Were the networks "
                "built for other data?"
            )
        if size is not None and value.ndim > len(agents):
            _require_features(group, name, value, getattr(sizes, size))
            value = pad_last(value, spec.largest(size))
        values.append(value)
    return torch.cat(values, len(agents) - 1)


def _require_features(group: str, name: str, value: Tensor, expected: int) -> None:
    if value.shape[-1] != expected:
        raise ValueError(
            f"GroupedTeamSpec: {(group, name)!r} must have {expected} features, got the shape "
            f"{tuple(value.shape)}. Were the networks built for other data?"
        )


def pad_last(value: Tensor, size: int, fill: float = 0.0) -> Tensor:
    """``value`` with its last dimension filled up to ``size``.

    Args:
        value: any tensor.
        size: at least its last dimension.
        fill: what it is filled up with.

    Examples:
        >>> pad_last(torch.ones(2), 3)
        tensor([1., 1., 0.])
    """
    missing = size - value.shape[-1]
    return value if missing == 0 else F.pad(value, (0, missing), value=fill)


def select_kind(spec: GroupedTeamSpec, value: Tensor, kind: Kind, dim: int) -> Tensor:
    """A quantity of those agents that have one kind of actions.

    Args:
        spec: a team with both kinds.
        value: of all agents.
        kind: ``"continuous"`` or ``"discrete"``.
        dim: dimension of the agents.
    """
    spans = [spec.spans[name] for name in spec.groups if spec.groups[name].kind == kind]
    return torch.cat([value.narrow(dim, first, last - first) for first, last in spans], dim)


def join_kinds(spec: GroupedTeamSpec, *kinds: Tensor, dim: int) -> Tensor:
    """A quantity of all agents in their order, the inverse of :func:`select_kind`.

    Args:
        spec: a team with both kinds.
        *kinds: of the agents with continuous actions, and of the others.

    Keyword Args:
        dim: dimension of the agents.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> groups = {"a": TeamSpec(1, 4, 5, 9, discrete=True), "b": TeamSpec(2, 4, 2, 9)}
        >>> join_kinds(TeamSpec.from_groups(groups), torch.tensor([1.0, 2.0]), torch.tensor([3.0]), dim=0)
        tensor([3., 1., 2.])
    """
    taken, parts = [0, 0], []
    for group in spec.groups.values():
        parts.append(kinds[group.discrete].narrow(dim, taken[group.discrete], group.n_agents))
        taken[group.discrete] += group.n_agents
    return torch.cat(parts, dim)
