"""ComaDICE: the stationary distribution of the best policy near the data's, from a convex dual."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor, nn

from omiga_torchrl import functional as kernels
from omiga_torchrl import keys
from omiga_torchrl.errors import require_number, unknown_name
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.team_critic import TeamCriticLoss, Weights

Variant = Literal["paper", "official"]


class ComaDICELoss(TeamCriticLoss):
    """ComaDICE (ICLR 2025, arXiv:2410.01954): stationary-distribution correction for teams.

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)``, ``V_tot = sum_i w_i(s) V_i + b(s)`` (no mixer: every Q_i
    and V_i by itself), a bar for target parameters, and the soft chi-square divergence with the ratio
    ``r(x) = exp(x)`` for x < 0, else ``x + 1``, and the conjugate ``f*(x)``, whose slope is r::

        e = Qbar_tot(s, a) - V_tot(s)
        loss_qvalue     = mean (Q_tot - r - gamma (1 - terminated) Vbar_tot(s'))^2
        loss_value      = (1 - gamma) mean V_tot(s_0) + mean alpha f*(e / alpha)
        loss_normaliser = mean alpha f*((e - normaliser) / alpha) + normaliser
        loss_actor      = - mean r((e - normaliser) / alpha) sum_i log pi_i(a_i | o_i)

    The policy maximises return minus alpha times the divergence of its stationary distribution from
    the data's; loss_value is the dual of that, and r(e / alpha) the ratio of both distributions at the
    optimum. All agents have the same weight, that of the joint action. Its mean over the data is 1 by
    the normaliser, a number that learns.

    Q_tot stands for ``r + gamma V_tot(s')``, which is how e depends on V_tot(s'): so the gradient of
    loss_value is ``r(e / alpha) (gamma (1 - terminated) grad V_tot(s') - grad V_tot(s))`` besides that
    of the first states. Without the part at s', no state but the first would hold its V down: raising
    it would always lower the loss. The flow between states fixes the total of the ratios; a normaliser
    in loss_value, too, would leave no flow for terminations. V learns with the target mixer's weights.

    Variants
        ``"paper"`` (default): as above.

        ``"official"``: the released code. With ``e_i = w_i (Q_i - V_i)`` of each agent, online Q and
        mixer, ``x = (e - value_normaliser) / alpha``, a second normaliser, and ``g(x) = f(r(x))``::

            loss_value = (1 - gamma) mean V_i(s_0) + value_normaliser
                         + mean r(x_i) (sg(e_i) - value_normaliser) - alpha sg(g(x_i))

        with e and g detached (sg), but not r. So its gradient at V_i is ``- w_i x r'(x)`` instead of
        ``- w_i r(x)``: that of g(x), a regression of V_i on Q_i that does not weigh the two sides
        alike, rather than the dual. The first states have their local V_i, unmixed. The policy's
        weight is ``sum_i r((wbar_i (Qbar_i - V_i) - normaliser) / alpha)``; with discrete actions the
        release takes ``max_weight=2``. Its losses step one after the other, here all at once.

    First states are those of rows where ``is_init`` is True, burn-in included. A batch without any has
    no such term; larger batches have it more often.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``; discrete: ``[*B, N, K, E]``.
            Released: one. The smallest of each agent counts in e.
        value_network: observation to ``local_value [*B, N, 1]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``); None learns
            independent critics, or one agent's.

    Keyword Args:
        alpha: price of divergence > 0, in units of return. Published 10, on raw rewards. Default 10.
        variant: see above. Default ``"paper"``.
        max_weight: largest weight of the policy's loss > 0, or None (default).
        **kwargs: ``gamma`` (here < 1), ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`. Unreduced,
            each entry has all of what is a mean itself.

    Raises:
        KeyError: if an entry is missing, e.g. ``is_init``, which
            :class:`omiga_torchrl.data.OfflineDataset` gives.
        ValueError: if an argument is out of its range, or an entry's shape is not the expected one.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("comadice", spec, alpha=1.0).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_normaliser', 'loss_qvalue', 'loss_value']
    """

    @dataclass
    class _AcceptedKeys(TeamCriticLoss._AcceptedKeys):
        """One more entry that ``set_keys`` changes.

        Attributes:
            is_init: whether a row is the first of its episode, ``[*B, 1]``.
        """

        is_init: NestedKey = keys.IS_INIT

    terms = ("loss_value", "loss_qvalue", "loss_normaliser", "loss_actor")
    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys

    alpha: Tensor

    _schedulable_buffers = frozenset({"alpha", "gamma"})

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        alpha: float = 10.0,
        variant: Variant = "paper",
        max_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, mixer_network, **kwargs)
        if variant not in ("paper", "official"):
            raise unknown_name("ComaDICELoss", "variant", variant, ("paper", "official"))
        require_number("ComaDICELoss", "> 0", alpha=alpha)
        if max_weight is not None:
            require_number("ComaDICELoss", "> 0", max_weight=max_weight)
        self.official, self.max_weight = variant == "official", max_weight
        self.register_coeff_buffer("alpha", float(alpha))
        self.normaliser = nn.Parameter(torch.zeros(()))
        if self.official:
            self.value_normaliser = nn.Parameter(torch.zeros(()))
        self.convert_to_functional(actor_network, "actor_network")
        self.convert_to_functional(value_network, "value_network", create_target_params=True)

    # Keys ---------------------------------------------------------------------------

    def _acting_networks(self) -> list[TensorDictModuleBase]:
        return [self.actor_network, self.value_network]

    def _data_keys(self) -> Iterable[NestedKey]:
        yield self.tensor_keys.is_init
        yield from super()._data_keys()

    def _found_out_keys(self) -> list[NestedKey]:
        names = self.tensor_keys
        return [*self.terms, names.global_qvalue, names.global_value, "mean_weight", "effective_sample_size"]

    def value_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_value``, whose gradient reaches V and its normaliser only."""
        return self._term(tensordict, "loss_value")

    def normaliser_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_normaliser``, whose gradient reaches the policy's normaliser only."""
        return self._term(tensordict, "loss_normaliser")

    # Evaluation -----------------------------------------------------------------------

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        out: dict[str, Tensor] = {}
        local, weights = self._local(inputs), self._weights(inputs)
        if "loss_qvalue" in terms:
            with torch.no_grad():
                target = self._target(inputs, self._next_local_value(inputs, target=True), mask)
            out |= self._qvalue_term(inputs, local, weights, target, mask)
        with torch.no_grad():
            slow = kernels.ensemble_minimum(self._local(inputs, target=True))
            slow_weights = self._mixing(inputs, target=True) if self.mixed else None
        value = self._local_value(inputs)
        if "loss_value" in terms:
            if self.official:
                qvalue = kernels.ensemble_minimum(local).detach()
                loss, valid = self._released(inputs, qvalue, value, _detached(weights), mask)
            else:
                loss, valid = self._dual(inputs, slow, value, slow_weights, mask)
            out["loss_value"] = self._reduce(loss, valid)
            team = self._team(value.detach(), slow_weights)
            out[self.tensor_keys.global_value] = masked_mean(team, self._team_entries(inputs, team, mask))
        return out | self._policy_terms(inputs, slow, value.detach(), slow_weights, mask, terms)

    def _conjugate(self, x: Tensor) -> Tensor:
        """``f*(x)``."""
        return x * kernels.soft_chi_square_ratio(x) - kernels.soft_chi_square(x)

    def _mean_at_starts(self, inputs: TensorDictBase, value: Tensor) -> Tensor:
        """Mean of ``value [*B]`` or ``[*B, N]`` over the first rows of episodes; 0 without any."""
        batch = inputs.get(self.tensor_keys.observation).shape[:-2]
        first = self._team_entry(inputs, self.tensor_keys.is_init, batch)  # False at padding
        agents = value.ndim > first.ndim
        valid = self._entries(inputs, first, value.shape) if agents else first
        return masked_mean(value, valid)

    def _dual(
        self, inputs: TensorDictBase, qvalue: Tensor, value: Tensor, weights: Weights, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """``loss_value`` and its valid entries, those of team values."""
        with torch.no_grad():
            next_weights = self._next_mixing(inputs, target=True) if self.mixed else None
        following = self._team(self._next_local_value(inputs), next_weights)
        team = self._team(value, weights)
        terminated = inputs.get(next_key(self.tensor_keys.terminated))
        alive = ~(terminated.squeeze(-1) if self.mixed else terminated)
        # The value of Q_tot, with the gradient of the gamma V_tot(s') that it stands for.
        bootstrap = self.gamma * alive * (following - following.detach())
        advantage = self._team(qvalue, weights) + bootstrap - team
        dual = self.alpha * self._conjugate(advantage / self.alpha)
        start = (1 - self.gamma) * self._mean_at_starts(inputs, team)
        return dual + start, self._team_entries(inputs, team, mask)

    def _released(
        self, inputs: TensorDictBase, qvalue: Tensor, value: Tensor, weights: Weights, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """``loss_value`` of the released code ``[*B, N]``, and its valid entries."""
        advantage, price = self._share(qvalue - value, weights), self.value_normaliser
        x = (advantage - price) / self.alpha
        ratio, divergence = kernels.soft_chi_square_ratio(x), kernels.soft_chi_square(x).detach()
        loss = ratio * (advantage.detach() - price) - self.alpha * divergence + price
        start = (1 - self.gamma) * self._mean_at_starts(inputs, value)
        return loss + start, self._entries(inputs, mask, value.shape)

    def _policy_terms(
        self,
        inputs: TensorDictBase,
        qvalue: Tensor,
        value: Tensor,
        weights: Weights,
        mask: Tensor | None,
        terms: Collection[str],
    ) -> dict[str, Tensor]:
        present = self._entries(inputs, mask, value.shape)
        if self.official:
            advantage, valid = self._share(qvalue - value, weights), present
        else:
            advantage = self._team(qvalue, weights) - self._team(value, weights)
            valid = self._team_entries(inputs, advantage, mask)
        x = (advantage - self.normaliser) / self.alpha
        out: dict[str, Tensor] = {}
        if "loss_normaliser" in terms:
            out["loss_normaliser"] = self._reduce(self._normalising(advantage, x), valid)
        ratio = kernels.soft_chi_square_ratio(x.detach())
        out["mean_weight"] = masked_mean(ratio, valid)
        if "loss_actor" in terms:
            if self.official:
                ratio = (ratio if present is None else torch.where(present, ratio, 0.0)).sum(-1)
            weight = ratio if self.max_weight is None else ratio.clamp(max=self.max_weight)
            weight = weight.reshape(*weight.shape, *[1] * (value.ndim - weight.ndim)).expand_as(value)
            out["loss_actor"] = self._reduce(-weight * self._log_prob(inputs), present)
            out["effective_sample_size"] = kernels.effective_sample_size(weight, present)
        return out

    def _normalising(self, advantage: Tensor, x: Tensor) -> Tensor:
        if not self.official:
            return self.alpha * self._conjugate(x) + self.normaliser
        ratio, divergence = kernels.soft_chi_square_ratio(x), kernels.soft_chi_square(x).detach()
        return ratio * (advantage - self.normaliser) - self.alpha * divergence + self.normaliser


def _detached(weights: Weights) -> Weights:
    return None if weights is None else (weights[0].detach(), weights[1].detach())
