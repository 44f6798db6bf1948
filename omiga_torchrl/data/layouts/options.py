"""The options of reading a dataset, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from omiga_torchrl.action_bounds import ActionBound, plain_bound
from omiga_torchrl.action_conventions import ActionConvention

# Options that a former version did not have.
_LATER: Final = ("agent_rewards", "groups", "action_low", "action_high", "delimiter_rows")


@dataclass(frozen=True, repr=False)
class ReadOptions:
    """Options for reading a dataset whose files leave something unsaid, or that the user wants otherwise.

    Attributes:
        actions: what happens to stored actions: ``"raw"`` nothing, ``"clip"`` they are clipped to their
            bounds, ``"scale"`` they are divided by 4 (and the environment has to multiply them by 4).
            ``None``: nothing, but actions outside their bounds are an error.
        timeout_is_terminal: whether running out of time is stored as ``terminated``;
            ``None``: as the file has it. ``False`` needs ``max_steps`` where the file does
            not tell time-outs apart.
        max_steps: length of an episode that ran out of time.
        team_reward: how one reward per agent becomes the team's: ``"mean"``, ``"sum"``, or ``"first"``, that
            of the first agent; ``None``: they have to be equal.
        incomplete: a last episode without an end is an ``"error"`` or is ``"truncated"`` there.
        agent_rewards: whether every agent's own reward is kept too, as ``("next", group, "reward")``;
            recordings keep those that they have.
        groups: which agents form which group. ``None``: what the layout calls the team, the group
            ``"agents"``. ``"all"``: every agent of the files; those of equal sizes are a group, ``"group_0"``
            and so on. ``"unpadded"``: agents of a team that was padded to equal sizes get their own back:
            last features that never change for an agent, while they do for another one, are left out, as
            are last actions that its mask never allows; agents that keep the same features are a group, named
            as before. Or name of every group to the numbers of its agents, e.g.
            ``{"predators": [0, 1, 2], "prey": [3]}``; agents that are in none are part of the environment.

        action_low: lower bound of continuous actions, in the units of the environment: a number, or one for
            each feature ``[A]``, or these for each agent ``[N, A]``; in a team of several groups such a bound
            for all, or a mapping from their names. ``None``: what the data set says, or else -1.
        action_high: upper bound, likewise; ``None``: what the data set says, or else 1. Give both or none.
        delimiter_rows: whether the last row of every episode is no step, but only holds what was seen after
            the last one; ``None``: rows at the ends of episodes without action and reward are, unless there
            are such steps elsewhere.

    Raises:
        ValueError: a value that is not among the choices, ``max_steps`` below one, a group without agents,
            an agent in two groups, or one bound without the other.

    Examples:
        >>> ReadOptions(actions="clip").incomplete
        'error'
        >>> ReadOptions(action_low=[-2, -2], action_high=[2, 2]).action_low
        (-2.0, -2.0)
    """

    actions: ActionConvention | None = None
    timeout_is_terminal: bool | None = None
    max_steps: int | None = None
    team_reward: Literal["mean", "sum", "first"] | None = None
    incomplete: Literal["error", "truncated"] = "error"
    agent_rewards: bool = False
    groups: Literal["all", "unpadded"] | Mapping[str, Sequence[int]] | None = None
    action_low: ActionBound | Mapping[str, ActionBound] | None = None
    action_high: ActionBound | Mapping[str, ActionBound] | None = None
    delimiter_rows: bool | None = None

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            choices, value = _choices(hint), getattr(self, name)
            if choices and not isinstance(value, Mapping) and value not in choices:
                raise ValueError(f"ReadOptions: {name} must be one of {choices}, got {value!r}. Choose one.")
        if self.max_steps is not None and not (isinstance(self.max_steps, int) and self.max_steps >= 1):
            raise ValueError(
                f"ReadOptions: max_steps must be an integer >= 1, got {self.max_steps!r}. "
                f"Pass the length of an episode that ran out of time."
            )
        if (self.action_low is None) != (self.action_high is None):
            raise ValueError(
                f"ReadOptions: action_low and action_high must be given together, got {self.action_low} and "
                f"{self.action_high}. Pass both, in the environment's units."
            )
        for name in ("action_low", "action_high"):
            object.__setattr__(self, name, plain_bound(name, getattr(self, name)))
        if isinstance(self.groups, Mapping):
            groups = {name: tuple(agents) for name, agents in self.groups.items()}
            if not groups:
                raise ValueError("ReadOptions: groups must have at least one group, got none.")
            _require_groups(groups)
            object.__setattr__(self, "groups", groups)

    def __repr__(self) -> str:
        # Names the folder of the cache: an option that is not used must not move what is there already.
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in _LATER:
            if given[name] == getattr(type(self), name):
                del given[name]
        return f"ReadOptions({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _require_groups(groups: Mapping[str, Sequence[int]]) -> None:
    """Raise unless they are names to numbers of agents, each in one group."""
    taken: dict[int, str] = {}
    for name, agents in groups.items():
        if not agents:
            raise ValueError(f"ReadOptions: group {name!r} must have agents, got none. Leave it out.")
        for agent in agents:
            if not isinstance(agent, int) or agent < 0:
                raise ValueError(
                    f"ReadOptions: agents of group {name!r} must be numbers from 0 on, got {agent!r}."
                )
            if agent in taken:
                raise ValueError(
                    f"ReadOptions: agent {agent} must be in one group, got {taken[agent]!r} and {name!r}. "
                    "Remove it from one."
                )
            taken[agent] = name


# The names that datasets and recipes take: every field is an option, and there is no other list.
READ_OPTIONS: tuple[str, ...] = tuple(one.name for one in fields(ReadOptions))


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values that an annotation allows; empty for a type that is not a choice of literals."""
    parts = (hint,) if get_origin(hint) is Literal else get_args(hint)
    literals = [value for part in parts if get_origin(part) is Literal for value in get_args(part)]
    return tuple(literals + [None] * (type(None) in parts)) if literals else ()
