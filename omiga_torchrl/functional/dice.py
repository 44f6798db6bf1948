"""ComaDICE's losses: the dual of a return regularized by a divergence of occupancies, unreduced."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.functional.divergences import soft_chi_square, soft_chi_square_ratio
from omiga_torchrl.shapes import Float


def soft_chi_square_conjugate(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """``f*(x) = exp(x) - 1`` for x < 0, else ``x + x^2 / 2``: the convex conjugate of the soft chi-square.

    ``f*(x) = max_y x y - f(y) = x r(x) - f(r(x))``; its slope is the ratio r of
    :func:`omiga_torchrl.functional.soft_chi_square_ratio`.

    Args:
        x: an advantage divided by alpha, without unit.

    Examples:
        >>> import torch
        >>> soft_chi_square_conjugate(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([-0.6321,  0.0000,  4.0000])
    """
    above = x.clamp(min=0)
    return torch.expm1(x - above) + above + above.square() / 2


def comadice_value_loss(
    advantage: Float[Tensor, "*batch"], alpha: float | Float[Tensor, ""]
) -> Float[Tensor, "*batch"]:
    """``alpha f*(e / alpha)``: ComaDICE's loss of V besides its first states (arXiv:2410.01954).

    ``e = r + gamma V(s') - V(s)``; its gradient is ``r(e / alpha)`` times that of e.

    Args:
        advantage: e, in units of return.
        alpha: price of divergence > 0, in units of return.

    Examples:
        >>> import torch
        >>> comadice_value_loss(torch.tensor([1.0, -1.0]), 0.5)  # 0.5 (2 + 2), 0.5 (exp(-2) - 1)
        tensor([ 2.0000, -0.4323])
    """
    return alpha * soft_chi_square_conjugate(advantage / alpha)


def comadice_lagrange_loss(
    advantage: Float[Tensor, "*batch"],
    lagrange_multiplier: Float[Tensor, ""],
    alpha: float | Float[Tensor, ""],
) -> Float[Tensor, "*batch"]:
    """``alpha f*((e - lambda) / alpha) + lambda``: the loss of lambda, by which the mean ratio is 1.

    Its gradient at lambda is ``1 - r((e - lambda) / alpha)`` (ComaDICE, arXiv:2410.01954). Descent
    raises lambda while ratios are larger than 1 in the mean.

    Args:
        advantage: e, in units of return. Detached.
        lagrange_multiplier: lambda, in units of return.
        alpha: price of divergence > 0, in units of return.

    Examples:
        >>> import torch
        >>> multiplier = torch.tensor(1.0, requires_grad=True)
        >>> comadice_lagrange_loss(torch.tensor(2.0), multiplier, 0.5)  # 0.5 (2 + 2) + 1
        tensor(3., grad_fn=<AddBackward0>)
        >>> comadice_lagrange_loss(torch.tensor(2.0), multiplier, 0.5).backward()
        >>> multiplier.grad  # 1 - r(2)
        tensor(-2.)
    """
    return comadice_value_loss(advantage.detach() - lagrange_multiplier, alpha) + lagrange_multiplier


def comadice_official_value_loss(
    advantage: Float[Tensor, "*batch agents"],
    lagrange_multiplier: Float[Tensor, ""],
    alpha: float | Float[Tensor, ""],
) -> Float[Tensor, "*batch agents"]:
    """``r(x) (sg(e) - lambda) - alpha sg(f(r(x))) + lambda``, ``x = (e - lambda) / alpha`` (ComaDICE's code).

    sg stops gradients, but r keeps its own: so the gradient at e is ``x r'(x)``, that of the divergence
    ``alpha f(r(x))``, a regression that draws e to lambda. The value is that of
    :func:`comadice_lagrange_loss`.

    Args:
        advantage: ``e_i = w_i (Q_i - V_i)``, in units of return.
        lagrange_multiplier: lambda, in units of return.
        alpha: price of divergence > 0, in units of return.

    Examples:
        >>> import torch
        >>> advantage = torch.tensor([2.0], requires_grad=True)
        >>> loss = comadice_official_value_loss(advantage, torch.tensor(1.0), 0.5)  # 3 * 1 - 0.5 * 2 + 1
        >>> loss, torch.autograd.grad(loss.sum(), advantage)[0]
        (tensor([3.], grad_fn=<AddBackward0>), tensor([2.]))
    """
    x = (advantage - lagrange_multiplier) / alpha
    ratio, divergence = soft_chi_square_ratio(x), soft_chi_square(x).detach()
    return ratio * (advantage.detach() - lagrange_multiplier) - alpha * divergence + lagrange_multiplier


def comadice_weight(
    advantage: Float[Tensor, "*batch"],
    lagrange_multiplier: Float[Tensor, ""],
    alpha: float | Float[Tensor, ""],
    max_weight: float | None = None,
) -> Float[Tensor, "*batch"]:
    """``min(r((e - lambda) / alpha), max_weight)``: a data action's weight in the policy's loss. Detached.

    Args:
        advantage: e, in units of return.
        lagrange_multiplier: lambda, in units of return.
        alpha: price of divergence > 0, in units of return.
        max_weight: largest weight > 0; None has no bound.

    Examples:
        >>> import torch
        >>> comadice_weight(torch.tensor([-1.0, 1.0, 9.0]), torch.tensor(0.0), 1.0, 2.0)
        tensor([0.3679, 2.0000, 2.0000])
    """
    ratio = soft_chi_square_ratio(((advantage - lagrange_multiplier) / alpha).detach())
    return ratio if max_weight is None else ratio.clamp(max=max_weight)
