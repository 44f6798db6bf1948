"""What losses with an ensemble of critics share, whether a mixer makes them one team's or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.keys import next_key
from omiga_torchrl.modules import first_member
from omiga_torchrl.objectives.critic import MixedCriticLoss
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.inputs import action_index

# Weight [*B, N] and bias [*B] of the mixer; None without one.
Weights = tuple[Tensor, Tensor] | None


class TeamCriticLoss(MixedCriticLoss):
    """Base of the losses whose Q network is an ensemble of E members, by default twins.

    With a mixer, the value of the team is ``sum_i w_i(s) Q_i + b(s)``, and has one target. Without,
    every agent's Q_i has a target of its own with the team's reward: independent learners, or one
    agent. Both forms share all code: *team values* are ``[*B]`` in the first case and ``[*B, N]`` in
    the second.

    Shapes of values: *local* ``[*B, N, E]`` of one action, *every* ``[*B, N, K, E]`` of all actions
    of a discrete team.

    Args:
        qvalue_network: writes ``local_qvalue``: ``[*B, N, 1, E]`` of observation and action, or for
            discrete actions ``[*B, N, K, E]`` of the observation; see
            :func:`omiga_torchrl.algorithms.common.qvalue_ensemble`. None for a loss that learns V only.
        mixer_network: the weights and bias of a linear mixer, or None.
        gamma: discount in [0, 1].
        burn_in: for recurrent networks: first steps of every sequence without terms.
        reduction: ``"mean"`` (default), ``"sum"`` or ``"none"``: terms of agents ``[*B, N]``, of team values
            with a mixer ``[*B]``.
    """

    _schedulable_buffers = frozenset({"gamma"})
    _with_parameters: ClassVar[tuple[str, ...]] = ("qvalue_network_params",)

    def __init__(
        self,
        qvalue_network: TensorDictModuleBase | None,
        mixer_network: TensorDictModuleBase | None,
        *,
        gamma: float = 0.99,
        burn_in: int = 0,
        reduction: str | None = None,
    ) -> None:
        super().__init__(reduction, burn_in, gamma=gamma)
        self.mixed = mixer_network is not None
        self.learns_qvalue = qvalue_network is not None
        if qvalue_network is not None:
            self.convert_to_functional(qvalue_network, "qvalue_network", create_target_params=True)
        if mixer_network is not None:
            self.convert_to_functional(mixer_network, "mixer_network", create_target_params=True)

    def qvalue_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_qvalue``, whose gradient reaches the Q network and the mixer only."""
        return self._term(tensordict, "loss_qvalue")

    def actor_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_actor``, whose gradient reaches the policy only."""
        return self._term(tensordict, "loss_actor")

    # Keys ---------------------------------------------------------------------------

    def _acting_networks(self) -> list[TensorDictModuleBase]:
        """The networks besides Q network and mixer; they are read at the root and under ``"next"``."""
        return [self.actor_network]

    def _network_keys(self) -> Iterable[NestedKey]:
        networks = [self.qvalue_network] if self.learns_qvalue else []
        networks += self._acting_networks()
        if self.mixed:
            networks.append(self.mixer_network)
        action = self.tensor_keys.action
        found = dict.fromkeys(key for network in networks for key in network.in_keys)
        yield from found
        yield from (next_key(key) for key in found if key != action)

    # Values -------------------------------------------------------------------------

    def _weights(self, inputs: TensorDictBase) -> Weights:
        """Mixer weight ``[*B, N]`` and bias ``[*B]``; None without a mixer."""
        return self._mixing(inputs) if self.mixed else None

    @staticmethod
    def _mix(local: Tensor, weights: Weights) -> Tensor:
        """Team values ``[*B, E]`` or ``[*B, N, E]`` of local ones ``[*B, N, E]``."""
        if weights is None:
            return local
        weight, bias = weights
        return (weight.unsqueeze(-1) * local).sum(-2) + bias.unsqueeze(-1)

    @staticmethod
    def _weighed(local: Tensor, weights: Weights) -> Tensor:
        """``w_i Q_i``, the agent's part of the team's value; without a mixer Q_i itself."""
        return local if weights is None else weights[0].reshape(*local.shape[: weights[0].ndim], 1) * local

    def _team(self, local: Tensor, weights: Weights) -> Tensor:
        """Team values ``[*B]`` or ``[*B, N]`` of local ones ``[*B, N]``."""
        return self._mix(local.unsqueeze(-1), weights).squeeze(-1)

    def _share(self, local: Tensor, weights: Weights) -> Tensor:
        """The agents' parts ``[*B, N]`` of the team's value, of local ones ``[*B, N]``."""
        return self._weighed(local.unsqueeze(-1), weights).squeeze(-1)

    def _action(self, inputs: TensorDictBase) -> Tensor:
        """What a deterministic policy does, ``[*B, N, A]``."""
        acting = inputs.select(*self.actor_network.in_keys)
        return self._run("actor_network", acting).get(self.tensor_keys.action)

    def _next_action(self, inputs: TensorDictBase, *, target: bool) -> Tensor:
        """What a deterministic policy does at the next step, ``[*B, N, A]``."""
        return self._run_next("actor_network", inputs, target=target).get(self.tensor_keys.action)

    def _every(self, inputs: TensorDictBase, *, target: bool = False, frozen: bool = False) -> Tensor:
        """Values of all actions, ``[*B, N, K, E]``."""
        written = self._run("qvalue_network", inputs, target=target, frozen=frozen)
        return written.get(self.tensor_keys.local_qvalue)

    def _next_every(self, inputs: TensorDictBase, *, target: bool) -> Tensor:
        """Values of all actions at the next step, ``[*B, N, K, E]``."""
        written = self._run_next("qvalue_network", inputs, target=target)
        return written.get(self.tensor_keys.local_qvalue)

    def _local(self, inputs: TensorDictBase, *, target: bool = False) -> Tensor:
        """Values of the data's actions, ``[*B, N, E]``."""
        return self._chosen(self._every(inputs, target=target), inputs.get(self.tensor_keys.action))

    def _chosen(self, written: Tensor, action: Tensor) -> Tensor:
        """``[*B, N, E]`` of what the Q network wrote: of the only value, or of a discrete action's."""
        if action.dtype.is_floating_point:
            return written.squeeze(-2)
        index = action_index(action, written.shape[:-2])
        return written.take_along_dim(index[..., None, None], -2).squeeze(-2)

    def _acted(self, inputs: TensorDictBase, action: Tensor) -> Tensor:
        """Values ``[*B, N, E]`` of the policy's actions ``[*B, N, A]``, which alone get gradients."""
        acting = inputs.select(*self.qvalue_network.in_keys).set(self.tensor_keys.action, action)
        return self._every(acting, frozen=True).squeeze(-2)

    def _acted_first(self, inputs: TensorDictBase, action: Tensor) -> Tensor:
        """The same of the first critic, ``[*B, N]``."""
        with first_member(self.qvalue_network):
            return self._acted(inputs, action)[..., 0]

    def _next_local(self, inputs: TensorDictBase, action: Tensor) -> Tensor:
        """Target values of actions ``[*B, N, A]`` or ``[*B, N]`` at the next step, ``[*B, N, E]``."""
        inputs.set(next_key(self.tensor_keys.action), action)
        return self._chosen(self._next_every(inputs, target=True), action)

    # Target -------------------------------------------------------------------------

    @torch.no_grad()
    def _target(
        self, inputs: TensorDictBase, next_local: Tensor, mask: Tensor | None, bonus: Tensor | None = None
    ) -> Tensor:
        """Target of the team values, ``[*B]`` or ``[*B, N]``, from the next step's local ones ``[*B, N]``.

        A ``bonus`` of every agent at the next step ``[*B, N]``, e.g. its entropy, adds to the team's
        next value without the mixer's weights.
        """
        present = inputs.get(next_key(self.tensor_keys.agent_mask), None)
        if self.mixed:
            next_value = kernels.mix_linearly(next_local, *self._next_mixing(inputs, target=True))
        else:  # nobody trains the values of agents that take no part
            next_value = next_local if present is None else torch.where(present, next_local, 0.0)
        if bonus is not None:
            bonus = bonus if present is None else torch.where(present, bonus, 0.0)
            next_value = next_value + (bonus.sum(-1) if self.mixed else bonus)
        return self._bootstrapped(inputs, next_value, next_local.shape[:-1], mask)

    def _qvalue_term(
        self,
        inputs: TensorDictBase,
        local: Tensor,
        weights: Weights,
        target: Tensor,
        mask: Tensor | None,
    ) -> dict[str, Tensor]:
        """``loss_qvalue``: squared errors, summed over the ensemble; and the mean team value."""
        team = self._mix(local, weights)
        valid = self._team_entries(inputs, target, mask)
        return {
            "loss_qvalue": self._reduce((team - target.unsqueeze(-1)).square().sum(-1), valid),
            self.tensor_keys.global_qvalue: masked_mean(team.detach().mean(-1), valid),
        }

    def _team_entries(self, inputs: TensorDictBase, like: Tensor, mask: Tensor | None) -> Tensor | None:
        """The entries of team values that have terms: rows ``[*B]``, or agents ``[*B, N]``."""
        return mask if self.mixed else self._entries(inputs, mask, like.shape)
