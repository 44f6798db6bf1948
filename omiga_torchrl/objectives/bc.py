"""Behaviour cloning of a team."""

from __future__ import annotations

from collections.abc import Iterable

from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase, dispatch
from torch import Tensor

from omiga_torchrl.objectives.common import MultiAgentLoss


class MultiAgentBCLoss(MultiAgentLoss):
    """``- mean log pi_i(a_i | o_i)`` over batch and agents.

    TorchRL's ``BCLoss`` silently falls back to a mean squared error when its keys are
    nested; this one is always the negative log-likelihood, for continuous and for
    discrete actions, with action masks if the policy reads one.

    Args:
        actor_network: policy with a distribution of event shape ``[A]`` (continuous) or ``[]``
            (discrete) and batch shape ``[*B, N]``.

    Keyword Args:
        burn_in: for recurrent policies: first steps of every sequence ``[*B, T]`` that only fill the
            memory. Default 0.
        reduction: ``"mean"`` (default), ``"sum"`` or ``"none"`` (``[*B, N]``).

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

    out_keys = ["loss_actor"]

    actor_network: TensorDictModuleBase
    actor_network_params: TensorDictParams
    target_actor_network_params: TensorDictParams

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        *,
        burn_in: int = 0,
        reduction: str | None = None,
    ) -> None:
        super().__init__(reduction, burn_in)
        self.convert_to_functional(actor_network, "actor_network")

    def _network_keys(self) -> Iterable[NestedKey]:
        return self.actor_network.in_keys

    def _data_keys(self) -> Iterable[NestedKey]:
        return [self.tensor_keys.action]

    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The term ``loss_actor``."""
        loss = self.actor_loss(tensordict)
        self._clear_weakrefs(tensordict, "actor_network_params")
        return TensorDict({"loss_actor": loss}, [])

    def actor_loss(self, tensordict: TensorDictBase) -> Tensor:
        """Negative log-likelihood of the data actions."""
        inputs, mask = self._inputs(tensordict)
        return self._likelihood_term(inputs, mask, "actor_network")
