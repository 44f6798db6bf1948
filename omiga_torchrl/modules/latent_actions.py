"""`LatentActions`: what a conditional VAE says about actions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from omiga_torchrl.modules.distributions import Size

if TYPE_CHECKING:
    from omiga_torchrl.modules.behavior_models import ConditionalVAE


class LatentActions(Distribution):
    """The distribution of a :class:`ConditionalVAE` given observations ``[*B, N, O]``.

    Args:
        model: the model.
        observation: the observations.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, model: ConditionalVAE, observation: Tensor) -> None:
        self.model, self.observation = model, observation
        size = torch.Size([model.log_std.shape[0]])
        super().__init__(observation.shape[:-1], size, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """A lower bound of the log density ``[*M, *B, N]`` of ``[*M, *B, N, A]``, by importance samples."""
        observation = self.observation.expand(*value.shape[:-1], self.observation.shape[-1])
        return self.model.log_density(observation, value, self.model.importance_samples)

    def squared_error_loss(self, value: Tensor) -> Tensor:
        """BCQ's released training loss ``[*B, N]``, see :meth:`ConditionalVAE.squared_error_loss`."""
        return self.model.squared_error_loss(self.observation, value)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        """Actions ``[*sample_shape, *B, N, A]``, detached."""
        with torch.no_grad():
            flat = self.model.sample(self.observation, math.prod(sample_shape))
        return flat.reshape(*sample_shape, *flat.shape[1:])
