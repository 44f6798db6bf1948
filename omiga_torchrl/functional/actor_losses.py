"""Losses of policies that follow a critic, unreduced, and the actions that they are judged by."""

from __future__ import annotations

from torch import Tensor

from omiga_torchrl.functional.bounds import clamp_to_bounds, feature_mean, half_ranges
from omiga_torchrl.functional.dual import td3_bc_lambda
from omiga_torchrl.shapes import Bool, Float


def cql_actor_loss(
    qvalue: Float[Tensor, "*batch"],
    log_prob: Float[Tensor, "*batch"],
    entropy_coeff: float | Float[Tensor, ""],
) -> Float[Tensor, "*batch"]:
    """``entropy_coeff log pi(a | o) - Q(o, a)``, a ~ pi: CQL's policy loss, and SAC's (arXiv:1801.01290).

    Args:
        qvalue: Q of the policy's action, in units of return.
        log_prob: log pi of the same action.
        entropy_coeff: weight of the entropy >= 0, in units of return.

    Examples:
        >>> import torch
        >>> cql_actor_loss(torch.tensor([2.0]), torch.tensor([-1.0]), 0.5)
        tensor([-2.5000])
    """
    return entropy_coeff * log_prob - qvalue


def td3_bc_actor_loss(
    qvalue: Float[Tensor, "*batch"],
    action: Float[Tensor, "*batch features"],
    data_action: Float[Tensor, "*batch features"],
    alpha: float | Float[Tensor, ""] = 2.5,
    mask: Bool[Tensor, "*batch"] | None = None,
    *,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
) -> Float[Tensor, "*batch"]:
    """``|pi(o) - a|^2 - lambda Q(o, pi(o))``, ``lambda = alpha / mean |Q|`` (TD3+BC, arXiv:2106.06860).

    The square is the mean over action features, in units of half their range; lambda is detached, see
    :func:`td3_bc_lambda`.

    Args:
        qvalue: Q of the policy's action, in units of return.
        action: the policy's action.
        data_action: the data's action.
        alpha: weight of Q >= 0, without unit.
        mask: entries that count in lambda; all if None.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound of actions, or of each feature; a feature without a range is left out.

    Examples:
        >>> import torch
        >>> action, data_action = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> td3_bc_actor_loss(torch.tensor([4.0]), action, data_action, alpha=2.0)  # 1 / 2 - 2 / 4 * 4
        tensor([-1.5000])
    """
    cloning_error = feature_mean(((action - data_action) / half_ranges(low, high)).square(), low, high)
    return cloning_error - td3_bc_lambda(qvalue, alpha, mask) * qvalue


def omar_actor_loss(
    qvalue: Float[Tensor, "*batch"],
    action: Float[Tensor, "*batch features"],
    best_action: Float[Tensor, "*batch features"],
    cem_weight: float | Float[Tensor, ""],
    action_penalty: float = 0.0,
    *,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
) -> Float[Tensor, "*batch"]:
    """``c |pi - best|^2 - (1 - c) Q(o, pi) + action_penalty pi^2``: OMAR's policy loss (arXiv:2111.11188).

    Squares are means over action features, in units of half the action range, around its middle.

    Args:
        qvalue: Q of the policy's action, in units of return.
        action: the policy's action.
        best_action: what it imitates. Detached.
        cem_weight: c in [0, 1].
        action_penalty: weight of the squared action >= 0.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound of actions, or of each feature; a feature without a range is left out.

    Examples:
        >>> import torch
        >>> action, best = torch.tensor([[0.5]]), torch.tensor([[1.0]])
        >>> omar_actor_loss(torch.tensor([2.0]), action, best, 0.75, 0.5)  # 0.75 / 4 - 0.25 * 2 + 0.5 / 4
        tensor([-0.1875])
    """
    middle, half_range = (high + low) / 2, half_ranges(low, high)
    imitation_error = feature_mean(((action - best_action.detach()) / half_range).square(), low, high)
    size = feature_mean(((action - middle) / half_range).square(), low, high)
    return cem_weight * imitation_error - (1 - cem_weight) * qvalue + action_penalty * size


def smoothed_action(
    action: Float[Tensor, "*batch features"],
    noise: Float[Tensor, "*batch features"],
    policy_noise: float,
    noise_clip: float,
    *,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
) -> Float[Tensor, "*batch features"]:
    """``clip(a + h clip(sigma noise, +-noise_clip), low, high)``: target policy smoothing (TD3).

    arXiv:1802.09477; h is half the action range.

    Args:
        action: the target policy's action.
        noise: standard normal.
        policy_noise: sigma, in units of h.
        noise_clip: bound of the noise, in units of h.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound of actions, or of each feature; a feature without a range is left out.

    Examples:
        >>> import torch
        >>> smoothed_action(torch.tensor([0.0, 0.0, 0.9]), torch.tensor([1.0, 5.0, 1.0]), 0.2, 0.5)
        tensor([0.2000, 0.5000, 1.0000])
    """
    half_range = (high - low) / 2
    change = half_range * (policy_noise * noise).clamp(-noise_clip, noise_clip)
    return clamp_to_bounds(action + change, low, high)
