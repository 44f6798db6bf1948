"""`TeamSpec`: the sizes of a team task, read off an environment or a batch of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.errors import DataError, require_key

if TYPE_CHECKING:
    from omiga_torchrl.groups import GroupedTeamSpec

ActionBound = float | tuple[float, ...]
"""A bound of all action features, or one for each."""


@dataclass(frozen=True)
class TeamSpec:
    """The sizes that networks need: of a team of agents with equal spaces, the group ``"agents"``.

    Teams whose agents differ are made of several groups, each a ``TeamSpec``: see :meth:`from_groups`.

    Attributes:
        n_agents: number of agents N.
        observation_size: features O of one agent's observation.
        action_size: features A of one agent's action, or the number of actions K if ``discrete``.
        state_size: features S of the state.
        discrete: whether actions are integers.
        masked: whether the task gives an action mask.
        action_low: lower bound of every action feature, or of each ``(A values)``; continuous only.
        action_high: upper bound of every action feature, or of each; continuous only.
        agents: names of the agents, in order; ``()`` if they have none. Not compared.
        group: name of the group in a team of several, which :meth:`from_groups` gives. Not compared.

    Raises:
        ValueError: as many bounds or names are given as there are no features or agents, or a lower bound is
            not below its upper one.
    """

    n_agents: int
    observation_size: int
    action_size: int
    state_size: int
    discrete: bool = False
    masked: bool = False
    action_low: ActionBound = -1.0
    action_high: ActionBound = 1.0
    agents: tuple[str, ...] = field(default=(), compare=False)
    group: str = field(default=keys.GROUP, compare=False)

    def __post_init__(self) -> None:
        for name in ("action_low", "action_high"):
            object.__setattr__(self, name, self._bound(name))
        object.__setattr__(self, "agents", tuple(self.agents))
        if self.agents and len(self.agents) != self.n_agents:
            raise ValueError(
                f"TeamSpec: agents must be {self.n_agents} names, one an agent, got {self.agents}."
            )

    def _bound(self, name: str) -> ActionBound:
        """One number where all features have the same."""
        value = getattr(self, name)
        if isinstance(value, (int, float)):
            return value
        bounds = tuple(float(one) for one in value)
        if len(bounds) != self.action_size:
            raise ValueError(
                f"TeamSpec: {name} must be a number, or {self.action_size} of them, one a feature of an action, "
                f"got {len(bounds)}: {bounds}."
            )
        return bounds[0] if len(set(bounds)) == 1 else bounds

    @property
    def groups(self) -> dict[str, TeamSpec]:
        """Name of every group to its sizes: here the one group ``"agents"``."""
        return {keys.GROUP: self}

    @property
    def group_map(self) -> dict[str, list[str]]:
        """Name of every group to the names of its agents, as TorchRL's environments have it."""
        return {keys.GROUP: list(self.agent_names)}

    @property
    def agent_names(self) -> tuple[str, ...]:
        """Names of the agents; ``agent_0``, ... where none are given."""
        return self.agents or tuple(f"agent_{index}" for index in range(self.n_agents))

    @staticmethod
    def from_groups(
        groups: Mapping[str, TeamSpec], state_size: int | None = None
    ) -> TeamSpec | GroupedTeamSpec:
        """The sizes of a team of several groups of agents.

        Args:
            groups: name of every group to its sizes. Their order is that of the agents.
            state_size: features of the state; None is that of the groups, which then have to agree.

        Returns:
            A plain ``TeamSpec`` for a single group ``"agents"``.

        Raises:
            ValueError: no group, an agent in two groups, or different sizes of the state.

        Examples:
            >>> spec = TeamSpec.from_groups(
            ...     {"predators": TeamSpec(3, 16, 2, 62), "prey": TeamSpec(1, 14, 2, 62)}
            ... )
            >>> spec.n_agents, spec.groups["prey"].observation_size
            (4, 14)
        """
        from omiga_torchrl.groups import GroupedTeamSpec

        sizes = {spec.state_size for spec in groups.values()} if state_size is None else {state_size}
        if len(sizes) > 1:
            raise ValueError(
                f"TeamSpec: state_size must be the same in all groups, got {sorted(sizes)}. Pass state_size."
            )
        spec = GroupedTeamSpec(groups, *sizes)
        return spec.groups[keys.GROUP] if list(spec.groups) == [keys.GROUP] else spec

    @classmethod
    def from_env(cls, env: EnvBase) -> TeamSpec | GroupedTeamSpec:
        """The sizes of an environment made by :func:`omiga_torchrl.envs.make_env`, of every group it has.

        Args:
            env: its ``group_map`` names groups and agents; without one it has the group ``"agents"``.

        Raises:
            DataError: actions of several integers, which the library has no policies for.
        """
        group_map = getattr(env, "group_map", None) or {keys.GROUP: ()}
        groups = {name: _group_of_env(env, name, tuple(agents)) for name, agents in group_map.items()}
        return cls.from_groups(groups)

    @classmethod
    def from_batch(cls, batch: TensorDictBase, **known: Any) -> TeamSpec:
        """The sizes of a batch of data in the default keys, of one group ``"agents"``.

        Discrete teams without a mask need ``action_size=K``; continuous ones whose
        actions are not in [-1, 1] need ``action_low`` and ``action_high``.

        Args:
            batch: the data.
            **known: sizes that the data do not tell.

        Raises:
            DataError: the number of discrete actions is unknown.
        """
        observation = require_key("TeamSpec", batch, keys.OBSERVATION)
        action = require_key("TeamSpec", batch, keys.ACTION)
        state = require_key("TeamSpec", batch, keys.STATE)
        mask = batch.get(keys.ACTION_MASK, None)
        discrete = not action.dtype.is_floating_point
        size = mask.shape[-1] if mask is not None else None if discrete else action.shape[-1]
        sizes = {
            "n_agents": observation.shape[-2],
            "observation_size": observation.shape[-1],
            "action_size": size,
            "state_size": state.shape[-1],
            "discrete": discrete,
            "masked": mask is not None,
        }
        sizes.update(known)
        if sizes["action_size"] is None:
            raise DataError(
                "TeamSpec: number of actions unknown; got integer actions without an action mask. "
                "Pass action_size=K."
            )
        return cls(**sizes)

    def fake_batch(self, *batch: int) -> TensorDictBase:
        """Random data of these sizes, shaped as the replay buffer gives it.

        Args:
            batch: the batch dimensions. With two or more the last is time, and each sequence is of one
                episode: it begins with the first step and may end with the last.

        Examples:
            >>> TeamSpec(3, 5, 2, 7).fake_batch(4)["agents", "action"].shape
            torch.Size([4, 3, 2])
        """
        observations = torch.randn(2, *batch, self.n_agents, self.observation_size)
        states = torch.randn(2, *batch, self.state_size)
        agents, following = self._fake_agents(observations)
        return fake_team({keys.GROUP: agents}, {keys.GROUP: following}, states)

    def _fake_agents(self, observations: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Random entries of this step and the next for ``observations [2, *B, N, O]``."""
        agents, following = {"observation": observations[0]}, {"observation": observations[1]}
        rows = observations.shape[1:-1]
        if self.discrete:
            agents["action"] = torch.randint(self.action_size, rows)
        else:
            agents["action"] = self._fake_actions(rows)
        if self.masked:
            legal = torch.rand(2, *rows, self.action_size) < 0.7
            legal[0].scatter_(-1, agents["action"].unsqueeze(-1), True)
            legal[1, ..., 0] = True
            agents["action_mask"], following["action_mask"] = legal
        return agents, following

    def _fake_actions(self, rows: torch.Size) -> Tensor:
        low, high = self.action_low, self.action_high
        if isinstance(low, tuple) or isinstance(high, tuple):
            bounds = torch.tensor(low), torch.tensor(high)
            return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(*rows, self.action_size)
        return torch.empty(*rows, self.action_size).uniform_(low, high)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for cards and checkpoints; names of agents only where there are some."""
        values = asdict(self)
        agents, _ = values.pop("agents"), values.pop("group")
        return {**values, "agents": list(agents)} if agents else values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TeamSpec | GroupedTeamSpec:
        """What :meth:`to_dict`, of this class or of a team of groups, has written.

        Args:
            values: plain values.

        Examples:
            >>> TeamSpec.from_dict(TeamSpec(3, 5, 2, 7).to_dict()).n_agents
            3
        """
        if "groups" not in values:
            return cls(**values)
        groups = {name: cls(**group) for name, group in values["groups"].items()}
        return cls.from_groups(groups, values["state_size"])


def fake_team(
    agents: dict[str, dict[str, Tensor]], following: dict[str, dict[str, Tensor]], states: Tensor
) -> TensorDictBase:
    """Random outcomes around random entries of agents.

    Args:
        agents: name of every group to its entries ``[*B, N, ...]``.
        following: the same at the next step.
        states: ``[2, *B, S]`` of this step and the next.
    """
    batch = list(states.shape[1:-1])
    ended = torch.rand(*batch, 1) < 0.1
    if len(batch) > 1:
        ended[..., :-1, :] = False
    starts = torch.zeros(*batch, 1, dtype=torch.bool)
    starts[(..., 0, slice(None)) if batch else ...] = True
    outcome = {
        **{name: TensorDict(dict(entries), batch) for name, entries in following.items()},
        keys.STATE: states[1],
        keys.REWARD: torch.randn(*batch, 1),
        keys.DONE: ended,
        keys.TERMINATED: ended.clone(),
    }
    now = {name: TensorDict(dict(entries), batch) for name, entries in agents.items()}
    return TensorDict(
        {**now, keys.STATE: states[0], keys.IS_INIT: starts, "next": TensorDict(outcome, batch)}, batch
    )


def _group_of_env(env: EnvBase, group: str, agents: tuple[str, ...]) -> TeamSpec:
    """The sizes of one group of an environment."""
    observations, action = env.full_observation_spec_unbatched, _action_spec(env, group)
    observation, state = observations[group, "observation"], observations[keys.STATE]
    discrete = not action.dtype.is_floating_point
    low: ActionBound = 0.0
    high: ActionBound = 0.0
    if discrete:
        if not hasattr(action.space, "n"):
            raise DataError(
                f"TeamSpec: actions of group {group!r} must be one integer an agent, got {action}. Split every "
                "agent into one for each integer, or number their combinations."
            )
        size = int(action.space.n)
    else:
        size, low, high = action.shape[-1], _bounds(action.space.low), _bounds(action.space.high)
    return TeamSpec(
        *(observation.shape[-2], observation.shape[-1], size, state.shape[-1]),
        discrete=discrete,
        masked=(group, "action_mask") in observations.keys(True, True),
        action_low=low,
        action_high=high,
        agents=agents,
    )


def _action_spec(env: EnvBase, group: str) -> Any:
    spec = env.full_action_spec_unbatched
    if (group, "action") not in spec.keys(True, True):
        raise DataError(
            f"TeamSpec: the environment has no action {(group, 'action')!r}, got "
            f"{list(spec.keys(True, True))}. Does its group_map name its groups?"
        )
    return spec[group, "action"]


def _bounds(bound: Tensor) -> tuple[float, ...]:
    """The bounds of every feature, which all agents of a group share."""
    rows = bound.reshape(-1, bound.shape[-1])
    if (rows != rows[0]).any():
        raise DataError(
            f"TeamSpec: action bounds must be the same for all agents of a group, got {rows.tolist()}. Put "
            "agents of other bounds into a group of their own."
        )
    return tuple(rows[0].tolist())
