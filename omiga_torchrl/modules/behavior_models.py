"""Models of the behaviour policy: a conditional VAE, and for discrete actions a masked categorical."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn

from omiga_torchrl import keys
from omiga_torchrl.blueprints import rebuildable, remembering
from omiga_torchrl.deprecation import NETWORK_NAMES, renamed_arguments
from omiga_torchrl.errors import require_number
from omiga_torchrl.functional.bounds import clamp_to_bounds, feature_mean, feature_sum, half_ranges, log_bound
from omiga_torchrl.functional.density import LOG_SQRT_TWO_PI
from omiga_torchrl.functional.precision import at_least_single
from omiga_torchrl.modules.bounds import Bound, register_bounds
from omiga_torchrl.modules.latent_actions import LatentActions
from omiga_torchrl.modules.networks import AgentMLP
from omiga_torchrl.modules.policies import categorical_actor
from omiga_torchrl.specs import TeamSpec

# Bounds of the log standard deviations of latents and of reconstructions.
_LOG_STD_RANGE = (-4.0, 4.0)


@rebuildable
class ConditionalVAE(TensorDictModuleBase):
    """mu_i(a | o) as a variational auto-encoder of actions, conditioned on the observation.

    ``z ~ N(0, 1)``, ``a ~ N(decoder(o, z), sigma)`` with one sigma per action feature; it can
    represent several modes, which a Gaussian cannot. Its log density is estimated from below by
    ``log 1/K sum_k p(a | z_k) p(z_k) / q(z_k | a)``, ``z_k ~ q``: with K = 1 the evidence lower
    bound, and the exact value as K grows (importance weighting, arXiv:1509.00519).

    Densities and latents are of single precision at least, sampled actions of the observation's.

    As a TensorDict module it reads the observation and writes a sampled action; ``get_dist`` gives
    its distribution.

    Args:
        spec: sizes and action bounds.

    Keyword Args:
        latent_size: features L of z; None means twice the action's (as BCQ and ICQ).
        max_latent: samples of z are clamped to +- this, and actions are then the decoder's
            means, as released codes do (0.5); None (default) samples the model itself.
        importance_samples: K of ``get_dist(...).log_prob``.
        observation: key read.
        action: key written.
        **network: passed to :class:`AgentMLP`.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> model, data = ConditionalVAE(spec, hidden_sizes=(16,)), spec.fake_batch(8)
        >>> model.sample(data["agents", "observation"], 10).shape
        torch.Size([10, 8, 3, 2])
        >>> model.get_dist(data).log_prob(data["agents", "action"]).shape
        torch.Size([8, 3])
    """

    low: Bound
    high: Bound

    @renamed_arguments(**NETWORK_NAMES, latent_limit="max_latent")
    @remembering
    def __init__(
        self,
        spec: TeamSpec,
        *,
        latent_size: int | None = None,
        max_latent: float | None = None,
        importance_samples: int = 1,
        observation: NestedKey = keys.OBSERVATION,
        action: NestedKey = keys.ACTION,
        **network: Any,
    ) -> None:
        super().__init__()
        if spec.discrete:
            raise ValueError(
                "ConditionalVAE: the actions are discrete; expected continuous ones. "
                "Use behavior_model(spec)."
            )
        if max_latent is not None:
            require_number("ConditionalVAE", "> 0", max_latent=max_latent)
        size, features = spec.action_size, spec.observation_size
        self.in_keys, self.out_keys = [observation], [action]
        self.latent_size = latent_size or 2 * size
        self.max_latent = max_latent
        self.importance_samples = importance_samples
        register_bounds(self, spec.action_low, spec.action_high)
        self.encoder = AgentMLP(features + size, 2 * self.latent_size, spec.n_agents, **network)
        self.decoder = AgentMLP(features + self.latent_size, size, spec.n_agents, **network)
        self.log_std = nn.Parameter(torch.full((size,), math.log(0.3)))

    @property
    def _middle(self) -> Bound:
        return (self.high + self.low) / 2

    @property
    def _half(self) -> Bound:
        return (self.high - self.low) / 2

    @property
    def _unit(self) -> Bound:
        """Unit of actions: half their range, or 1 for a feature without one."""
        return half_ranges(self.low, self.high)

    def encode(self, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation ``[*B, N, L]`` of ``q(z | o, a)``."""
        unit = ((action - self._middle) / self._unit).clamp(-1, 1)
        mean, log_std = at_least_single(self.encoder(observation, unit)).chunk(2, -1)
        return mean, log_std.clamp(*_LOG_STD_RANGE)

    def decode(self, observation: Tensor, latent: Tensor) -> Tensor:
        """Mean action ``[*B, N, A]`` of a latent ``[*B, N, L]``, inside the bounds."""
        out = self.decoder(observation, latent.to(observation.dtype))
        return self._middle + self._half * at_least_single(out).tanh()

    def log_density(
        self, observation: Tensor, action: Tensor, samples: int = 1, noise: Tensor | None = None
    ) -> Tensor:
        """A lower bound ``[*B, N]`` of log mu_i(a | o); tighter the more samples.

        Args:
            observation: ``[*B, N, O]``.
            action: ``[*B, N, A]``.
            samples: K importance samples.
            noise: standard normal ``[K, *B, N, L]``, to share draws with others; None draws it.
        """
        mean, log_std = self.encode(observation, action)
        noise = self._noise((samples, *mean.shape), mean) if noise is None else noise
        latent = mean + log_std.exp() * noise
        # The constants of the two densities of z cancel.
        log_prior = -0.5 * latent.square().sum(-1)
        log_posterior = (-0.5 * noise.square() - log_std).sum(-1)
        observations = observation.expand(samples, *observation.shape)
        error = (action - self.decode(observations, latent)) / self._unit
        spread = at_least_single(self.log_std).clamp(*_LOG_STD_RANGE)
        log_action = -0.5 * (error / spread.exp()).square() - spread - LOG_SQRT_TWO_PI - log_bound(self._unit)
        weight = feature_sum(log_action, self.low, self.high) + log_prior - log_posterior
        return weight.logsumexp(0) - math.log(samples)

    def squared_error_loss(self, observation: Tensor, action: Tensor, noise: Tensor | None = None) -> Tensor:
        """BCQ's released training loss ``[*B, N]``: squared error of a reconstruction plus half a divergence.

        ``mean_a (a - decoder(o, z))^2 + 0.5 mean_z KL(q(z | o, a), N(0, 1))``, z ~ q. With the default
        latent size it is, up to a factor, the lower bound of :meth:`log_density` for a fixed sigma of
        ``sqrt(1/8)``, in units of half the action range.

        Args:
            observation: ``[*B, N, O]``.
            action: ``[*B, N, A]``.
            noise: standard normal ``[*B, N, L]``, to share draws with others; None draws it.
        """
        mean, log_std = self.encode(observation, action)
        noise = self._noise(mean.shape, mean) if noise is None else noise
        latent = mean + log_std.exp() * noise
        error = (action - self.decode(observation, latent)) / self._unit
        divergence = 0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std
        return feature_mean(error.square(), self.low, self.high) + 0.5 * divergence.mean(-1)

    def sample(
        self, observation: Tensor, samples: int, noise: tuple[Tensor, Tensor | None] | None = None
    ) -> Tensor:
        """Actions ``[samples, *B, N, A]``, inside the bounds.

        Args:
            observation: ``[*B, N, O]``.
            samples: actions drawn for each agent.
            noise: standard normal ``[samples, *B, N, L]`` and, without ``max_latent``, ``[samples, *B, N,
                A]``, to share draws with others; None draws it.
        """
        latent, of_action = noise or self.sample_noise(observation, samples)
        observations = observation.expand(samples, *observation.shape)
        if self.max_latent is not None:
            latent = latent.clamp(-self.max_latent, self.max_latent)
            return self.decode(observations, latent).to(observation.dtype)
        mean = self.decode(observations, latent)
        spread = self._half * at_least_single(self.log_std).clamp(*_LOG_STD_RANGE).exp()
        assert of_action is not None
        action = mean + spread * of_action
        return clamp_to_bounds(action, self.low, self.high).to(observation.dtype)

    def _noise(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return standard_normal(shape, like)

    def sample_noise(self, observation: Tensor, samples: int) -> tuple[Tensor, Tensor | None]:
        """Noise of :meth:`sample`: of latents, and of actions unless ``max_latent`` is given."""
        rows = (samples, *observation.shape[:-1])
        latent = self._noise((*rows, self.latent_size), observation)
        if self.max_latent is not None:
            return latent, None
        return latent, at_least_single(self._noise((*rows, len(self.log_std)), observation))

    def get_dist(self, tensordict: TensorDictBase) -> LatentActions:
        """The distribution of actions ``[*B, N, A]`` given the observation of ``tensordict``."""
        return LatentActions(self, tensordict.get(self.in_keys[0]))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write one sampled action."""
        return tensordict.set(self.out_keys[0], self.sample(tensordict.get(self.in_keys[0]), 1)[0])


def standard_normal(shape: Sequence[int], like: Tensor) -> Tensor:
    """Standard normal noise.

    Args:
        shape: its shape.
        like: gives dtype and device.
    """
    return torch.randn(tuple(shape), dtype=like.dtype, device=like.device)


@renamed_arguments(**NETWORK_NAMES, latent_limit="max_latent")
@rebuildable
def behavior_model(
    spec: TeamSpec, *, rnn_hidden_size: int | None = None, **kwargs: Any
) -> TensorDictModuleBase:
    """A model of the behaviour policy: :func:`categorical_actor` or :class:`ConditionalVAE`.

    Args:
        spec: sizes of the task; a masked task gives a masked categorical.

    Keyword Args:
        rnn_hidden_size: features of the memory of a categorical model; the VAE has none.
        **kwargs: of the one that fits ``spec.discrete``.

    Examples:
        >>> spec = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
        >>> behavior_model(spec, hidden_sizes=(16,)).in_keys
        [('agents', 'observation'), ('agents', 'action_mask')]
    """
    if spec.discrete:
        return categorical_actor(spec, rnn_hidden_size=rnn_hidden_size, name="behavior", **kwargs)
    return ConditionalVAE(spec, **kwargs)
