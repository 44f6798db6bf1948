"""The inputs and outputs of a policy's step, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tensordict import NestedKey
from torch import nn

from omiga_torchrl import keys
from omiga_torchrl.modules import TeamGRU
from omiga_torchrl.modules.candidate_policy import CandidatePolicy
from omiga_torchrl.specs import TeamSpec

if TYPE_CHECKING:
    from omiga_torchrl.policies.team_policy import TeamPolicy

Role = Literal["observation", "action_mask", "last_action", "memory", "noise", "action"]


@dataclass(frozen=True)
class Port:
    """An input or output of a policy.

    Attributes:
        name: e.g. ``"observation"``, of several groups ``"cars.observation"``.
        key: its entry in a TensorDict.
        shape: without the batch dimension, which is the first.
        dtype: ``"float32"``, ``"int64"`` or ``"bool"``.
        role: what it is.
        group: the agents' group; empty for the whole team.
        initial: of an input that is carried: its value at the start of an episode.
        carried_from: of such an input: the output that it is at the next step.
    """

    name: str
    key: NestedKey
    shape: tuple[int, ...]
    dtype: str
    role: Role
    group: str = ""
    initial: float | None = None
    carried_from: str = ""


def inputs_of(policy: TeamPolicy) -> list[Port]:
    """The inputs of a policy's step, in the order of :class:`PolicyStep`.

    Args:
        policy: the policy.

    Raises:
        ValueError: it reads an entry of an environment that is no input here.
    """
    found = [_read(policy, key) for key in policy.in_keys]
    for part in policy.network.modules():
        if isinstance(part, TeamGRU):
            key, shape = part.memory_key, (part.spec.n_agents, part.size)
            found.append(Port(key, key, shape, "float32", "memory", "", 0.0, f"next_{key}"))
    return [*found, *_noise(policy)]


def outputs_of(policy: TeamPolicy) -> list[Port]:
    """The outputs of a policy's step: actions of every group, and the memories for the next step.

    Args:
        policy: the policy.
    """
    found = []
    for group, spec in policy.team.groups.items():
        key = (group, "action")
        found.append(Port(_name(policy, key), key, *_action_form(spec), "action", group))
    memories = [port for port in inputs_of(policy) if port.role == "memory"]
    return [
        *found,
        *(Port(f"next_{one.name}", ("next", one.name), one.shape, one.dtype, "memory") for one in memories),
    ]


def _name(policy: TeamPolicy, key: NestedKey) -> str:
    path = keys.key_path(key)
    return path[-1] if isinstance(policy.team, TeamSpec) else ".".join(path)


def _action_form(spec: TeamSpec) -> tuple[tuple[int, ...], str]:
    return ((spec.n_agents,), "int64") if spec.discrete else ((spec.n_agents, spec.action_size), "float32")


def _read(policy: TeamPolicy, key: NestedKey) -> Port:
    """The input of an entry that the policy reads."""
    group, *rest = keys.key_path(key)
    name = _name(policy, key)
    spec = policy.team.groups.get(group)
    if spec is not None and rest == ["observation"]:
        return Port(name, key, (spec.n_agents, spec.observation_size), "float32", "observation", group)
    if spec is not None and rest == ["action_mask"]:
        return Port(name, key, (spec.n_agents, spec.action_size), "bool", "action_mask", group)
    if spec is not None and rest == ["last_action"]:
        action = _name(policy, (group, "action"))
        initial = -1.0 if spec.discrete else 0.0
        return Port(name, key, *_action_form(spec), "last_action", group, initial, action)
    raise ValueError(
        f"TeamPolicy: act and exports know observations, masks and states, got a policy that reads {key!r}. "
        "Call it with a TensorDict."
    )


def _noise(policy: TeamPolicy) -> Iterator[Port]:
    """Standard normal draws of policies that choose among random candidates: inputs of exported programs."""
    parts = {"": policy.network}
    if not isinstance(policy.team, TeamSpec):
        parts = dict(getattr(policy.network, "policies", nn.ModuleDict()).items())
    for group, part in parts.items():
        if isinstance(part, CandidatePolicy):
            for key, shape in part.noise_shapes(policy.team.groups[group or keys.GROUP].n_agents).items():
                path = (group or keys.GROUP, keys.key_path(key)[-1])
                yield Port(_name(policy, path), path, shape, "float32", "noise", path[0])
