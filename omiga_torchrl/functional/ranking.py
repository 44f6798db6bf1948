"""Scores of candidates against their true values: rank correlation, regret, and soft-OPC."""

from __future__ import annotations

from torch import Tensor

from omiga_torchrl.shapes import Bool, Float


def average_rank(score: Float[Tensor, "*batch candidates"]) -> Float[Tensor, "*batch candidates"]:
    """The rank of every score among its row, from 1 for the smallest; equal scores share their mean rank.

    Args:
        score: scores of the candidates.

    Examples:
        >>> import torch
        >>> average_rank(torch.tensor([10.0, 30.0, 20.0, 30.0]))
        tensor([1.0000, 3.5000, 2.0000, 3.5000])
    """
    below = (score.unsqueeze(-2) < score.unsqueeze(-1)).sum(-1)
    equal = (score.unsqueeze(-2) == score.unsqueeze(-1)).sum(-1)
    return below.to(score.dtype) + (equal.to(score.dtype) + 1) / 2


def rank_correlation(
    estimate: Float[Tensor, "*batch candidates"], truth: Float[Tensor, "*batch candidates"]
) -> Float[Tensor, "*batch"]:
    """Spearman's rank correlation, the correlation of average ranks (DOPE, arXiv:2103.16596). NaN: all equal.

    Args:
        estimate: estimated values of the candidates, in any unit.
        truth: their true values.

    Examples:
        >>> import torch
        >>> truth = torch.tensor([1.0, 2.0, 3.0])
        >>> rank_correlation(torch.tensor([0.1, 5.0, 900.0]), truth)
        tensor(1.)
        >>> rank_correlation(torch.tensor([2.0, 1.0, 3.0]), truth)
        tensor(0.5000)
    """
    one, other = (average_rank(values) for values in (estimate, truth))
    one, other = (ranks - ranks.mean(-1, keepdim=True) for ranks in (one, other))
    scale = (one.square().sum(-1) * other.square().sum(-1)).sqrt()
    return (one * other).sum(-1) / scale


def regret_at_k(
    estimate: Float[Tensor, "candidates"], truth: Float[Tensor, "candidates"], k: int
) -> Float[Tensor, ""]:
    """``max_i v_i - max_{i in top k of the estimate} v_i`` (DOPE, arXiv:2103.16596), in units of ``truth``.

    What is lost by trying only the k candidates that are estimated best; 0 if the best is among them.

    Args:
        estimate: estimated values of the candidates.
        truth: their true values v.
        k: number of candidates tried, at least 1; all if there are fewer.

    Examples:
        >>> import torch
        >>> estimate, truth = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([5.0, 4.0, 9.0])
        >>> [float(regret_at_k(estimate, truth, k)) for k in (1, 2, 3)]
        [4.0, 4.0, 0.0]
    """
    top = estimate.topk(min(k, len(estimate))).indices
    return truth.max() - truth[top].max()


def soft_opc(
    value: Float[Tensor, "*batch steps"], is_successful: Bool[Tensor, "steps"]
) -> Float[Tensor, "*batch"]:
    """``mean_{successful} Q(s, a) - mean Q(s, a)``, soft off-policy classification (arXiv:1906.01624).

    A critic that knows which actions led to success values those of successful episodes above the others.

    Args:
        value: Q of the data's steps.
        is_successful: steps of episodes whose return is above a threshold.

    Examples:
        >>> import torch
        >>> soft_opc(torch.tensor([1.0, 3.0]), torch.tensor([False, True]))
        tensor(1.)
    """
    return value[..., is_successful].mean(-1) - value.mean(-1)
