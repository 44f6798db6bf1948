"""OMAR: conservative critics, and policies that also imitate what a search of the critic finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_count, require_number, unknown_name
from omiga_torchrl.functional.search import CEMResult, Update
from omiga_torchrl.modules.bounds import register_bounds
from omiga_torchrl.objectives import conservative
from omiga_torchrl.objectives.action_values import sampled_action_values
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.networks import required_bounds
from omiga_torchrl.objectives.sampled_actions import SampledActions
from omiga_torchrl.objectives.view import TeamView

Variant = Literal["paper", "official"]


class OMARLoss(TeamLoss):
    """OMAR (ICML 2022, arXiv:2111.11188), continuous actions: actor rectification by a search.

    Decentralised: without a mixer every agent has its own critics Q_i^e, by default twins; a bar is for
    target parameters, and pi_i is deterministic::

        loss_qvalue = sum_e mean (Q_i^e(o_i, a_i) - r - gamma (1 - terminated) min_e Qbar_i^e(o'_i, a'_i))^2
        a'_i        = pibar_i(o'_i)
        loss_cql    = cql_alpha sum_e mean (log sum_c m_c exp Q_i^e(o_i, c) - Q_i^e(o_i, a_i))
        loss_actor  = mean c |pi_i - best_i|^2 - (1 - c) Q_i^1(o_i, pi_i) + action_penalty pi_i^2

    with ``c = cem_weight``. best_i, detached, is whichever has the larger Q_i^1: the policy's own
    action or what a cross-entropy search found, see
    :func:`omiga_torchrl.functional.cross_entropy_search`. Squares are means over action features, in
    units of half the action range. c = 0 without action_penalty is MA-CQL with deterministic policies.

    The candidates c of the penalty are ``num_action_samples`` uniform actions and, if there is an
    ``action_noise_std``, as many of the policy's at o and at o' with Gaussian noise, truncated to the
    bounds; ``m_c = 1 / density``.

    With a mixer, which no release has, Q_tot takes Q_i's place in the critic's terms, with the
    counterfactual penalty of :class:`omiga_torchrl.objectives.cql.CQLLoss`, and w_i Q_i in the policy's,
    where ``w_i = dQ_tot / dQ_i``.

    Searches
        ``cem_update="elites"``: released for MuJoCo, with ``cem_iterations=2, cem_num_samples=20,
        cem_num_elites=5``. ``cem_update="softmax"``: released for particle environments, with
        ``cem_iterations=3, cem_num_samples=10``. Both start at standard deviation 2, where most samples are
        at the bounds, and elites that share a bound stay there.
        ``cem_refit=False``: every iteration samples from the start again, as ComaDICE's re-implementation
        does by mistake: random search.

    Variants
        ``"official"``: the released penalty. Noise is not truncated but clamped, and ``log m_c`` of noisy
        actions is minus their density, where it should be minus its logarithm; searches start at 2. Not
        reproduced: batch normalisation of the networks, and that of the softmax search only
        the last iteration counts.

    Args:
        actor_network: deterministic policy, writes the action ``[*B, N, A]``; tells its bounds ``low`` and
            ``high``, as :func:`omiga_torchrl.modules.deterministic_actor` does.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``.
        mixer_network: None (published), or ``state`` to (``mixer_weight``, ``mixer_bias``), or a monotonic
            mixer of local values and ``state``.

    Keyword Args:
        cem_weight: c in [0, 1], in units of return: against the size of values. Published 0.1 to 1.
            Default 0.5.
        cql_alpha: weight of the penalty, >= 0, in units of return. Published 0.5, 1 (default) or 5.
        num_action_samples: of each kind of candidates. Published 10, the default.
        action_noise_std: standard deviation of the candidates' noise, in units of half the range; None has
            uniform candidates only, as released for particle environments. Default 0.2, as for MuJoCo.
        variant: see above. Default ``"paper"``.
        cem_iterations: of the search. Default 2.
        cem_num_samples: draws of each iteration. Default 20.
        cem_update: ``"elites"`` (default) or ``"softmax"``.
        cem_num_elites: how many the former keeps. Default 5.
        cem_init_std: standard deviation that searches start from, around the middle of the range, in
            units of half the range; None is 1, or the variant's 2.
        cem_refit: see above. Default True.
        action_penalty: weight of the squared action, >= 0. Published 1e-3, the default.
        **kwargs: of :class:`TeamLoss`; the released code's ``gamma`` is 0.95.

    Raises:
        KeyError: an entry is missing.
        ValueError: arguments do not fit together, or an entry is not as expected.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("omar", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_cql', 'loss_qvalue']
    """

    terms = ("qvalue", "cql", "actor")
    metrics = ("cql_penalty", "cem_improvement")
    _schedulable_buffers = frozenset({"cem_weight", "cql_alpha"})

    cem_weight: Tensor
    cql_alpha: Tensor

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        cem_weight: float = 0.5,
        cql_alpha: float = 1.0,
        num_action_samples: int = 10,
        action_noise_std: float | None = 0.2,
        variant: Variant = "paper",
        cem_iterations: int = 2,
        cem_num_samples: int = 20,
        cem_update: Update = "elites",
        cem_num_elites: int = 5,
        cem_init_std: float | None = None,
        cem_refit: bool = True,
        action_penalty: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if variant not in get_args(Variant):
            raise unknown_name("OMARLoss", "variant", variant, get_args(Variant))
        self.is_official = variant == "official"
        self.cem_init_std = (2.0 if self.is_official else 1.0) if cem_init_std is None else cem_init_std
        self.num_action_samples, self.action_noise_std = num_action_samples, action_noise_std
        self.cem_iterations, self.cem_num_samples = cem_iterations, cem_num_samples
        self.cem_update, self.cem_num_elites, self.cem_refit = cem_update, cem_num_elites, cem_refit
        self.action_penalty = action_penalty
        _check_arguments(self)
        self.add_coefficient("cem_weight", cem_weight, "in [0, 1]")
        self.add_coefficient("cql_alpha", cql_alpha, ">= 0")
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network, target=True, at_next=True)
        register_bounds(self, *required_bounds(self))

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) Qbar_tot(s', pibar))^2``; trains Q network and mixer."""
        batch = self.view(data)
        next_q = F.ensemble_minimum(batch.next.target.q_at(batch.next.target.policy_action))
        target = batch.td_target(batch.next.target.mix(next_q))
        return batch.td_loss(batch.q_tot, target)

    def cql_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``cql_alpha`` times the penalty of sampled actions; trains Q network and mixer."""
        batch = self.view(data)
        sampled = self._sample_actions(batch)
        values = sampled_action_values(batch, sampled, importance_sampling=True)
        penalty = conservative.team_penalty(batch, values)
        batch.record("cql_penalty", penalty)
        return batch.reduce(self.cql_alpha * penalty)

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``c |pi_i - best_i|^2 - (1 - c) w_i Q_i^1 + action_penalty pi_i^2``; trains the policy."""
        batch = self.view(data)
        action = batch.policy_action
        q_pi = batch.q_at(action, detach_params=True, first_critic=True)[..., 0]
        found = self._search(batch)
        improvement = found.value - q_pi.detach()
        best_action = torch.where((improvement > 0).unsqueeze(-1), found.action, action.detach())
        batch.record("cem_improvement", improvement.clamp(min=0))
        loss = F.omar_actor_loss(
            batch.weighted(q_pi),
            action,
            best_action,
            self.cem_weight,
            self.action_penalty,
            low=self.low,
            high=self.high,
        )
        return batch.reduce(loss)

    def _search(self, batch: TeamView) -> CEMResult:
        """Best action of each agent by its first critic, and its value."""
        middle, half_range = (self.high + self.low) / 2, (self.high - self.low) / 2
        return F.cross_entropy_search(
            lambda action: batch.q_at(action, first_critic=True)[..., 0],
            torch.zeros_like(batch.action) + middle,
            half_range * self.cem_init_std,
            iterations=self.cem_iterations,
            num_samples=self.cem_num_samples,
            update=self.cem_update,
            num_elites=self.cem_num_elites,
            low=self.low,
            high=self.high,
            refit=self.cem_refit,
        )

    def _sample_actions(self, batch: TeamView) -> SampledActions:
        samples, low, high = self.num_action_samples, self.low, self.high
        uniform = SampledActions.uniform(samples, batch.action, low=low, high=high)
        if self.action_noise_std is None:
            return uniform
        std = F.half_ranges(low, high) * self.action_noise_std
        sample = SampledActions.clipped_gaussian if self.is_official else SampledActions.gaussian
        actions = (batch.policy_action.detach(), batch.next.policy_action)
        noisy = [sample(action, std, samples, low=low, high=high) for action in actions]
        if self.is_official:
            noisy = [replace(part, log_prob=part.log_prob.exp()) for part in noisy]
        return SampledActions.concatenate([uniform, *noisy])


def _check_arguments(loss: OMARLoss) -> None:
    if loss.cem_update not in get_args(Update):
        raise unknown_name("OMARLoss", "cem_update", loss.cem_update, get_args(Update))
    require_number("OMARLoss", "> 0", cem_init_std=loss.cem_init_std)
    if loss.action_noise_std is not None:
        require_number("OMARLoss", "> 0", action_noise_std=loss.action_noise_std)
    require_number("OMARLoss", ">= 0", action_penalty=loss.action_penalty)
    require_count(
        "OMARLoss", 1, num_action_samples=loss.num_action_samples, cem_iterations=loss.cem_iterations
    )
    require_count("OMARLoss", 2, cem_num_elites=loss.cem_num_elites)
    require_count("OMARLoss", 1, cem_num_samples=loss.cem_num_samples)
    if loss.cem_update == "elites" and loss.cem_num_samples < loss.cem_num_elites:
        raise ValueError(
            f"OMARLoss: cem_num_samples must be >= cem_num_elites ({loss.cem_num_elites}), got "
            f"{loss.cem_num_samples}. Increase cem_num_samples."
        )
