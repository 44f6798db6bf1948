"""The options of reading a dataset, in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from omiga_torchrl.action_conventions import ActionConvention


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a dataset whose files leave something unsaid, or that the user wants otherwise.

    Attributes:
        actions: what happens to stored actions: ``"raw"`` nothing, ``"clip"`` they are clipped
            to [-1, 1], ``"scale"`` they are divided by 4 (and the environment has to multiply
            them by 4). ``None``: nothing, but actions outside [-1, 1] are an error.
        timeout_is_terminal: whether running out of time is stored as ``terminated``;
            ``None``: as the file has it. ``False`` needs ``max_steps`` where the file does
            not tell time-outs apart.
        max_steps: length of an episode that ran out of time.
        team_reward: how one reward per agent becomes the team's: ``"mean"`` or ``"sum"``;
            ``None``: they have to be equal.
        incomplete: a last episode without an end is an ``"error"`` or is ``"truncated"`` there.

    Raises:
        ValueError: a value that is not among the choices, or ``max_steps`` below one.

    Examples:
        >>> ReadOptions(actions="clip").incomplete
        'error'
    """

    actions: ActionConvention | None = None
    timeout_is_terminal: bool | None = None
    max_steps: int | None = None
    team_reward: Literal["mean", "sum"] | None = None
    incomplete: Literal["error", "truncated"] = "error"

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            choices, value = _choices(hint), getattr(self, name)
            if choices and value not in choices:
                raise ValueError(f"ReadOptions: {name} must be one of {choices}, got {value!r}. Choose one.")
        if self.max_steps is not None and not (isinstance(self.max_steps, int) and self.max_steps >= 1):
            raise ValueError(
                f"ReadOptions: max_steps must be an integer >= 1, got {self.max_steps!r}. "
                f"Pass the length of an episode that ran out of time."
            )


# The names that datasets and recipes take: every field is an option, and there is no other list.
READ_OPTIONS: tuple[str, ...] = tuple(one.name for one in fields(ReadOptions))


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values that an annotation allows; empty for a type that is not a choice of literals."""
    parts = (hint,) if get_origin(hint) is Literal else get_args(hint)
    literals = [value for part in parts if get_origin(part) is Literal for value in get_args(part)]
    return tuple(literals + [None] * (type(None) in parts)) if literals else ()
