"""`TeamSpec`: the sizes of a team task, read off an environment or a batch of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.action_bounds import ActionBound as ActionBound
from omiga_torchrl.action_bounds import checked_bound
from omiga_torchrl.errors import DataError, require_key

if TYPE_CHECKING:
    from omiga_torchrl.groups import GroupedTeamSpec

Kind = Literal["continuous", "discrete", "mixed"]
"""Kind of actions; that of a team is ``"mixed"`` where groups differ in it."""
KINDS: Final[tuple[Kind, ...]] = ("continuous", "discrete")
"""The kinds of actions that the agents of a group can have."""


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
        action_low: lower bound of every action feature, or of each ``(A values)``, or of each of every agent
            ``(N tuples)``, finite, in single precision; without a meaning for discrete actions. A feature
            whose bounds are equal is one that the agent does not have: padding, which likelihoods, noise
            and samplers leave out.
        action_high: upper bound of every action feature, or as above.
        clipped: whether more than a hundredth of the data's continuous actions are exactly on a bound, as
            clipping leaves them: policies that clone them are censored Gaussians then. Not compared.
        agents: names of the agents, in order; ``()`` if they have none. Not compared.
        group: name of the group in a team of several, which :meth:`from_groups` gives. Not compared.

    Raises:
        ValueError: another number of bounds or names than of features or agents, bounds that are not finite,
            or a lower bound is above its upper one.
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
    clipped: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("action_low", "action_high"):
            # Bounds of discrete actions mean nothing, and must not tell equal tasks apart.
            value = getattr(type(self), name) if self.discrete else getattr(self, name)
            bound = checked_bound("TeamSpec", name, value, self.n_agents, self.action_size)
            object.__setattr__(self, name, bound)
        if (np.asarray(self.action_low) > np.asarray(self.action_high)).any():
            raise ValueError(
                f"TeamSpec: action_low must be at most action_high, got {self.action_low} and "
                f"{self.action_high}."
            )
        object.__setattr__(self, "agents", tuple(self.agents))
        if self.agents and len(self.agents) != self.n_agents:
            raise ValueError(
                f"TeamSpec: agents must be {self.n_agents} names, one an agent, got {self.agents}."
            )

    @property
    def action_feature_mask(self) -> tuple[tuple[bool, ...], ...]:
        """Whether an agent has an action feature, ``N`` rows of ``A``: False for padding, without a range."""
        low, high = (np.broadcast_to(np.asarray(x), self._rows) for x in (self.action_low, self.action_high))
        return tuple(tuple(row) for row in (low < high).tolist())

    @property
    def _rows(self) -> tuple[int, int]:
        return self.n_agents, self.action_size

    @property
    def groups(self) -> dict[str, TeamSpec]:
        """Name of every group to its sizes: here the one group ``"agents"``."""
        return {keys.GROUP: self}

    @property
    def kind(self) -> Kind:
        """``"continuous"`` or ``"discrete"``."""
        return "discrete" if self.discrete else "continuous"

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
        sizes = sizes or {0}  # without groups: the error says so
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
        from omiga_torchrl.env_specs import groups_of_env

        return cls.from_groups(groups_of_env(env))

    @classmethod
    def from_batch(cls, batch: TensorDictBase, **known: Any) -> TeamSpec:
        """The sizes of a batch of data in the default keys, of one group ``"agents"``.

        Discrete teams without a mask need ``action_size=K``; continuous ones whose
        actions are not in [-1, 1] need ``action_low`` and ``action_high``.

        Args:
            batch: the data.
            **known: sizes that the data do not tell.

        Raises:
            DataError: the number of discrete actions is unknown, or discrete actions are floats.
        """
        observation = require_key("TeamSpec", batch, keys.OBSERVATION)
        action = require_key("TeamSpec", batch, keys.ACTION)
        state = require_key("TeamSpec", batch, keys.STATE)
        mask = batch.get(keys.ACTION_MASK, None)
        discrete = not action.dtype.is_floating_point
        if not discrete and (mask is not None or ("discrete" not in known and _is_one_hot(action))):
            raise DataError(
                f"TeamSpec: actions must be integers where they are discrete, got {action.dtype}"
                f"{' with an action mask' if mask is not None else ', all one-hot'}. Cast them with .long() "
                "or .argmax(-1); if they are continuous, pass discrete=False and no mask."
            )
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
        from omiga_torchrl.fake_data import fake_batch

        return fake_batch(self, *batch)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for cards and checkpoints; names of agents and ``clipped`` only where there are."""
        values = asdict(self)
        agents, _, clipped = values.pop("agents"), values.pop("group"), values.pop("clipped")
        values |= {"agents": list(agents)} if agents else {}
        return {**values, "clipped": True} if clipped else values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TeamSpec | GroupedTeamSpec:
        """The spec that :meth:`to_dict`, of this class or of a team of groups, has written.

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


def _is_one_hot(action: Tensor) -> bool:
    """Whether every agent's action is a one and zeros, as no continuous actions are."""
    rows = action.reshape(-1, action.shape[-1])
    enough = rows.shape[-1] > 1 and len(rows) > 1
    return bool(enough and ((rows == 0) | (rows == 1)).all() and (rows.sum(-1) == 1).all())
