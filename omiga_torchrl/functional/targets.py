"""Targets of the team's action value."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.shapes import Bool, Float


def one_step_target(
    reward: Float[Tensor, "*batch"],
    next_value: Float[Tensor, "*batch"],
    terminated: Bool[Tensor, "*batch"],
    gamma: float | Float[Tensor, ""],
) -> Float[Tensor, "*batch"]:
    """``y = r + gamma (1 - terminated) V_tot(s')`` (OMIGA 2023). Detached.

    A time-out is not a termination: its value is bootstrapped.

    Args:
        reward: reward of the team.
        next_value: V_tot of the next state, in units of return.
        terminated: whether the episode ended in the task's sense.
        gamma: discount in [0, 1].

    Examples:
        >>> import torch
        >>> one_step_target(torch.ones(2), torch.full((2,), 4.0), torch.tensor([False, True]), 0.5)
        tensor([3., 1.])
    """
    return (reward + gamma * next_value * ~terminated).detach()


def lambda_target(
    reward: Float[Tensor, "*batch time"],
    next_value: Float[Tensor, "*batch time"],
    terminated: Bool[Tensor, "*batch time"],
    done: Bool[Tensor, "*batch time"],
    gamma: float | Float[Tensor, ""],
    lmbda: float | Float[Tensor, ""],
    next_baseline: Float[Tensor, "*batch time"] | None = None,
) -> Float[Tensor, "*batch time"]:
    """Lambda return, backwards in time. Detached.

    ``y_t = r_t + gamma (1 - terminated_t) (V_{t+1} + l_t (y_{t+1} - B_{t+1}))`` with
    ``l_t = lmbda`` and ``l_t = 0`` where an episode ends (``done``) and at the last step.
    With ``B = V`` (default), ``lmbda = 0`` is :func:`one_step_target` and ``lmbda = 1`` the
    Monte Carlo return with a bootstrapped end. With ``V = rho Q`` and ``B = Q`` it is ICQ's
    operator ``Q_t + sum_k (gamma lmbda)^k (r_k + gamma rho_{k+1} Q_{k+1} - Q_k)``
    (ICQ 2021, equation 20).

    Args:
        reward: reward of the team.
        next_value: V_tot of the next state, in units of return.
        terminated: whether the episode ended in the task's sense.
        done: whether the sequence of this episode ends here, for whatever reason.
        gamma: discount in [0, 1].
        lmbda: in [0, 1].
        next_baseline: B at the next step, what the trace is compared with; None is ``next_value``.

    Examples:
        >>> import torch
        >>> no = torch.zeros(2, dtype=torch.bool)
        >>> lambda_target(torch.ones(2), torch.full((2,), 4.0), no, no, 0.5, 1.0)
        tensor([2.5000, 3.0000])
    """
    discount = gamma * (~terminated).to(reward.dtype)
    trace = lmbda * (~done).to(reward.dtype)
    steps = reward.shape[-1]
    baseline = next_value if next_baseline is None else next_baseline
    target = torch.empty_like(next_value)
    following = baseline[..., -1]
    for t in reversed(range(steps)):
        mixed = next_value[..., t] + trace[..., t] * (following - baseline[..., t])
        following = reward[..., t] + discount[..., t] * mixed
        target[..., t] = following
    return target.detach()
