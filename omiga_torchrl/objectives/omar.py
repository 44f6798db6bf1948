"""OMAR: conservative critics, and policies that also imitate what a search of the critic finds."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, get_args

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_count, require_number, unknown_name
from omiga_torchrl.functional.search import Found, Update
from omiga_torchrl.modules import first_member
from omiga_torchrl.objectives.conservative import ConservativeCriticLoss
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.proposals import Proposals

Variant = Literal["paper", "official"]


class OMARLoss(ConservativeCriticLoss):
    """OMAR (ICML 2022, arXiv:2111.11188), continuous actions: actor rectification by a search.

    Decentralised: without a mixer every agent has its own critics Q_i^e, by default twins; a bar is for
    target parameters, and pi_i is deterministic::

        loss_qvalue = sum_e mean (Q_i^e(o_i, a_i) - r - gamma (1 - terminated) min_e Qbar_i^e(o'_i, a'_i))^2
        a'_i        = pibar_i(o'_i)
        loss_cql    = cql_alpha sum_e mean (log sum_c m_c exp Q_i^e(o_i, c) - Q_i^e(o_i, a_i))
        loss_actor  = mean c |pi_i - best_i|^2 - (1 - c) Q_i^1(o_i, pi_i) + action_penalty pi_i^2

    with ``c = search_weight``. best_i, detached, is whichever has the larger Q_i^1: the policy's own
    action or what a cross-entropy search found, see
    :func:`omiga_torchrl.functional.cross_entropy_search`. Squares are means over action features, in
    units of half the action range. c = 0 without action_penalty is MA-CQL with deterministic policies.

    The candidates c of the penalty are ``samples`` uniform actions and, if there is a
    ``candidate_noise``, as many of the policy's at o and at o' with Gaussian noise, truncated to the
    bounds; ``m_c = 1 / density``.

    With a mixer, which no release has, Q_tot takes Q_i's place in the critic's terms, with the
    counterfactual penalty of :class:`omiga_torchrl.objectives.cql.CQLLoss`, and w_i Q_i in the policy's.

    Searches
        ``search="elites"``: released for MuJoCo, with ``iterations=2, search_samples=20, elites=5``.
        ``search="softmax"``: released for particle environments, with ``iterations=3,
        search_samples=10``. Both start at standard deviation 2, where most samples are at the bounds,
        and elites that share a bound stay there.
        ``refine=False``: every iteration samples from the start again, as ComaDICE's re-implementation
        does by mistake: random search.

    Variants
        ``"official"``: the released penalty. Noise is not truncated but clamped, and ``log m_c`` of noisy
        actions is minus their density, where it should be minus its logarithm; searches start at 2. Not
        reproduced: batch normalisation of the networks, and that of the softmax search only
        the last iteration counts.

    Args:
        actor_network: deterministic policy, writes the action ``[*B, N, A]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``.
        mixer_network: None (published), or ``state`` to (``mixer_weight``, ``mixer_bias``).

    Keyword Args:
        search_weight: c in [0, 1], in units of return: against the size of values. Published 0.1 to 1.
        cql_alpha: weight of the penalty, >= 0, in units of return. Published 0.5, 1 or 5.
        samples: M of each kind of candidates. Published 10.
        candidate_noise: standard deviation, in units of half the range; None has uniform candidates
            only, as released for particle environments. Default 0.2, as for MuJoCo.
        variant: see above. Default ``"paper"``.
        iterations: of the search.
        search_samples: draws of each iteration.
        search: ``"elites"`` or ``"softmax"``.
        elites: how many the former keeps.
        search_std: standard deviation that searches start from, around the middle of the range, in
            units of half the range; None is 1, or the variant's 2.
        refine: see above.
        action_penalty: weight of the squared action. Published 1e-3.
        low: lower bound of actions.
        high: upper bound of actions.
        **kwargs: ``gamma`` (the released code's is 0.95), ``burn_in`` and ``reduction`` of
            :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if arguments do not fit together, or an entry is not as expected.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("omar", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_cql', 'loss_qvalue']
    """

    terms = ("loss_qvalue", "loss_cql", "loss_actor")

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        search_weight: float = 0.5,
        cql_alpha: float = 1.0,
        samples: int = 10,
        candidate_noise: float | None = 0.2,
        variant: Variant = "paper",
        iterations: int = 2,
        search_samples: int = 20,
        search: Update = "elites",
        elites: int = 5,
        search_std: float | None = None,
        refine: bool = True,
        action_penalty: float = 1e-3,
        low: float = -1.0,
        high: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if variant not in get_args(Variant):
            raise unknown_name("OMARLoss", "variant", variant, get_args(Variant))
        super().__init__(
            qvalue_network,
            mixer_network,
            cql_alpha=cql_alpha,
            penalty="counterfactual",
            samples=samples,
            importance=True,
            low=low,
            high=high,
            **kwargs,
        )
        self.official = variant == "official"
        self.search_std = (2.0 if self.official else 1.0) if search_std is None else search_std
        if search not in get_args(Update):
            raise unknown_name("OMARLoss", "search", search, get_args(Update))
        self.candidate_noise, self.action_penalty = candidate_noise, action_penalty
        self._check(search_weight, candidate_noise, iterations, search_samples, elites)
        self.iterations, self.search_samples = iterations, search_samples
        self.search, self.elites, self.refine = search, elites, refine
        self.middle, self.half = (high + low) / 2, (high - low) / 2
        self.register_coeff_buffer("search_weight", search_weight)
        self.convert_to_functional(actor_network, "actor_network", create_target_params=True)

    def _check(
        self, search_weight: float, noise: float | None, iterations: int, samples: int, elites: int
    ) -> None:
        require_number("OMARLoss", "in [0, 1]", search_weight=search_weight)
        require_number("OMARLoss", "> 0", search_std=self.search_std)
        if noise is not None:
            require_number("OMARLoss", "> 0", candidate_noise=noise)
        require_number("OMARLoss", ">= 0", action_penalty=self.action_penalty)
        require_count("OMARLoss", 1, iterations=iterations)
        require_count("OMARLoss", 2, elites=elites)
        require_count("OMARLoss", 1, search_samples=samples)
        if samples < elites:
            raise ValueError(
                f"OMARLoss: search_samples is {samples}, elites {elites}; expected as many samples or more."
            )

    def _found_out_keys(self) -> list[NestedKey]:
        return [*self.terms, self.tensor_keys.global_qvalue, "cql_penalty", "search_gain"]

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        out: dict[str, Tensor] = {}
        if "loss_qvalue" in terms or "loss_cql" in terms:
            out |= self._critic_terms(inputs, mask, terms)
        if "loss_actor" in terms:
            out |= self._actor_term(inputs, mask)
        return out

    # Critic -------------------------------------------------------------------------

    def _next_value(self, inputs: TensorDictBase) -> Tensor:
        action = self._next_action(inputs, target=True)
        return kernels.ensemble_minimum(self._next_local(inputs, action))

    def _proposals(self, inputs: TensorDictBase) -> Proposals:
        uniform = self._uniform(inputs)
        if self.candidate_noise is None:
            return uniform
        std, bounds = self.half * self.candidate_noise, {"low": self.low, "high": self.high}
        draw = Proposals.clamped_around if self.official else Proposals.around
        now = draw(self._action(inputs), std, self.samples, **bounds)
        following = draw(self._next_action(inputs, target=False), std, self.samples, **bounds)
        if self.official:
            for noisy in (now, following):
                noisy.log_density = noisy.log_density.exp()
        return Proposals.joined([uniform, now, following])

    # Policy -------------------------------------------------------------------------

    def _actor_term(self, inputs: TensorDictBase, mask: Tensor | None) -> dict[str, Tensor]:
        action = self._action(inputs)
        with torch.no_grad():
            weights = self._weights(inputs)
        own = self._acted_first(inputs, action)
        value = self._share(own, weights)
        found = self._search(inputs)
        gain = found.value - own.detach()
        best = torch.where((gain > 0).unsqueeze(-1), found.action, action.detach())
        error = ((action - best) / self.half).square().mean(-1)
        size = ((action - self.middle) / self.half).square().mean(-1)
        loss = self.search_weight * error - (1 - self.search_weight) * value + self.action_penalty * size
        entries = self._entries(inputs, mask, value.shape)
        return {
            "loss_actor": self._reduce(loss, entries),
            "search_gain": masked_mean(gain.clamp(min=0), entries),
        }

    def _search(self, inputs: TensorDictBase) -> Found:
        """The best action of each agent by its first critic, and its value."""
        start = torch.full_like(inputs.get(self.tensor_keys.action), self.middle)
        with first_member(self.qvalue_network):
            return kernels.cross_entropy_search(
                lambda action: self._at_actions(inputs, action)[..., 0, 0],
                start,
                self.half * self.search_std,
                iterations=self.iterations,
                samples=self.search_samples,
                update=self.search,
                elites=self.elites,
                low=self.low,
                high=self.high,
                refine=self.refine,
            )
