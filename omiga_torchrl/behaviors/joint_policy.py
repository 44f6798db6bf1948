"""Policies of a joint task, played by a team: every agent sends its share of the joint action."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import NestedKey, TensorDict
from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import Tensor, nn
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.team_env import team_env


class _JointPolicy(nn.Module):
    """From the simulator's observation `[*B, D]` to the actions `[*B, N, A]` of every group."""

    def __init__(self, policy: TensorDictModuleBase, slots: Sequence[Sequence[Sequence[int]]]) -> None:
        super().__init__()
        self.policy = policy
        self.groups = nn.ModuleList(_Shares(of_group) for of_group in slots)

    def forward(self, raw_state: Tensor) -> Tensor | tuple[Tensor, ...]:
        observation = raw_state.unsqueeze(-2)
        agents = TensorDict({"observation": observation}, observation.shape[:-1])
        joint = self.policy(TensorDict({keys.GROUP: agents}, raw_state.shape[:-1]))[keys.ACTION].squeeze(-2)
        shares = tuple(group(joint) for group in self.groups)
        return shares[0] if len(shares) == 1 else shares


class _Shares(nn.Module):
    """From the joint action `[*B, M]` to the agents' shares of it, padded to `[*B, N, A]`."""

    slots: Tensor
    real: Tensor

    def __init__(self, slots: Sequence[Sequence[int]]) -> None:
        super().__init__()
        width = max(map(len, slots))
        padded = [[*places, *[0] * (width - len(places))] for places in slots]
        self.register_buffer("slots", torch.tensor(padded))
        self.register_buffer("real", torch.arange(width) < torch.tensor([[len(p)] for p in slots]))

    def forward(self, joint: Tensor) -> Tensor:
        return joint[..., self.slots] * self.real


def as_team_policy(policy: TensorDictModuleBase, spec: TeamSpec, env: EnvBase) -> TensorDictModule:
    """A policy of one agent with all joints, as the policy of a team that shares the joints.

    A Gaussian policy on the whole state has independent features, so that it is a team of
    decentralised policies, however its joints are divided.

    Args:
        policy: reads ``("agents", "observation")`` `[*B, 1, D]`, writes ``("agents", "action")``
            `[*B, 1, M]`.
        spec: the sizes it was made for.
        env: a MuJoCo environment made with ``raw_state=True``.

    Returns:
        A policy that reads ``"raw_state"`` and writes the agents' actions.

    Raises:
        DataError: the environment is of another robot, or does not give its raw state.
    """
    slots = team_env(env).joint_slots
    raw = env.full_observation_spec_unbatched.get(keys.RAW_STATE, None)
    found = (
        1,
        0 if raw is None else raw.shape[-1],
        0 if slots is None else sum(map(len, slots)),
    )
    expected = (spec.n_agents, spec.observation_size, spec.action_size)
    if slots is None or found != expected:
        raise DataError(
            f"as_team_policy: the policy is for (agents, observation, action) = {expected}, the environment "
            f"has {found} as one agent. Play the robot it was trained on, with raw_state=True."
        )
    groups = {name: _numbers(agents) for name, agents in env.group_map.items()}
    shares = [[slots[agent] for agent in agents] for agents in groups.values()]
    out_keys: list[NestedKey] = [(name, "action") for name in groups]
    return TensorDictModule(_JointPolicy(policy, shares), in_keys=[keys.RAW_STATE], out_keys=out_keys)


def _numbers(agents: Sequence[str]) -> list[int]:
    """The numbers of agents that are called ``agent_<number>``, as in all tasks that share a robot."""
    return [int(agent.rpartition("_")[2]) for agent in agents]
