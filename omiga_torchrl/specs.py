"""`TeamSpec`: the sizes of a team task, read off an environment or a batch of data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.errors import DataError, require_key


@dataclass(frozen=True)
class TeamSpec:
    """The sizes that networks need.

    Attributes:
        n_agents: number of agents N.
        observation_size: features O of one agent's observation.
        action_size: features A of one agent's action, or the number of actions K if ``discrete``.
        state_size: features S of the state.
        discrete: whether actions are integers.
        masked: whether the task gives an action mask.
        action_low: lower bound of every action feature (continuous only).
        action_high: upper bound of every action feature (continuous only).
    """

    n_agents: int
    observation_size: int
    action_size: int
    state_size: int
    discrete: bool = False
    masked: bool = False
    action_low: float = -1.0
    action_high: float = 1.0

    @classmethod
    def from_env(cls, env: EnvBase) -> TeamSpec:
        """The sizes of an environment made by :func:`omiga_torchrl.envs.make_env`."""
        spec = env.full_observation_spec_unbatched
        observation, state = spec[keys.OBSERVATION], spec[keys.STATE]
        masked = keys.ACTION_MASK in spec.keys(True, True)
        action = env.full_action_spec_unbatched[keys.ACTION]
        discrete = not action.dtype.is_floating_point
        if discrete:
            size, low, high = int(action.space.n), 0.0, 0.0
        else:
            size = action.shape[-1]
            low, high = action.space.low.unique(), action.space.high.unique()
            if low.numel() != 1 or high.numel() != 1:
                raise DataError(
                    f"TeamSpec: action bounds differ between features (low {low.tolist()}, high "
                    f"{high.tolist()}); expected one range. Rescale actions with a transform."
                )
            low, high = float(low), float(high)
        return cls(
            *(observation.shape[-2], observation.shape[-1], size, state.shape[-1]),
            discrete=discrete,
            masked=masked,
            action_low=low,
            action_high=high,
        )

    @classmethod
    def from_batch(cls, batch: TensorDictBase, **known: Any) -> TeamSpec:
        """The sizes of a batch of data in the default keys.

        Discrete teams without a mask need ``action_size=K``; continuous ones whose
        actions are not in [-1, 1] need ``action_low`` and ``action_high``.
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
        from_obs = torch.randn(2, *batch, self.n_agents, self.observation_size)
        states = torch.randn(2, *batch, self.state_size)
        agents = {"observation": from_obs[0]}
        following = {"observation": from_obs[1]}
        if self.discrete:
            agents["action"] = torch.randint(self.action_size, (*batch, self.n_agents))
        else:
            low, high = self.action_low, self.action_high
            agents["action"] = torch.empty(*batch, self.n_agents, self.action_size).uniform_(low, high)
        if self.masked:
            legal = torch.rand(2, *batch, self.n_agents, self.action_size) < 0.7
            legal[0].scatter_(-1, agents["action"].unsqueeze(-1), True)
            legal[1, ..., 0] = True
            agents["action_mask"], following["action_mask"] = legal
        ended = torch.rand(*batch, 1) < 0.1
        if len(batch) > 1:
            ended[..., :-1, :] = False
        starts = torch.zeros(*batch, 1, dtype=torch.bool)
        starts[(..., 0, slice(None)) if batch else ...] = True
        return TensorDict(
            {
                keys.GROUP: TensorDict(agents, [*batch]),
                keys.STATE: states[0],
                keys.IS_INIT: starts,
                "next": TensorDict(
                    {
                        keys.GROUP: TensorDict(following, [*batch]),
                        keys.STATE: states[1],
                        keys.REWARD: torch.randn(*batch, 1),
                        keys.DONE: ended,
                        keys.TERMINATED: ended.clone(),
                    },
                    [*batch],
                ),
            },
            [*batch],
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for cards and checkpoints."""
        return asdict(self)
