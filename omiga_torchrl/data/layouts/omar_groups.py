"""Which agents of OMAR's files form which group."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from omiga_torchrl import keys
from omiga_torchrl.data.layouts.base import ReadOptions, require
from omiga_torchrl.errors import DataError

# Of observations and of actions.
Sizes = tuple[tuple[int, ...], tuple[int, ...]]


def find_groups(sizes: Sequence[Sizes], options: ReadOptions, where: str) -> dict[str, list[int]]:
    """Name of every group to the numbers of its agents; the team of equal sizes if nothing else is asked for.

    Args:
        sizes: of every agent.
        options: ``groups``.
        where: the folder, for messages.

    Raises:
        DataError: agents of the team's sizes behind others, no more agents in the team than beside it, agents
            of other sizes in one group, or numbers of agents that are not there.

    Examples:
        >>> tag = [((16,), (2,)), ((16,), (2,)), ((14,), (2,))]
        >>> find_groups(tag, ReadOptions(groups="all"), "tag")
        {'group_0': [0, 1], 'group_1': [2]}
    """
    if isinstance(options.groups, Mapping):
        groups = {name: list(numbers) for name, numbers in options.groups.items()}
        beyond = [i for numbers in groups.values() for i in numbers if i >= len(sizes)]
        found = [f"groups names the agents {beyond}, there are {len(sizes)}"] if beyond else []
        require(found, where, "They are numbered from 0.")
        for name, numbers in groups.items():
            different = {sizes[i] for i in numbers}
            if len(different) > 1:
                found.append(f"the agents {numbers} of group {name!r} have the sizes {sorted(different)}")
        require(found, where, "Agents of a group have equal observations and actions.")
        return groups
    if options.groups == "all" and len(set(sizes)) > 1:
        of_size: dict[Sizes, list[int]] = {}
        for i, size in enumerate(sizes):
            of_size.setdefault(size, []).append(i)
        return {f"group_{index}": numbers for index, numbers in enumerate(of_size.values())}
    same = [size == sizes[0] for size in sizes]
    team = (same + [False]).index(False)
    # Agent 0 alone, or no more agents than are left out, are hardly the team that is meant.
    if sum(same) > team or 2 * team <= len(sizes):
        raise DataError(
            f"{where}: agents have observations and actions of sizes {list(sizes)}; expected one size for "
            "the team, which comes before fewer opponents. Pass groups='all' to read them as groups, or "
            "groups={'agents': [0, ...]} to name the team."
        )
    if team < len(sizes):
        warnings.warn(
            f"{where}: {team} of {len(sizes)} agents are the team; the others, of other sizes, are taken for "
            "opponents and left out. Pass groups='all' to read them as groups.",
            stacklevel=2,
        )
    return {keys.GROUP: list(range(team))}
