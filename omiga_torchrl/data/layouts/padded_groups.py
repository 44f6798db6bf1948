"""Several groups as one padded team, for layouts that have a place for one only, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts.base import Counts, Reading
from omiga_torchrl.errors import DataError


@dataclass(frozen=True)
class GroupSizes:
    """Sizes of a group before it was padded.

    Attributes:
        agents: how many.
        observation: features.
        action: features of continuous actions, or the number of discrete ones.
        discrete: whether actions are.
        masked: whether it had an action mask.
        present: whether it had an agent mask.
    """

    agents: int
    observation: int
    action: int
    discrete: bool
    masked: bool
    present: bool

    @classmethod
    def of(cls, name: str, group: AgentArrays, counts: Counts) -> GroupSizes:
        """The sizes of a group.

        Args:
            name: of it.
            group: its arrays.
            counts: number of discrete actions, for groups without a mask.

        Raises:
            DataError: the number of its discrete actions is unknown.
        """
        mask = group.action_mask
        known = counts.get(name) if isinstance(counts, Mapping) else counts
        size = (known if mask is None else mask.shape[-1]) if group.is_discrete else group.action.shape[-1]
        if size is None:
            raise DataError(
                f"Layout.write: the number of discrete actions of the group {name!r} is unknown. Pass "
                f"n_actions={{{name!r}: ...}}."
            )
        agents, features = group.observation.shape[1:]
        masks = mask is not None, group.agent_mask is not None
        return cls(agents, features, size, group.is_discrete, *masks)


@dataclass(frozen=True)
class PaddedGroups:
    """Groups that are side by side in one team, each filled up with zeros to the largest.

    Attributes:
        groups: name of every group to its sizes, in order.

    Examples:
        >>> ends = np.array([False, True])
        >>> cars = AgentArrays(np.ones((3, 2, 4)), np.ones((2, 2, 1)))
        >>> tower = AgentArrays(np.ones((3, 1, 3)), np.ones((2, 1, 2)))
        >>> two = Episodes(
        ...     groups={"cars": cars, "tower": tower},
        ...     **{"reward": np.ones(2), "terminated": ends, "truncated": ends & False},
        ...     length=np.array([2]),
        ... )
        >>> padded = PaddedGroups.of(two, None)
        >>> team = padded.pad(two)
        >>> team.observation.shape, team.action[0].tolist()
        ((3, 3, 4), [[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
        >>> padded.split(team).groups["tower"].observation.shape
        (3, 1, 3)
    """

    groups: dict[str, GroupSizes]

    @classmethod
    def of(cls, block: Episodes, counts: Counts) -> PaddedGroups:
        """The groups of some episodes.

        Args:
            block: the episodes.
            counts: numbers of discrete actions, for groups without masks.

        Raises:
            DataError: some actions are continuous and some discrete, or how many there are is unknown.
        """
        sizes = {name: GroupSizes.of(name, group, counts) for name, group in block.groups.items()}
        if len({one.discrete for one in sizes.values()}) > 1:
            raise DataError(
                "Layout.write: this layout has one array of actions, which has no place for the groups "
                f"{', '.join(sizes)} with continuous and discrete ones. Keep them in a recording: "
                "write_recording."
            )
        return cls(sizes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: asdict(one) for name, one in self.groups.items()}

    @classmethod
    def from_dict(cls, values: Any, where: str) -> PaddedGroups:
        """The groups that :meth:`to_dict` gave.

        Args:
            values: of a file.
            where: the file, for the message.

        Raises:
            DataError: something else.
        """
        try:
            groups = {name: GroupSizes(**one) for name, one in values.items()}
            numbers = [(one.agents, one.observation, one.action) for one in groups.values()]
            if not groups or not all(isinstance(n, int) and n > 0 for one in numbers for n in one):
                raise ValueError("sizes are numbers from 1 on")
        except (AttributeError, TypeError, ValueError) as error:
            raise DataError(f"{where}: cannot read its groups: {error}. Was it edited by hand?") from error
        return cls(groups)

    def _spans(self) -> Iterator[tuple[str, GroupSizes, slice]]:
        first = 0
        for name, one in self.groups.items():
            yield name, one, slice(first, first + one.agents)
            first += one.agents

    def pad(self, block: Episodes) -> Episodes:
        """The groups as one team; its state is that of the groups.

        Args:
            block: whole episodes.

        Raises:
            DataError: some groups have rewards of their own and some do not.
        """
        rows, steps = block.steps + len(block), block.steps
        agents = sum(one.agents for one in self.groups.values())
        width = max(one.observation for one in self.groups.values())
        size = max(one.action for one in self.groups.values())
        discrete = next(iter(self.groups.values())).discrete
        team = {"observation": np.zeros((rows, agents, width), np.float32)}
        if discrete:
            team["action"] = np.zeros((steps, agents), np.int64)
        else:
            team["action"] = np.zeros((steps, agents, size), np.float32)
        if discrete and any(one.masked or one.action < size for one in self.groups.values()):
            team["action_mask"] = np.zeros((rows, agents, size), bool)
        if any(one.present for one in self.groups.values()):
            team["agent_mask"] = np.ones((rows, agents), bool)
        own = [name for name, group in block.groups.items() if group.reward is not None]
        if own:
            _require_all(own, self.groups)
            team["reward"] = np.zeros((steps, agents), np.float32)
        for name, one, span in self._spans():
            arrays = block.groups[name].arrays()
            if "action_mask" in team:
                arrays.setdefault("action_mask", np.ones((rows, one.agents, one.action), bool))
            for entry, values in arrays.items():
                room = team[entry][:, span]
                room[(..., slice(values.shape[-1])) if values.ndim == 3 else ...] = values
        return block.replaced(groups={keys.GROUP: AgentArrays(**team)}, state=block.joint_state())

    def split(self, block: Episodes) -> Episodes:
        """The groups again.

        Args:
            block: of the padded team.
        """
        team = block.groups[keys.GROUP].arrays()
        groups = {}
        for name, one, span in self._spans():
            arrays: dict[str, Array] = {entry: values[:, span] for entry, values in team.items()}
            arrays["observation"] = arrays["observation"][..., : one.observation]
            if not one.discrete:
                arrays["action"] = arrays["action"][..., : one.action]
            if "action_mask" in arrays:
                arrays["action_mask"] = arrays["action_mask"][..., : one.action]
            if not one.masked:
                arrays.pop("action_mask", None)
            if not one.present:
                arrays.pop("agent_mask", None)
            groups[name] = AgentArrays(**arrays)
        return block.replaced(groups=groups).without_repeated_state()

    def reading(self, reading: Reading, where: str) -> Reading:
        """An open dataset of the padded team as one of the groups.

        Args:
            reading: the open dataset.
            where: it, for messages.
        """
        agents = sum(one.agents for one in self.groups.values())
        counts = {name: one.action for name, one in self.groups.items() if one.discrete}

        def blocks() -> Iterator[Episodes]:
            for block in reading.blocks:
                if block.observation.shape[1] != agents:
                    raise DataError(
                        f"{where} has {block.observation.shape[1]} agents, its groups have {agents}. Was it "
                        "edited by hand?"
                    )
                yield self.split(block)

        return replace(reading, blocks=blocks(), n_actions=counts or None, is_grouped=True)


def _require_all(own: list[str], groups: Mapping[str, Any]) -> None:
    without = [name for name in groups if name not in own]
    if without:
        raise DataError(
            f"Layout.write: the groups {without} have no rewards of their own, {own} have; this layout has "
            "one array for all. Keep them in a recording: write_recording."
        )


def padded_blocks(
    blocks: Iterable[Episodes], counts: Counts
) -> tuple[Iterator[Episodes], PaddedGroups | None, int | None]:
    """Episodes as those of one team, padded if they have several groups.

    Args:
        blocks: the episodes.
        counts: numbers of discrete actions, for groups without masks.

    Returns:
        The episodes, their groups if there are several, and the number of discrete actions.
    """
    rest = iter(blocks)
    first = next(rest, None)
    if first is None or first.is_plain:
        count = counts.get(keys.GROUP) if isinstance(counts, Mapping) else counts
        return chain(() if first is None else (first,), rest), None, count
    padded = PaddedGroups.of(first, counts)
    sizes = [one.action for one in padded.groups.values() if one.discrete]
    return (padded.pad(block) for block in chain((first,), rest)), padded, max(sizes, default=None)
