"""Transforms that turn a per-agent environment into a team environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from tensordict import NestedKey, TensorDictBase
from torch import Tensor
from torchrl.data import Bounded, Composite, TensorSpec, Unbounded
from torchrl.envs.transforms import ObservationTransform, Transform

from omiga_torchrl import keys
from omiga_torchrl.errors import unknown_name

Aggregate = Literal["mean", "sum"]


class TeamReward(Transform):
    """Replaces the per-agent reward `[*B, N, 1]` by one reward of the team `[*B, 1]`.

    The per-agent entry is removed, so that the environment has exactly one reward
    and no loss or counter can pick the wrong one.

    Args:
        aggregate: ``"mean"`` or ``"sum"`` over the agents. With rewards that all
            agents share, ``"mean"`` is that reward and ``"sum"`` is N times it.
        agent_reward_key: the per-agent reward.
        reward_key: the reward of the team.

    Raises:
        ValueError: ``aggregate`` is neither ``"mean"`` nor ``"sum"``.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> after = TensorDict({("agents", "reward"): torch.tensor([[[1.0], [3.0]]])}, [1])
        >>> TeamReward("sum")._step(TensorDict(batch_size=[1]), after)["reward"]
        tensor([[4.]])
    """

    def __init__(
        self,
        aggregate: Aggregate = "mean",
        *,
        agent_reward_key: NestedKey = (keys.GROUP, "reward"),
        reward_key: NestedKey = keys.REWARD,
    ) -> None:
        if aggregate not in ("mean", "sum"):
            raise unknown_name("TeamReward", "aggregate", aggregate, ("mean", "sum"))
        super().__init__(in_keys=[agent_reward_key], out_keys=[reward_key])
        self.aggregate = aggregate

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        reward = next_tensordict.get(self.in_keys[0])
        team = reward.mean(-2) if self.aggregate == "mean" else reward.sum(-2)
        return next_tensordict.exclude(self.in_keys[0]).set(self.out_keys[0], team)

    def transform_reward_spec(self, reward_spec: TensorSpec) -> TensorSpec:
        """The reward spec with the team's entry in place of the agents'."""
        per_agent = reward_spec[self.in_keys[0]]
        shape = (*per_agent.shape[:-2], per_agent.shape[-1])
        team = Composite(shape=reward_spec.shape, device=reward_spec.device)
        team[self.out_keys[0]] = Unbounded(shape, device=per_agent.device, dtype=per_agent.dtype)
        return team


class ConcatState(ObservationTransform):
    """Adds the state `[*B, N * O]`: the observations of all agents in a row.

    For simulators that give no state of their own.

    Args:
        observation_key: observations `[*B, N, O]`.
        state_key: where the state goes.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> reset = TensorDict({("agents", "observation"): torch.tensor([[[1.0], [2.0]]])}, [1])
        >>> ConcatState()._call(reset)["state"]
        tensor([[1., 2.]])
    """

    def __init__(
        self,
        *,
        observation_key: NestedKey = keys.OBSERVATION,
        state_key: NestedKey = keys.STATE,
    ) -> None:
        super().__init__(in_keys=[observation_key], out_keys=[state_key])

    def _apply_transform(self, obs: Tensor) -> Tensor:
        # A copy: an in-place change of the state must not reach the observations.
        return obs.flatten(-2).clone()

    def _reset(self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return cast(TensorDictBase, self._call(tensordict_reset))

    def transform_observation_spec(self, observation_spec: TensorSpec) -> TensorSpec:
        """The observation spec with the state added."""
        source = observation_spec[self.in_keys[0]]
        shape = (*source.shape[:-2], source.shape[-2] * source.shape[-1])
        observation_spec[self.out_keys[0]] = _like(source, shape)
        return observation_spec


def _like(source: TensorSpec, shape: Sequence[int]) -> TensorSpec:
    """A spec of `shape` with the bounds of `source` where it has any."""
    if isinstance(source, Bounded):
        low, high = source.space.low.reshape(shape), source.space.high.reshape(shape)
        return Bounded(low, high, shape, device=source.device, dtype=source.dtype)
    return Unbounded(shape, device=source.device, dtype=source.dtype)
