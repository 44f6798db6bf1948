"""The sizes of a dataset that is being read, with the bounds of its actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from omiga_torchrl.action_bounds import ActionBound
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts import Reading, ReadOptions
from omiga_torchrl.errors import DataError
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec


def data_spec(
    known: Mapping[str, Any], first: Episodes, reading: Reading, options: ReadOptions, name: str
) -> AnyTeamSpec:
    """The sizes of a dataset: those on its card, or else of its arrays.

    Bounds of continuous actions are those that the user gives, or else those that the data set says, or
    else -1 and 1.

    Args:
        known: fields of the card.
        first: some of its episodes.
        reading: the open dataset.
        options: how it is read.
        name: its name, for messages.

    Raises:
        DataError: bounds that do not fit the actions, or an unknown number of discrete actions.
    """
    spec = TeamSpec.from_dict(known["sizes"]) if "sizes" in known else _sizes(first, reading, name)
    if options.action_low is None or options.action_high is None:
        return spec
    groups = {}
    for group, sizes in spec.groups.items():
        low, high = (_of_group(bound, group, name) for bound in (options.action_low, options.action_high))
        try:
            groups[group] = sizes if sizes.discrete else replace(sizes, action_low=low, action_high=high)
        except ValueError as error:
            told = str(error).removeprefix("TeamSpec: ")
            raise DataError(f"OfflineDataset: {name}: {told} Pass action_low= and action_high=.") from error
    return TeamSpec.from_groups(groups, spec.state_size)


def _of_group(bound: ActionBound | Mapping[str, ActionBound], group: str, name: str) -> ActionBound:
    if not isinstance(bound, Mapping):
        return bound
    if group not in bound:
        raise DataError(
            f"OfflineDataset: {name}: action_low and action_high have no bound of the group {group!r}, only "
            f"of {', '.join(bound)}. Add it."
        )
    return bound[group]


def _said(reading: Reading) -> dict[str, Any]:
    """The bounds that the data set says."""
    said = {"action_low": reading.action_low, "action_high": reading.action_high}
    return {name: bound for name, bound in said.items() if bound is not None}


def _sizes(block: Episodes, reading: Reading, name: str) -> AnyTeamSpec:
    """The sizes that the arrays have, with the bounds that the data set says."""
    groups = {}
    bounds = _said(reading) if block.is_plain else {}
    state_size = block.joint_state()[:1].size if block.state is None else block.state.shape[-1]
    for group, arrays in block.groups.items():
        n_agents, size = arrays.observation.shape[1:]
        actions = arrays.action.shape[-1]
        if arrays.is_discrete:
            mask, counts = arrays.action_mask, reading.n_actions
            known = (
                mask.shape[-1]
                if mask is not None
                else counts.get(group)
                if isinstance(counts, dict)
                else counts
            )
            if known is None:
                raise DataError(
                    f"OfflineDataset: {name}: the number of discrete actions is unknown; pass n_actions=."
                )
            actions = known
        groups[group] = TeamSpec(
            n_agents,
            size,
            actions,
            state_size,
            discrete=arrays.is_discrete,
            masked=arrays.action_mask is not None,
            agents=tuple((reading.agents or {}).get(group, ())),
            **bounds,
        )
    return TeamSpec.from_groups(groups)
