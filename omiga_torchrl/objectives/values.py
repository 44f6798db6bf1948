"""`ValueView`: local values and policies of a batch, each evaluated once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_shape
from omiga_torchrl.objectives.batch import TeamBatch
from omiga_torchrl.objectives.checks import check_index
from omiga_torchrl.objectives.evaluation import NetworkView, full_precision
from omiga_torchrl.objectives.networks import Bounds

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss

Result = TypeVar("Result")


def memoized(compute: Callable[[Any], Any]) -> property:
    """A property that is computed on first use and kept, in a plain dict, which Dynamo can trace."""
    name = compute.__name__

    @wraps(compute)
    def read(self: Any) -> Any:
        if name not in self.memo:
            self.memo[name] = compute(self)
        return self.memo[name]

    return property(read)


def local_memoized(compute: Callable[[Any], Any]) -> property:
    """A memoized local quantity ``[*B, N, ...]``; of a mixed team, gathered from the parts of each kind."""

    @wraps(compute)
    def of_team(view: Any) -> Any:
        return view.gather(compute)

    return memoized(of_team)


class ValueView(NetworkView):
    """Local quantities of a batch: Q_i, V_i, pi_i of every agent.

    Args:
        loss: gives networks and keys.
        batch: the entries, see :func:`omiga_torchrl.objectives.batch.read_batch`.
        **place: see :class:`NetworkView`.

    Attributes:
        memo: what has been evaluated so far, by name.
    """

    gather: Callable[..., Any]

    def __init__(self, loss: TeamLoss, batch: TeamBatch, **place: bool) -> None:
        super().__init__(loss, batch, **place)
        self.memo: dict[str, Any] = {}

    def once(self, name: str, compute: Callable[[], Result]) -> Result:
        """``compute()`` on first use and kept: a quantity of one algorithm that several terms read.

        Args:
            name: what it is kept under, not a property of this class.
            compute: a function without arguments.
        """
        if name not in self.memo:
            self.memo[name] = compute()
        return cast(Result, self.memo[name])

    # Values -------------------------------------------------------------------------------

    def _ensemble(self, written: Tensor) -> Tensor:
        """Q values with their ensemble dimension last; a single network is an ensemble of one."""
        written = full_precision(written)
        single = written.ndim == len(self.agents) + 1
        return written.unsqueeze(-1) if single else written

    @memoized
    def q_values(self) -> Tensor:
        """Q_i of all actions ``[*B, N, K, E]``; continuous: of the data's action ``[*B, N, 1, E]``."""
        return self._ensemble(self.run("qvalue_network").get(self.loss.tensor_keys.local_qvalue))

    @local_memoized
    def q(self) -> Tensor:
        """Q_i of the data's action, local, ``[*B, N, E]``."""
        return self.q_at(self.action)

    def q_at(self, action: Tensor, *, detach_params: bool = False, first_critic: bool = False) -> Tensor:
        """Q_i of other actions than the data's, ``[*B, N, E]``, or ``[M, *B, N, E]`` of M samples each.

        Args:
            action: as the data's, or with a sample dimension in front.

        Keyword Args:
            detach_params: only the action gets a gradient: a critic that judges a policy.
            first_critic: of the first critic alone, ``E = 1``, at the cost of one.
        """
        if self.is_discrete:
            return self._of_index(action)
        if action is self.data.get(self.loss.tensor_keys.action, None) and not detach_params:
            return cast(Tensor, self.q_values.squeeze(-2))
        out = self.run("qvalue_network", action, detach_params=detach_params, first_critic=first_critic)
        written = full_precision(out.get(self.loss.tensor_keys.local_qvalue))
        is_single = written.ndim == len(self.agents) + 1 + self._has_samples(action)
        return written if is_single else written.squeeze(-2)

    def _of_index(self, action: Tensor) -> Tensor:
        q_values, key = self.q_values, self.loss.tensor_keys.action
        if self.batch.checked and not self._at_next:
            check_index(type(self.loss).__name__, key, action, q_values.shape[-2], self.agent_mask)
        return cast(Tensor, q_values.take_along_dim(action[..., None, None], -2).squeeze(-2))

    @local_memoized
    def q_min(self) -> Tensor:
        """Smallest critic's Q_i of the data's action ``[*B, N]``."""
        return F.ensemble_minimum(self.q)

    @memoized
    def q_values_min(self) -> Tensor:
        """Smallest critic's Q_i of all actions of a discrete team ``[*B, N, K]``."""
        return F.ensemble_minimum(self.q_values)

    @local_memoized
    def v(self) -> Tensor:
        """V_i, local, ``[*B, N]``."""
        return self.output("value_network", self.loss.tensor_keys.local_value)

    # Policy -------------------------------------------------------------------------------

    @memoized
    def policy(self) -> Distribution:
        """Distribution of the policy ``[*B, N]``."""
        return self.distribution("actor_network")

    @local_memoized
    def log_prob(self) -> Tensor:
        """Log pi_i of the data's actions ``[*B, N]``."""
        return self.log_prob_of(self.policy)

    @local_memoized
    def behavior_log_prob(self) -> Tensor:
        """Log mu_i of the data's actions ``[*B, N]`` under the behavior network."""
        return self.with_distribution("behavior_network", self.log_prob_of)

    @memoized
    def policy_log_probs(self) -> Tensor:
        """Log pi_i of all actions of a discrete team ``[*B, N, K]``."""
        return log_probs(self.policy)

    @memoized
    def policy_action(self) -> Tensor:
        """Action of a deterministic policy ``[*B, N, A]``."""
        action = full_precision(self.run("actor_network").get(self.loss.tensor_keys.action))
        component, key = type(self.loss).__name__, self.loss.tensor_keys.action
        data = self.batch.data.get(key)
        require_shape(
            component, key, data, action.shape, "the policy's", "Do the data have other action features?"
        )
        return action

    def smoothed_action(self, noise_std: float, noise_clip: float, bounds: Bounds) -> Tensor:
        """Deterministic policy's action with clipped Gaussian noise, inside the bounds ``[*B, N, A]`` (TD3).

        Args:
            noise_std: standard deviation, in units of half the range.
            noise_clip: largest noise, in the same units.
            bounds: lower and upper bound of actions.
        """
        action, (low, high) = self.policy_action, bounds
        # In the order of the agents, however the network laid its output out in memory.
        noise = torch.randn_like(action, memory_format=torch.contiguous_format)
        return F.smoothed_action(action, noise, noise_std, noise_clip, low=low, high=high)

    def log_prob_of(self, distribution: Distribution) -> Tensor:
        """Log density of the data's actions under any distribution ``[*B, N]``.

        Args:
            distribution: with batch shape ``[*B, N]``.

        Raises:
            ValueError: the actions do not fit it.
        """
        action, component = self.action, type(self.loss).__name__
        key = self.loss.tensor_keys.action
        if isinstance(distribution, Categorical) and self.batch.checked:
            check_index(component, key, action, distribution.logits.shape[-1], self.agent_mask)
        if distribution.event_shape and action.shape[-1:] != distribution.event_shape:
            raise ValueError(
                f"{component}: {key!r} must have {distribution.event_shape[-1]} features like the policy's "
                f"actions, got {action.shape[-1]}. Build the networks with the data's action size."
            )
        log_prob = full_precision(distribution.log_prob(action))
        hint = "The policy's distribution must have the action features as its event."
        require_shape(component, key, log_prob, self.agents, "[*batch, agents]", hint)
        return log_prob


def log_probs(policy: Distribution) -> Tensor:
    """Log probabilities of all actions of a discrete policy ``[*B, N, K]``.

    Args:
        policy: a categorical distribution.

    Examples:
        >>> import torch
        >>> log_probs(Categorical(logits=torch.zeros(1, 2))).exp()
        tensor([[0.5000, 0.5000]])
    """
    return full_precision(cast(Categorical, policy).logits).log_softmax(-1)
