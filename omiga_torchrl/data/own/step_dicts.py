"""Steps as PettingZoo gives them: a dict a step, without the agents that are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omiga_torchrl.data.own.values import to_array
from omiga_torchrl.errors import DataError

Given = dict[str, Any]


def is_step_dicts(value: Any) -> bool:
    """Whether it is a list of one dict a step, from the agents' names to what each saw.

    Examples:
        >>> is_step_dicts([{"a": np.zeros(3)}]), is_step_dicts([{"a": np.zeros((9, 3))}])
        (True, False)
    """
    if not isinstance(value, list | tuple) or not all(isinstance(one, Mapping) for one in value):
        return False
    return any(np.ndim(each) <= 1 for one in value for each in one.values())


def comes_and_goes(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some agents are in some of the dicts only.

    Examples:
        >>> comes_and_goes([{"a": 0, "b": 0}, {"a": 0}])
        True
    """
    return any(one.keys() != steps[0].keys() for one in steps if one)


def stack_steps(given: Given, with_mask: bool, where: str) -> Given:
    """The same data as a dict of one array `[T, ...]` an agent.

    An agent takes part in a step if it acts, and in the row after the last step if it is seen. What is
    missing of an agent that does not is zero.

    Args:
        given: lists of dicts under ``"observation"``, ``"action"``, ...; other values stay.
        with_mask: whether to add ``"agent_mask"``.
        where: for messages.

    Raises:
        DataError: an agent acts without an observation, or lists have other lengths than the actions.
    """
    action, observation = given["action"], list(given["observation"])
    if not is_step_dicts(action):
        raise DataError(
            f"{where}: 'action' is no list of one dict a step, 'observation' is. Give both in the same form."
        )
    steps = len(action)
    if len(observation) == steps + 1 and not observation[-1]:
        del observation[-1]  # all are gone: nobody says what was seen last
    if len(observation) not in (steps, steps + 1):
        raise DataError(
            f"{where}: 'observation' has {len(observation)} steps, 'action' {steps}; expected as many, or "
            "one more, what was seen after the last action."
        )
    for index, (seen, acted) in enumerate(zip(observation, action, strict=False)):
        blind = [agent for agent in acted if agent not in seen]
        if blind:
            raise DataError(f"{where}: {blind} act in step {index} without an 'observation'.")
    agents = list(dict.fromkeys(agent for one in (*action, *observation) for agent in one))
    stacked = {
        name: {agent: _column(name, value, agent, where) for agent in agents}
        if is_step_dicts(value)
        else value
        for name, value in {**given, "observation": observation}.items()
    }
    if with_mask:
        rows = [*action, *observation[steps:]]
        stacked["agent_mask"] = {agent: np.array([agent in row for row in rows]) for agent in agents}
    return stacked


def _column(name: str, steps: Sequence[Mapping[str, Any]], agent: str, where: str) -> Any:
    """The values of one agent over all steps, zeros where it has none."""
    found = [None if agent not in one else to_array(one[agent], name, where) for one in steps]
    like = next((one for one in found if one is not None), np.zeros(()))
    zero = np.zeros_like(like)
    try:
        return np.stack([zero if one is None else one for one in found])
    except ValueError as error:
        raise DataError(f"{where}: {name!r} of agent {agent!r} changes its size: {error}.") from error
