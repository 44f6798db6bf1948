"""Transforms for recurrent policies: their memory, and each agent's last action."""

from __future__ import annotations

import torch
from tensordict import NestedKey, TensorDictBase
from torch import nn
from torchrl.data import Composite, TensorSpec, Unbounded
from torchrl.envs import Compose, EnvBase, InitTracker, TransformedEnv
from torchrl.envs.transforms import Transform
from torchrl.modules.utils import get_primers_from_module

from omiga_torchrl import keys
from omiga_torchrl.modules import TeamGRU, is_recurrent
from omiga_torchrl.modules.group_policy import key_of_group


class LastAction(Transform):
    """Writes the action before each step; before the first of an episode -1 (discrete) or 0 (continuous).

    Args:
        action: key of the action.
        last_action: key written.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> env = TransformedEnv(make_env("tabular/xor", num_envs=2), LastAction(), auto_unwrap=False)
        >>> env.reset()["agents", "last_action"].tolist()
        [[-1, -1], [-1, -1]]
    """

    def __init__(self, action: NestedKey = keys.ACTION, last_action: NestedKey = keys.LAST_ACTION) -> None:
        super().__init__(in_keys=[action], out_keys=[last_action])

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        return next_tensordict.set(self.out_keys[0], tensordict.get(self.in_keys[0]).clone())

    def _reset(self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase) -> TensorDictBase:
        spec = self.parent.full_action_spec[self.in_keys[0]]
        none = spec.zero() - (0 if spec.dtype.is_floating_point else 1)
        started = tensordict.get("_reset", None)
        before = tensordict.get(self.out_keys[0], None)
        if started is not None and before is not None:
            wide = started.reshape(*started.shape, *[1] * (none.ndim - started.ndim))
            none = torch.where(wide, none, before)
        return tensordict_reset.set(self.out_keys[0], none)

    def transform_observation_spec(self, observation_spec: TensorSpec) -> TensorSpec:
        """The observation spec with the last action."""
        action = self.parent.full_action_spec[self.in_keys[0]]
        spec: Composite = observation_spec
        spec[self.out_keys[0]] = Unbounded(shape=action.shape, dtype=action.dtype, device=action.device)
        return spec


def with_memory(env: EnvBase, policy: object) -> EnvBase:
    """``env`` with what the recurrent parts of ``policy`` need; ``env`` itself where it has none.

    Args:
        env: environment; each last action is that of the entry ``"action"`` beside it, in every group.
        policy: a policy; :class:`omiga_torchrl.modules.TeamGRU` makes it recurrent. One that knows its
            environment, a :class:`omiga_torchrl.policies.TeamPolicy`, checks it first.

    Raises:
        DataError: the policy is for other environments.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> from omiga_torchrl.modules import make_actor
        >>> from omiga_torchrl.specs import TeamSpec
        >>> env = make_env("tabular/xor", num_envs=2)
        >>> policy = make_actor(TeamSpec.from_env(env), hidden_sizes=(8,), rnn_hidden_size=8)
        >>> with_memory(env, policy).rollout(1, policy)["policy_memory"].shape
        torch.Size([2, 1, 2, 8])
    """
    check = getattr(policy, "check_env", None)
    if check is not None:
        check(env)
    if not isinstance(policy, nn.Module) or not is_recurrent(policy):
        return env
    memories = [part for part in policy.modules() if isinstance(part, TeamGRU)]
    if all(part.memory_key in env.full_observation_spec for part in memories):
        return env  # has all of it already
    transforms: list[Transform] = [InitTracker(), get_primers_from_module(policy)]
    last_actions = [key_of_group(part.spec.group, key) for part in memories for key in part.in_keys[1:]]
    for last_action in dict.fromkeys(last_actions):
        transforms.append(LastAction(keys.sibling_key(last_action, "action"), last_action))
    return TransformedEnv(env, Compose(*transforms), auto_unwrap=False)
