"""Checks of a batch before a loss trusts it: dtypes, shapes and ranges, once for each kind of batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor

from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.networks import action_bounds, number_of_agents, parameter_dtype

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss


_UNCHECKED = ContextVar("unchecked", default=False)


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside the block losses trust their batches, e.g. while a step is traced."""
    token = _UNCHECKED.set(True)
    try:
        yield
    finally:
        _UNCHECKED.reset(token)


def inside_transform() -> bool:
    """True while Dynamo traces or ``torch.func`` transforms: values cannot be looked at there."""
    if torch.compiler.is_compiling() or torch._C._functorch.maybe_current_level() is not None:
        return True
    return _UNCHECKED.get()


def needs_check(loss: TeamLoss, data: TensorDictBase, mask: Tensor | None, team: str) -> bool:
    """True for the first batch of its shapes, dtypes and masks; later ones cost nothing more."""
    if inside_transform():
        return False
    kind = (team, mask is None, *((value.shape, value.dtype) for value in data.values(True, True)))
    if kind in loss.checked_kinds:
        return False
    loss.checked_kinds.add(kind)
    return True


def check_batch(
    loss: TeamLoss, data: TensorDictBase, mask: Tensor | None, kind: str, groups: GroupedTeamSpec | None
) -> None:
    """Compare the entries of ``data`` with what the networks of ``loss`` were built for.

    Args:
        loss: gives keys, parameters and kind of actions.
        data: the entries that it reads, masks already boolean.
        mask: rows ``[*B]`` that are no padding, or None.
        kind: of the actions of these agents; of a mixed team there are none here.
        groups: the agents' groups, or None.

    Raises:
        ValueError: names the first entry that does not fit, what was expected and what was found.
    """
    component, names = type(loss).__name__, loss.tensor_keys
    _check_dtypes(loss, data)
    observation = data.get(names.observation)
    if observation.ndim < 3:
        raise ValueError(
            f"{component}: {names.observation!r} must have the shape [*batch, agents, features], got "
            f"{tuple(observation.shape)}. Is the agent dimension missing?"
        )
    agents = observation.shape[:-1]
    known = number_of_agents(loss) if groups is None else groups.n_agents
    if known is not None and agents[-1] != known:
        raise ValueError(
            f"{component}: {names.observation!r} must have agents={known} like the networks, got the shape "
            f"{tuple(observation.shape)}. Build the networks with TeamSpec(n_agents={agents[-1]})."
        )
    for key in (names.agent_mask, next_key(names.agent_mask)):
        _check_mask(component, key, data.get(key, None), agents)
    for key in (names.action_mask, next_key(names.action_mask)):
        value = data.get(key, None)
        if value is not None:
            _check_mask(component, key, value, torch.Size((*agents, value.shape[-1])))
    if mask is not None and mask.shape != agents[:-1]:
        raise ValueError(
            f"{component}: the loss mask must have one flag a row, {tuple(agents[:-1])}, got the shape "
            f"{tuple(mask.shape)}."
        )
    if kind != "mixed":
        _check_action(loss, data, mask, kind == "discrete")


def check_index(
    component: str, key: NestedKey, action: Tensor, n_actions: int, present: Tensor | None
) -> None:
    """Raise a ValueError if an integer action of an agent that takes part is not in ``[0, n_actions)``.

    Args:
        component: name of the loss.
        key: the actions' key.
        action: indices ``[*B, N]``.
        n_actions: number of actions K that the networks know.
        present: entries that count, or None.
    """
    invalid = (action < 0) | (action >= n_actions)
    invalid = invalid if present is None else invalid & present
    if invalid.any():
        raise ValueError(
            f"{component}: {key!r} must be in [0, {n_actions}), got {int(action[invalid][0])}. Does the "
            "data's number of actions differ from the networks'?"
        )


