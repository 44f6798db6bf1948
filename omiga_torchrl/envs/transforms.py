"""Transforms that turn a per-agent environment into a team environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor
from torchrl.data import Bounded, Composite, TensorSpec, Unbounded
from torchrl.envs.transforms import ObservationTransform, Transform

from omiga_torchrl import keys
from omiga_torchrl.errors import unknown_name

Aggregate = Literal["mean", "sum", "first"]
AGGREGATES = ("mean", "sum", "first")


class TeamReward(Transform):
    """Replaces the agents' rewards `[*B, N, 1]` by one reward of the team `[*B, 1]`.

    The agents' entries are removed, so that the environment has exactly one reward
    and no loss or counter can pick the wrong one.

    Args:
        aggregate: ``"mean"`` or ``"sum"`` over the agents of all groups, ``"first"`` for the first agent's,
            or the name of a group for the mean over its agents. With rewards that all agents share,
            ``"mean"`` is that reward and ``"sum"`` is N times it. A group's name is for games with two sides:
            the sides' rewards sum to nothing that a team could want.
        agent_reward_key: the agents' reward, or a list of one for each group: a group's name is the first
            part of its key.
        reward_key: the reward of the team.
        keep_agent_rewards: whether the agents' entries stay as well, for learners of own rewards.

    Raises:
        ValueError: ``aggregate`` is neither a rule nor a group.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> after = TensorDict({("agents", "reward"): torch.tensor([[[1.0], [3.0]]])}, [1])
        >>> TeamReward("sum")._step(TensorDict(batch_size=[1]), after)["reward"]
        tensor([[4.]])
    """

    def __init__(
        self,
        aggregate: str = "mean",
        *,
        agent_reward_key: NestedKey | list[NestedKey] = (keys.GROUP, "reward"),
        reward_key: NestedKey = keys.REWARD,
        keep_agent_rewards: bool = False,
    ) -> None:
        found = agent_reward_key if isinstance(agent_reward_key, list) else [agent_reward_key]
        self._of_group = {keys.key_path(key)[0]: index for index, key in enumerate(found)}
        if aggregate not in AGGREGATES and aggregate not in self._of_group:
            raise unknown_name("TeamReward", "aggregate", aggregate, (*AGGREGATES, *self._of_group))
        super().__init__(in_keys=found, out_keys=[reward_key])
        self.aggregate, self.keep_agent_rewards = aggregate, keep_agent_rewards

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        team = self._of_team([next_tensordict.get(key) for key in self.in_keys])
        if not self.keep_agent_rewards:
            next_tensordict = next_tensordict.exclude(*self.in_keys)
        return next_tensordict.set(self.out_keys[0], team)

    def _of_team(self, rewards: list[Tensor]) -> Tensor:
        if self.aggregate not in AGGREGATES:
            return rewards[self._of_group[self.aggregate]].mean(-2)
        if self.aggregate == "first":
            return rewards[0][..., 0, :].clone()
        every = rewards[0] if len(rewards) == 1 else torch.cat(rewards, -2)
        return every.mean(-2) if self.aggregate == "mean" else every.sum(-2)

    def transform_reward_spec(self, reward_spec: TensorSpec) -> TensorSpec:
        """The reward spec with the team's entry in place of the agents', or beside them."""
        per_agent = reward_spec[self.in_keys[0]]
        shape = (*per_agent.shape[:-2], per_agent.shape[-1])
        team = (
            reward_spec.clone()
            if self.keep_agent_rewards
            else Composite(shape=reward_spec.shape, device=reward_spec.device)
        )
        team[self.out_keys[0]] = Unbounded(shape, device=per_agent.device, dtype=per_agent.dtype)
        return team


class ConcatState(ObservationTransform):
    """Adds the state `[*B, S]`: the observations of all agents in a row, group after group.

    For simulators that give no state of their own. ``S`` is the sum of `N O` over the groups.

    Args:
        observation_key: observations `[*B, N, O]`, or a list of one for each group.
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
        observation_key: NestedKey | list[NestedKey] = keys.OBSERVATION,
        state_key: NestedKey = keys.STATE,
    ) -> None:
        found = observation_key if isinstance(observation_key, list) else [observation_key]
        super().__init__(in_keys=found, out_keys=[state_key])

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        rows = [next_tensordict.get(key).flatten(-2) for key in self.in_keys]
        # A copy: an in-place change of the state must not reach the observations.
        state = rows[0].clone() if len(rows) == 1 else torch.cat(rows, -1)
        return next_tensordict.set(self.out_keys[0], state)

    forward = _call

    def _reset(self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return cast(TensorDictBase, self._call(tensordict_reset))

    def transform_observation_spec(self, observation_spec: TensorSpec) -> TensorSpec:
        """The observation spec with the state added."""
        observation_spec[self.out_keys[0]] = _in_a_row([observation_spec[key] for key in self.in_keys])
        return observation_spec


def _in_a_row(sources: Sequence[TensorSpec]) -> TensorSpec:
    """A spec of all agents' features, with the bounds of `sources` where all have some."""
    first = sources[0]
    size = sum(source.shape[-2] * source.shape[-1] for source in sources)
    shape = (*first.shape[:-2], size)
    if all(isinstance(source, Bounded) for source in sources):
        low, high = (
            torch.cat([getattr(source.space, side).flatten(-2) for source in sources], -1)
            for side in ("low", "high")
        )
        return Bounded(low, high, shape, device=first.device, dtype=first.dtype)
    return Unbounded(shape, device=first.device, dtype=first.dtype)
