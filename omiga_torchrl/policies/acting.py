"""A policy as a function: one step of tensors, and `act` of numpy's arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl import keys
from omiga_torchrl.policies.ports import Port, Role, inputs_of, outputs_of

if TYPE_CHECKING:
    from omiga_torchrl.policies.team_policy import TeamPolicy

Arrays = npt.ArrayLike | Mapping[str, npt.ArrayLike]
"""An array of a plain team, or one for each group by its name."""
State = Mapping[str, npt.NDArray[Any]]
"""The memory of a recurrent policy between steps, by the names of its inputs; empty for others."""


class PolicyStep(nn.Module):
    """One step of a policy as a function of tensors, in the order of :func:`inputs_of`.

    Args:
        policy: acts; its parameters are shared.

    Shapes: inputs `[B, *shape]` -> outputs `[B, *shape]` in the order of :func:`outputs_of`.

    Examples:
        >>> from omiga_torchrl.modules import make_actor
        >>> from omiga_torchrl.policies import TeamPolicy
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(3, 5, 2, 7)
        >>> step = PolicyStep(TeamPolicy(make_actor(spec, hidden_sizes=(8,)), spec))
        >>> step(torch.zeros(4, 3, 5))[0].shape
        torch.Size([4, 3, 2])
    """

    def __init__(self, policy: TeamPolicy) -> None:
        super().__init__()
        self.policy = policy
        self.inputs, self.outputs = inputs_of(policy), outputs_of(policy)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Actions, and the memories for the next step."""
        # Without batch dimensions: sizes stay symbols where the step is traced.
        td = TensorDict({port.key: value for port, value in zip(self.inputs, inputs, strict=True)}, [])
        out = self.policy(td)
        return tuple(out.get(port.key) for port in self.outputs)


def act(
    policy: TeamPolicy, observations: Arrays, state: State | None, action_mask: Arrays | None
) -> tuple[Any, State]:
    """See :meth:`omiga_torchrl.policies.TeamPolicy.act`.

    Args:
        policy: acts.
        observations: an array, or one for each group.
        state: of the step before.
        action_mask: an array, or one for each group.
    """
    step = PolicyStep(policy)

    def run(inputs: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        # An unbound mode means the most likely action here.
        kind = ExplorationType.RANDOM if policy.mode == "stochastic" else ExplorationType.DETERMINISTIC
        with torch.no_grad(), set_exploration_type(kind):
            outputs = step(*(torch.as_tensor(inputs[port.name]) for port in ports))
        return [value.numpy() for value in outputs]

    ports = [port for port in step.inputs if port.role != "noise"]  # drawn where they are not given
    step.inputs = ports
    return act_with(run, ports, step.outputs, observations, state, action_mask)


def initial_state(policy: TeamPolicy, batch: int | None) -> dict[str, npt.NDArray[Any]]:
    """See :meth:`omiga_torchrl.policies.TeamPolicy.initial_state`.

    Args:
        policy: the policy.
        batch: number of environments; None is one without a batch dimension.
    """
    return _initial(inputs_of(policy), () if batch is None else (batch,))


def _initial(ports: list[Port], batch: tuple[int, ...]) -> dict[str, npt.NDArray[Any]]:
    carried = [port for port in ports if port.initial is not None]
    return {port.name: np.full((*batch, *port.shape), port.initial, port.dtype) for port in carried}


def act_with(
    run: Callable[[dict[str, npt.NDArray[Any]]], list[npt.NDArray[Any]]],
    inputs: list[Port],
    outputs: list[Port],
    observations: Arrays,
    state: State | None,
    action_mask: Arrays | None,
    more: Mapping[str, npt.ArrayLike] | None = None,
) -> tuple[Any, State]:
    """Actions and next state of arrays, by a step of any runtime.

    Args:
        run: the step: inputs by name, with a batch dimension, to the outputs in order.
        inputs: of the step.
        outputs: of the step.
        observations: an array, or one for each group.
        state: of the step before; None at the start of an episode.
        action_mask: an array, or one for each group.
        more: further inputs by name.

    Raises:
        ValueError: an input is missing, superfluous or of another shape.
    """
    given = {**_by_name(inputs, "observation", observations), **_by_name(inputs, "action_mask", action_mask)}
    first = next(port for port in inputs if port.role == "observation")
    single = given[first.name].ndim == len(first.shape)
    batch = () if single else given[first.name].shape[:1]
    others = {**(_initial(inputs, batch) if state is None else state), **(more or {})}
    given |= {name: np.asarray(value) for name, value in others.items()}
    arrays = {}
    for port in inputs:
        value = given.get(port.name)
        if value is None or value.shape != (*batch, *port.shape):
            found = "none" if value is None else f"the shape {value.shape}"
            raise ValueError(
                f"act: {port.name} must have the shape {(*batch, *port.shape)}, got {found}. Pass "
                f"{'what act returned' if port.initial is not None else 'it as the environment gives it'}."
            )
        value = value.astype(port.dtype, copy=False)
        arrays[port.name] = value[None] if single else value
    results = run(arrays)
    named = {port.name: x[0] if single else x for port, x in zip(outputs, results, strict=True)}
    actions = {port.group: named[port.name] for port in outputs if port.role == "action"}
    carried = {port.name: named[port.carried_from] for port in inputs if port.initial is not None}
    plain = list(actions) == [keys.GROUP] and not isinstance(observations, Mapping)
    return (actions[keys.GROUP] if plain else actions), carried


def _by_name(inputs: list[Port], role: Role, given: Arrays | None) -> dict[str, npt.NDArray[Any]]:
    ports = {port.group: port for port in inputs if port.role == role}
    if given is None:
        given = {}
    elif not isinstance(given, Mapping):
        if list(ports) != [keys.GROUP]:
            raise ValueError(
                f"act: {role} must be arrays by group for {', '.join(ports) or 'no group'}, got one array. "
                f"{'Pass a mapping.' if ports else 'Leave it out: the policy does not read it.'}"
            )
        given = {keys.GROUP: given}
    unread = [group for group in given if group not in ports]
    if unread:
        raise ValueError(
            f"act: {role} must be of the groups {', '.join(ports) or '(none)'}, got {', '.join(unread)}. "
            "Leave out what the policy does not read."
        )
    return {ports[group].name: np.asarray(value) for group, value in given.items()}
