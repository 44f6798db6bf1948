"""`fitted_values`: what fitted-Q evaluation says of several policies on one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import first_steps
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.selection.actions import PolicyActions
from omiga_torchrl.selection.calibration import Calibration, calibrate
from omiga_torchrl.selection.config import FQEConfig
from omiga_torchrl.selection.fitted_q import StackedFQE
from omiga_torchrl.selection.joint import as_one_agent, joint_action, one_agent_spec


@dataclass(frozen=True)
class FittedValues:
    """Fitted values of P policies by K seeds, discounted, in raw units of reward.

    Attributes:
        value: mean over the data's first states ``[P, K]``.
        calibration: of the behaviour's own fit.
    """

    value: Tensor
    calibration: Calibration


def fitted_values(
    spec: AnyTeamSpec,
    data: TensorDictBase,
    actions: Sequence[Sequence[PolicyActions]],
    config: FQEConfig,
    *,
    reward_scale: float = 1.0,
    seed: int = 0,
) -> FittedValues:
    """The values of policies at the data's first states by fitted-Q evaluation.

    The behaviour's own values are fitted first, with its next actions in the data; every policy begins
    with them.

    Args:
        spec: sizes of the team.
        data: transitions ``[T]`` of whole episodes in order; observations should have about unit scale.
        actions: of every policy on them; several samples of a stochastic one, as many of each.
        config: networks and optimisation.

    Keyword Args:
        reward_scale: what the data's rewards were divided by.
        seed: first of the seeds.
    """
    reward = data["next", keys.REWARD].as_subclass(Tensor)
    low, high = (float(x) / (1 - config.gamma) for x in (reward.min(), reward.max()))
    value_range = (low - 1.0, high + 1.0)  # rewards that never change have none
    number = range(len(actions[0]))
    now = [_stacked([of_policy[s].now for of_policy in actions]) for s in number]
    following = [_stacked([of_policy[s].following for of_policy in actions]) for s in number]
    if config.critic == "joint":
        now = [{keys.ACTION: joint_action(spec, one, data)} for one in now]
        following = [{keys.ACTION: joint_action(spec, one, data["next"])} for one in following]
        spec, data = one_agent_spec(spec), _with_episodes(as_one_agent(spec, data), data)
    fits = StackedFQE(spec, config, value_range=value_range, seed=seed)
    taken, rows = _next_actions(spec, data)
    fits.fit(data, taken, steps=config.behavior_steps, rows=rows)
    calibration = calibrate(data, fits.values(data)[0], config.gamma, reward_scale)
    fits = fits.for_policies(len(actions))
    fits.fit(data, following, steps=config.steps)
    first = first_steps(data[keys.EPISODE]).nonzero().flatten()
    at_first = [
        fits.values(data[first], {key: value[:, first] for key, value in one.items()}).mean(-1) for one in now
    ]
    return FittedValues(torch.stack(at_first).mean(0).double() * reward_scale, calibration)


def _stacked(actions: Sequence[dict[NestedKey, Tensor]]) -> dict[NestedKey, Tensor]:
    return {key: torch.stack([one[key] for one in actions]) for key in actions[0]}


def _with_episodes(joint: TensorDictBase, data: TensorDictBase) -> TensorDictBase:
    return joint.set(keys.EPISODE, data[keys.EPISODE])


def _next_actions(spec: AnyTeamSpec, data: TensorDictBase) -> tuple[dict[NestedKey, Tensor], Tensor]:
    """The behaviour's next actions ``[1, T, ...]``, and the transitions that have one or need none."""
    names: list[NestedKey] = [(name, "action") for name in spec.groups]
    actions = {key: data.get(key).as_subclass(Tensor) for key in names}
    following = {key: torch.cat([one[1:], one[-1:]]).unsqueeze(0) for key, one in actions.items()}
    is_first = first_steps(data[keys.EPISODE])
    is_last = torch.cat([is_first[1:], torch.ones_like(is_first[:1])])
    terminated = data["next", keys.TERMINATED].as_subclass(Tensor).reshape(-1)
    return following, (~is_last | terminated).nonzero().flatten()
