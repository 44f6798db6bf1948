"""TD targets of the team's values: one step, several steps, or lambda returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.rewards import agents_first
from omiga_torchrl.objectives.sequences import next_step, require_sequences

if TYPE_CHECKING:
    from omiga_torchrl.objectives.view import TeamView

_PARAMETERS = {ValueEstimators.TD0: {"gamma"}, ValueEstimators.TDLambda: {"gamma", "lmbda"}}


def check_estimator(component: str, value_type: ValueEstimators, parameters: dict[str, Any]) -> None:
    """Refuse estimators and parameters that the library has no target for.

    Args:
        component: name of the loss.
        value_type: TorchRL's name of the estimator.
        parameters: its numbers.

    Raises:
        NotImplementedError: another estimator than TD0 and TDLambda.
        TypeError: a parameter that it does not have.
        ValueError: a number out of its range.
    """
    if value_type not in _PARAMETERS:
        raise NotImplementedError(
            f"{component}: value estimator {value_type} is not supported; choose TD0 or TDLambda."
        )
    unknown = set(parameters) - _PARAMETERS[value_type]
    if unknown:
        known = ", ".join(sorted(_PARAMETERS[value_type]))
        raise TypeError(
            f"{component}: {value_type} must be made with {known} only, got {', '.join(sorted(unknown))}. "
            "Leave the others out."
        )
    require_number(component, "in [0, 1]", **parameters)


@dataclass(frozen=True)
class TargetEstimator:
    """TD target of values, as a loss computes it.

    Attributes:
        value_type: ``TD0`` or ``TDLambda``.
        gamma: discount.
        lmbda: of TDLambda.

    Examples:
        >>> no, one = torch.zeros(3, dtype=torch.bool), torch.ones(3)
        >>> TargetEstimator(ValueEstimators.TD0, torch.tensor(0.5), torch.tensor(0.9))(one, one, no, no)
        tensor([1.5000, 1.5000, 1.5000])
    """

    value_type: ValueEstimators
    gamma: Tensor
    lmbda: Tensor

    def __call__(self, reward: Tensor, next_value: Tensor, terminated: Tensor, done: Tensor) -> Tensor:
        """Targets ``[*B]``; TDLambda takes sequences ``[*B, T]``.

        Args:
            reward: of the team, or of each agent.
            next_value: value of the next state.
            terminated: the episode ended in the task's sense.
            done: the sequence of this episode ends here.
        """
        if self.value_type == ValueEstimators.TD0:
            return F.one_step_target(reward, next_value, terminated, self.gamma)
        return F.lambda_target(reward, next_value, terminated, done, self.gamma, self.lmbda)


@torch.no_grad()
def td_target(view: TeamView, next_value: Tensor) -> Tensor:
    """Targets ``[*B]`` of a mixed team, or ``[*B, N]`` of independent agents.

    Args:
        view: the batch; gives rewards and flags, discounts and masks.
        next_value: values of the next step, with the shape of the targets.

    Raises:
        ValueError: TDLambda with a flat batch or with multi-step rewards.
    """
    loss = view.loss
    reward, terminated, done = view.reward, view.terminated, view.done
    gamma, steps = loss.gamma, view.steps_to_next_obs
    if loss.value_type == ValueEstimators.TDLambda:
        component = type(loss).__name__
        require_sequences(component, loss.tensor_keys.done, done, trailing=0)
        if steps is not None:
            raise ValueError(
                f"{component}: TDLambda needs one-step rewards, got {loss.tensor_keys.steps_to_next_obs!r} "
                "in the data. Use the TD0 estimator with MultiStep, or remove the MultiStep transform."
            )
        if view.mask is not None:  # a sequence ends where its padding begins
            done = done | ~next_step(view.mask)
    of_agents = next_value.ndim > terminated.ndim
    next_value, reward = agents_first(next_value, terminated), agents_first(reward, terminated)
    reward, terminated, done = (x.expand_as(next_value) for x in (reward, terminated, done))
    if loss.value_type == ValueEstimators.TD0 and steps is None:
        target = F.one_step_target(reward, next_value, terminated, gamma)
    elif steps is not None:
        discount = gamma.to(reward.dtype) ** steps
        target = F.one_step_target(reward, discount * next_value, terminated, 1.0)
    else:
        target = F.lambda_target(reward, next_value, terminated, done, gamma, loss.lmbda)
    return target.movedim(0, -1) if of_agents else target
