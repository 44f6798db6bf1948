"""Deterministic policies."""

from __future__ import annotations

from functools import partial
from typing import Any

from tensordict import NestedKey
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn

from omiga_torchrl import keys
from omiga_torchrl.blueprints import rebuildable
from omiga_torchrl.deprecation import NETWORK_NAMES, renamed_arguments
from omiga_torchrl.modules.bounds import Bound, register_bounds
from omiga_torchrl.modules.recurrent import agent_network
from omiga_torchrl.specs import ActionBound, TeamSpec


class BoundedActions(nn.Module):
    """``low + (high - low) (1 + tanh(x)) / 2`` of a network's output x.

    Args:
        network: ``[*B, N, O] -> [*B, N, A]``.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound of actions, or of each feature.
    """

    low: Bound
    high: Bound

    def __init__(self, network: nn.Module, *, low: ActionBound = -1.0, high: ActionBound = 1.0) -> None:
        super().__init__()
        self.network = network
        register_bounds(self, low, high)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Actions ``[*B, N, A]``."""
        return self.low + (self.high - self.low) * (1 + self.network(*inputs).tanh()) / 2


@renamed_arguments(**NETWORK_NAMES)
@rebuildable
def deterministic_actor(
    spec: TeamSpec,
    *,
    observation: NestedKey = keys.OBSERVATION,
    action: NestedKey = keys.ACTION,
    **network: Any,
) -> TensorDictModuleBase:
    """A decentralised deterministic policy for actions ``[*B, N, A]``, as TD3+BC and OMAR learn.

    It has no distribution: exploration types change nothing. The action carries the gradient.

    Args:
        spec: sizes and action bounds.

    Keyword Args:
        observation: key read.
        action: key written.
        **network: passed to :func:`agent_network`: ``rnn_hidden_size``, and arguments of :class:`AgentMLP`.

    Raises:
        ValueError: if the actions are discrete.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> policy = deterministic_actor(spec, hidden_sizes=(16,))
        >>> policy(spec.fake_batch(8).exclude(("agents", "action")))["agents", "action"].shape
        torch.Size([8, 3, 2])
    """
    if spec.discrete:
        raise ValueError(
            "deterministic_actor: the actions are discrete; expected continuous ones. "
            "Use categorical_actor(spec)."
        )
    head = partial(BoundedActions, low=spec.action_low, high=spec.action_high)
    return agent_network(spec, spec.action_size, action, wrap=head, observation=observation, **network)
