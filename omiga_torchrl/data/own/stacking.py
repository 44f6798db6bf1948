"""Steps as dicts, stacked to arrays of every agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.own.facts import Facts
from omiga_torchrl.data.own.step_dicts import is_step_dicts
from omiga_torchrl.data.own.values import to_array
from omiga_torchrl.errors import DataError


def stack_steps(given: Mapping[str, Any], facts: Facts, where: str) -> dict[str, Any]:
    """Steps as dicts as a dict of one array `[T, ...]` an agent.

    An agent takes part in a step if it acts, and in the row after the last step if it is seen. What is
    missing of an agent that does not is zero.
    """
    action, observation = given["action"], _require_order(given, where)
    facts.learn(given)
    unknown = [agent for one in observation for agent in one if agent not in facts.agents]
    if unknown:
        raise DataError(
            f"{where}: 'observation' has the agents {unknown}, which team lacks. Name all in team=."
        )
    stacked = {
        name: {
            agent: _stack_column(name, value, agent, facts.nothing(name, agent), where)
            for agent in facts.agents
        }
        if is_step_dicts(value)
        else value
        for name, value in {**given, "observation": observation}.items()
    }
    if facts.has_agent_mask and "agent_mask" not in given:
        rows = [*action, *observation[len(action) :]]
        stacked["agent_mask"] = {agent: np.array([agent in row for row in rows]) for agent in facts.agents}
    return stacked


def _require_order(given: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """The observations of steps as dicts, T or T + 1 of them for T actions.

    Args:
        given: lists of dicts under ``"observation"`` and ``"action"``.
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
    return observation


def _stack_column(
    name: str, steps: Sequence[Mapping[str, Any]], agent: str, zero: Array, where: str
) -> Array:
    """The values of one agent over all steps.

    Args:
        name: of the array.
        steps: one dict a step.
        agent: its name.
        zero: in place of what it lacks.
        where: for messages.

    Raises:
        DataError: its values are of several sizes.
    """
    found = [to_array(one[agent], name, where) if agent in one else zero for one in steps]
    try:
        return np.stack(found)
    except ValueError as error:
        raise DataError(f"{where}: {name!r} of agent {agent!r} changes its size: {error}.") from error