def _check_dtypes(loss: TeamLoss, data: TensorDictBase) -> None:
    """Whatever the networks read has the dtype of the parameters."""
    component, expected = type(loss).__name__, parameter_dtype(loss)
    names = loss.tensor_keys
    read = {key for name in loss.networks for key in getattr(loss, name).in_keys}
    read -= {names.action, names.action_mask, names.agent_mask, *loss.prev_action_keys}
    for key in [*read, *map(next_key, read)]:
        value = data.get(key, None)
        if value is None or value.dtype == torch.bool or value.dtype == expected:
            continue
        half = {torch.float16, torch.bfloat16}
        if value.dtype in half and expected in half | {torch.float32}:
            continue
        raise ValueError(
            f"{component}: {key!r} must be {expected} like the networks' parameters, got {value.dtype}. Cast "
            f"the data with .to({expected}), or the loss with loss.to({value.dtype})."
        )


def _check_action(loss: TeamLoss, data: TensorDictBase, mask: Tensor | None, is_discrete: bool) -> None:
    """The kind, agents and range of the actions."""
    names = loss.tensor_keys
    action, agents = data.get(names.action), data.get(names.observation).shape[:-1]
    _check_action_dtype(loss, action, is_discrete)
    if action.shape[: len(agents)] != agents:
        raise ValueError(
            f"{type(loss).__name__}: {names.action!r} must have the agents of {names.observation!r}, "
            f"{tuple(agents)}, as its first dimensions, got the shape {tuple(action.shape)}."
        )
    if loss.checks_bounds and not is_discrete:
        _check_bounds(loss, action, _present(data.get(names.agent_mask, None), mask, agents))


def _check_action_dtype(loss: TeamLoss, action: Tensor, is_discrete: bool) -> None:
    component, key = type(loss).__name__, loss.tensor_keys.action
    floating = action.dtype.is_floating_point
    if is_discrete and floating:
        raise ValueError(
            f"{component}: {key!r} must be integers or one-hot booleans for networks of discrete actions, "
            f"got {action.dtype}. Cast them with .long()."
        )
    if is_discrete:
        return
    if not floating:
        raise ValueError(
            f"{component}: {key!r} must be floats for networks of continuous actions, got {action.dtype}. "
            "Build the networks from a TeamSpec with discrete=True, or cast the actions."
        )
    if action.dtype == torch.float64 and parameter_dtype(loss) != torch.float64:
        raise ValueError(
            f"{component}: {key!r} must be {parameter_dtype(loss)} like the networks' parameters, got "
            f"float64. Cast the data with .to({parameter_dtype(loss)}), or the loss with loss.double()."
        )


def _check_mask(component: str, key: NestedKey, value: Tensor | None, expected: torch.Size) -> None:
    if value is not None and value.shape != expected:
        raise ValueError(
            f"{component}: {key!r} must have the shape {tuple(expected)}, got {tuple(value.shape)}. One flag "
            "an agent, or one an action; no trailing dimension."
        )


def _check_bounds(loss: TeamLoss, action: Tensor, present: Tensor | None) -> None:
    bounds = action_bounds(loss)
    if bounds is None:
        return
    low, high = (b.to(action.device) if isinstance(b, Tensor) else b for b in bounds)
    if isinstance(low, Tensor) and low.shape[-1] != action.shape[-1]:
        return  # the networks say so
    margin = 1e-4 * (high - low)
    beyond = (action < low - margin) | (action > high + margin)
    beyond = beyond if present is None else beyond & present.unsqueeze(-1)
    if beyond.any():
        raise ValueError(
            f"{type(loss).__name__}: {loss.tensor_keys.action!r} must be in [{_told(low)}, {_told(high)}], "
            f"the bounds of the networks, got {float(action[beyond][0]):.6g}. Rescale the actions, or build "
            "the networks with TeamSpec(action_low=..., action_high=...). If they are so on purpose, set "
            "the loss's checks_bounds=False."
        )


def _present(agent_mask: Tensor | None, mask: Tensor | None, agents: torch.Size) -> Tensor | None:
    """Entries ``[*B, N]`` of real rows and agents that take part."""
    if mask is None:
        return agent_mask
    rows = mask.unsqueeze(-1).expand(agents)
    return rows if agent_mask is None else rows & agent_mask


def _told(bound: float | Tensor) -> str:
    return str(bound.tolist()) if isinstance(bound, Tensor) else str(bound)
