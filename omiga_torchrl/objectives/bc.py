"""Behavior cloning of a team."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential
from torch import Tensor

from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.view import TeamView


class MultiAgentBCLoss(TeamLoss):
    """Behavior cloning: ``- mean log pi_i(a_i | o_i)`` over batch and agents.

    TorchRL's ``BCLoss`` silently falls back to a mean squared error when its keys are
    nested; this one is always the negative log-likelihood, for continuous and for
    discrete actions, with action masks if the policy reads one.

    Args:
        actor_network: policy with a distribution of event shape ``[A]`` (continuous) or ``[]``
            (discrete) and batch shape ``[*B, N]``.

    Keyword Args:
        **kwargs: of :class:`TeamLoss`: ``burn_in``, ``reduction``.

    Examples:
        >>> from omiga_torchrl.modules import make_actor
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = MultiAgentBCLoss(make_actor(spec))
        >>> loss(spec.fake_batch(8))["loss_actor"].shape
        torch.Size([])
        >>> data = spec.fake_batch(8)["agents"]
        >>> loss(agents_observation=data["observation"], agents_action=data["action"]).shape
        torch.Size([])
    """

    terms = ("actor",)
    reads = ("action",)

    def __init__(self, actor_network: ProbabilisticTensorDictSequential, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_network("actor_network", actor_network)

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- log pi_i(a_i | o_i)``; trains the policy."""
        batch = self.view(data)
        return batch.reduce(-batch.log_prob)
