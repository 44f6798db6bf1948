"""The censored Gaussian as a distribution of actions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

from torch import Tensor, nn
from torch.distributions import Distribution
from typing_extensions import Self

from omiga_torchrl.errors import unknown_name
from omiga_torchrl.functional.censored import (
    censor,
    censored_gaussian_cross_entropy,
    censored_gaussian_kl,
    censored_gaussian_log_density,
)
from omiga_torchrl.functional.precision import at_least_single
from omiga_torchrl.modules.distributions import BoundedGaussian, TanhGaussian
from omiga_torchrl.specs import TeamSpec


class CensoredGaussian(BoundedGaussian):
    """``clip(m + h x, low, high)`` with x ~ N(loc, scale), m the middle and h half of the range.

    What a Gaussian policy becomes when a recorder or an environment clips its actions: the bounds have
    probabilities of their own (Tobin 1958). Cloning clipped actions is well-posed with it, while the density
    of a tanh-Gaussian has no bound there. ``log_prob`` is the log of the probability for actions on or beyond
    a bound, and of the density in between.

    Args:
        loc: mean of x ``[*B, A]``; -1 and 1 are the bounds.
        scale: standard deviation of x ``[*B, A]``, > 0.

    Keyword Args:
        low: lower bound of actions, or of each feature ``[*B, A]``. Default -1.
        high: upper bound of actions, or of each feature. Default 1. A feature without a range is padding: 0
            in samples, nothing in likelihoods.

    Examples:
        >>> import torch
        >>> policy = CensoredGaussian(torch.full((3, 2), 5.0), torch.ones(3, 2))
        >>> policy.deterministic_sample[0], policy.log_prob(torch.ones(3, 2))[0].exp()
        (tensor([1., 1.]), tensor(0.9999))
    """

    def to_action(self, x: Tensor) -> Tensor:
        """``clip(m + h x, low, high)``; on a bound there is no gradient."""
        return censor(at_least_single(x), self.low, self.high)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log likelihood ``[*B]`` of actions ``[*B, A]``; actions beyond the bounds count as on them."""
        return censored_gaussian_log_density(value, self.loc, self.scale, low=self.low, high=self.high)

    def entropy(self) -> Tensor:
        """``- E log_prob`` ``[*B]``, exact."""
        mine = self.loc, self.scale
        return censored_gaussian_cross_entropy(*mine, *mine, low=self.low, high=self.high)

    def divergence_from(self, other: Self) -> Tensor:
        """``KL(self || other)`` ``[*B]``, exact.

        Args:
            other: with the same bounds.
        """
        both = self.loc, self.scale, other.loc, other.scale
        return censored_gaussian_kl(*both, low=self.low, high=self.high)


PolicyDistribution = Literal["auto", "tanh", "censored"]

_CLASSES: Final[dict[str, type[Distribution]]] = {"tanh": TanhGaussian, "censored": CensoredGaussian}


def distribution_class(name: PolicyDistribution, specs: Iterable[TeamSpec] = ()) -> type[Distribution]:
    """The distribution of a policy's continuous actions by its name.

    Args:
        name: ``"tanh"`` (:class:`TanhGaussian`), ``"censored"`` (:class:`CensoredGaussian`), or ``"auto"``:
            censored if the data of any of ``specs`` are clipped, else tanh.
        specs: sizes of the groups that share the distribution.

    Raises:
        ValueError: an unknown name.

    Examples:
        >>> distribution_class("auto", [TeamSpec(3, 5, 2, 7)]).__name__
        'TanhGaussian'
        >>> distribution_class("auto", [TeamSpec(3, 5, 2, 7, clipped=True)]).__name__
        'CensoredGaussian'
    """
    if name not in get_args(PolicyDistribution):
        raise unknown_name("make_actor", "distribution", name, get_args(PolicyDistribution))
    if name == "auto":
        is_clipped = any(spec.clipped and not spec.discrete for spec in specs)
        return CensoredGaussian if is_clipped else TanhGaussian
    return _CLASSES[name]


def is_censored(policy: nn.Module) -> bool:
    """Whether a policy's continuous actions are of a :class:`CensoredGaussian`.

    Args:
        policy: any policy.

    Examples:
        >>> from omiga_torchrl.modules import is_censored, make_actor
        >>> is_censored(make_actor(TeamSpec(3, 5, 2, 7), distribution="censored"))
        True
    """
    return any(getattr(part, "distribution_class", None) is CensoredGaussian for part in policy.modules())
