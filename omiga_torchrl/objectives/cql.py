"""CQL for teams: MA-CQL and CFCQL, for continuous and for discrete actions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal, get_args

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.distributions import Distribution

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number, unknown_name
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.conservative import Penalty
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.penalty_shares import SharedPenaltyLoss
from omiga_torchrl.objectives.proposals import Proposals

Improvement = Literal["maximise", "weighted"]
Variant = Literal["paper", "official"]


class CQLLoss(SharedPenaltyLoss):
    """Conservative Q-learning (CQL: arXiv:2006.04779) of a team, with CFCQL's penalty (arXiv:2309.12696).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), critics Q^e and a bar for
    target parameters::

        loss_qvalue = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) Qbar_tot(s', a'))^2
        loss_cql    = cql_alpha sum_e mean sum_i l_i (log sum_c m_c exp(w_i Q_i^e(o_i, c))
                                                      - w_i Q_i^e(o_i, a_i))
        loss_actor  = mean - w_i Q_i(o_i, pi_i) + entropy_coeff log pi_i      (continuous)

    Qbar_tot mixes, and Q_i in the policy's loss is, each agent's smallest of the critics.

    Continuous: a' ~ pi(o'). The candidates c of every agent are ``samples`` uniform actions, as many
    of pi(o), and as many of pi(o'), all valued at o. With ``m_c = 1 / density`` each kind estimates the
    integral of exp over actions.

    Discrete: there is no actor. The candidates are all legal actions, ``m_c = 1``, and a' is the best
    legal action of the online critics (double Q-learning). The policy that acts is
    :func:`omiga_torchrl.modules.greedy.greedy_policy` of the Q network.

    Penalties
        ``"counterfactual"`` (default): CFCQL's. For each agent by itself, the others keep the data's
        actions, so that with a linear mixer only w_i Q_i is left. The shares l_i sum to 1: 1 / n, or
        ``softmax_i(share_sharpness KL(p_i || mu_i))`` with ``p_i = softmax(w_i Q_i)`` over the
        candidates and mu_i the behaviour network, which is trained as ``loss_behaviour``.

        ``"joint"``: MA-CQL's, over sampled joint actions (discrete: uniform among legal ones):
        ``log sum_c m_c exp Q_tot(s, c) - Q_tot(s, a)``. Over all joint actions it would be n times the
        counterfactual one with equal shares.

        ``"summed"``: ComaDICE's, the sum over agents of counterfactual log-sums of ``w_i Q_i + b``,
        minus Q_tot(s, a). Compared with equal shares it is n times as large, and b, which cancels in
        the others, is left n - 1 times: the penalty pushes the mixer's bias down without bound.

        Without a mixer every agent has the penalty of its own Q_i, whichever is chosen.

    Variants
        ``"official"`` (continuous): what ComaDICE ran as CQL on OMIGA's data: ``penalty="summed"``,
        ``importance=False``, ``policy="weighted"``; to be complete, one critic and cql_alpha = 1.

    Args:
        actor_network: policy with a distribution that can be reparametrised; None for discrete actions.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``, or discrete ``[*B, N, K, E]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``); None learns
            independent critics, or one agent's.

    Keyword Args:
        behaviour_network: mu_i, if and only if ``share_sharpness`` is not 0; see
            :func:`omiga_torchrl.modules.behaviour_model`.
        cql_alpha: weight of the penalty, >= 0, in units of return. Released, on raw rewards: CQL 5 or
            10; CFCQL on SMAC 0.1 to 50; MA-CQL there 5; ComaDICE 1. Default 1.
        samples: M of each kind of sampled actions. Released: 10; joint ones of discrete teams 100 or 20.
        share_sharpness: without unit. > 0: the agent furthest from the data is penalised most (CFCQL's
            released discrete code: 0 to 1 by map). < 0: the nearest (its continuous code, which estimates
            the divergence by one density). Default 0.
        entropy_coeff: weight of the entropy in the policy's loss, >= 0, in units of return.
        variant: names the defaults of the next three. Default ``"paper"``.
        penalty: see above; None is the variant's.
        importance: divide candidates by their densities (discrete: of joint ones); None is the variant's.
        policy: ``"maximise"``: loss_actor above. ``"weighted"``: ``- mean Q_i(o_i, a_i) log pi_i(a_i | o_i)``
            of the data's actions, unweighted by w_i and without a baseline (ComaDICE); values below
            0 push the data's actions away. None is the variant's.
        masked: discrete: whether the data have action masks.
        low: lower bound of actions.
        high: upper bound of actions.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if arguments do not fit together, or an entry is not as expected.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("cql", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_cql', 'loss_qvalue']
    """

    def __init__(
        self,
        actor_network: TensorDictModuleBase | None,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        behaviour_network: TensorDictModuleBase | None = None,
        cql_alpha: float = 1.0,
        samples: int = 10,
        share_sharpness: float = 0.0,
        entropy_coeff: float = 0.1,
        variant: Variant = "paper",
        penalty: Penalty | None = None,
        importance: bool | None = None,
        policy: Improvement | None = None,
        masked: bool = False,
        low: float = -1.0,
        high: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if variant not in get_args(Variant):
            raise unknown_name("CQLLoss", "variant", variant, get_args(Variant))
        official = variant == "official"
        super().__init__(
            qvalue_network,
            mixer_network,
            behaviour_network,
            share_sharpness=share_sharpness,
            cql_alpha=cql_alpha,
            penalty=penalty or ("summed" if official else "counterfactual"),
            samples=samples,
            importance=not official if importance is None else importance,
            low=low,
            high=high,
            **kwargs,
        )
        self.policy: Improvement = policy or ("weighted" if official else "maximise")
        self.acting, self.masked = actor_network is not None, masked
        self._check(official, entropy_coeff)
        self.register_coeff_buffer("entropy_coeff", entropy_coeff)
        self.terms = ("loss_qvalue", "loss_cql")
        self.terms += ("loss_actor",) * self.acting + ("loss_behaviour",) * self.modelled
        if actor_network is not None:
            self.convert_to_functional(actor_network, "actor_network")

    def _check(self, official: bool, entropy_coeff: float) -> None:
        if self.policy not in get_args(Improvement):
            raise unknown_name("CQLLoss", "policy", self.policy, get_args(Improvement))
        require_number("CQLLoss", ">= 0", entropy_coeff=entropy_coeff)
        if official and not self.acting:
            raise ValueError(
                "CQLLoss: variant='official' without actor_network; expected continuous actions, the "
                "released code has no others. Use variant='paper', with penalty='joint' for MA-CQL."
            )

    # Keys ---------------------------------------------------------------------------

    def _acting_networks(self) -> list[TensorDictModuleBase]:
        behaviour = [self.behaviour_network] if self.modelled else []
        return [self.actor_network, *behaviour] if self.acting else behaviour

    def _data_keys(self) -> Iterable[NestedKey]:
        yield from super()._data_keys()
        if self.masked:
            yield self.tensor_keys.action_mask
            yield next_key(self.tensor_keys.action_mask)

    def _found_out_keys(self) -> list[NestedKey]:
        found: list[NestedKey] = [*self.terms, self.tensor_keys.global_qvalue, "cql_penalty"]
        return [*found, "policy_entropy"] if self.acting and self.policy == "maximise" else found

    # Terms --------------------------------------------------------------------------

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        self._check_data(tensordict)
        out: dict[str, Tensor] = {}
        if "loss_qvalue" in terms or "loss_cql" in terms:
            out |= self._critic_terms(inputs, mask, terms)
        if "loss_actor" in terms:
            out |= self._actor_term(inputs, mask)
        if "loss_behaviour" in terms:
            out["loss_behaviour"] = self._likelihood_term(inputs, mask, "behaviour_network")
        return out

    def _check_data(self, tensordict: TensorDictBase) -> None:
        key = self.tensor_keys.action
        dtype = tensordict.get(key).dtype
        if dtype.is_floating_point != self.acting:
            raise ValueError(
                f"CQLLoss: {key!r} is {dtype} {'with an' if self.acting else 'without'} actor_network; "
                "expected an actor for continuous actions and none for discrete ones."
            )
        if not self.acting and not self.masked and self.tensor_keys.action_mask in tensordict.keys(True):
            raise ValueError(
                f"CQLLoss: the data have {self.tensor_keys.action_mask!r} but masked is False; expected that "
                "no action is illegal. Pass masked=True."
            )

    # Critic -------------------------------------------------------------------------

    def _legal(self, inputs: TensorDictBase) -> Tensor | None:
        return inputs.get(self.tensor_keys.action_mask) if self.masked else None

    def _next_value(self, inputs: TensorDictBase) -> Tensor:
        if self.acting:
            action = self._with_next_distribution("actor_network", inputs, lambda policy: policy.sample())
        else:
            online = kernels.ensemble_minimum(self._next_every(inputs, target=False))
            legal = torch.ones_like(online, dtype=torch.bool)
            if self.masked:
                legal = inputs.get(next_key(self.tensor_keys.action_mask))
            action = kernels.best_value(online, legal).action
        return kernels.ensemble_minimum(self._next_local(inputs, action))

    def _proposals(self, inputs: TensorDictBase) -> Proposals:
        def drawn(policy: Distribution) -> Proposals:
            return Proposals.of_policy(policy, self.samples)

        now = self._with_distribution("actor_network", inputs, drawn)
        following = self._with_next_distribution("actor_network", inputs, drawn)
        return Proposals.joined([self._uniform(inputs), now, following])

    # Policy -------------------------------------------------------------------------

    def _actor_term(self, inputs: TensorDictBase, mask: Tensor | None) -> dict[str, Tensor]:
        if self.policy == "weighted":
            log_prob = self._log_prob(inputs)
            with torch.no_grad():
                value = kernels.ensemble_minimum(self._local(inputs))
            entries = self._entries(inputs, mask, log_prob.shape)
            return {"loss_actor": self._reduce(-value * log_prob, entries)}
        drawn = self._with_distribution(
            "actor_network", inputs, lambda policy: Proposals.of_policy(policy, 1)
        )
        action, log_prob = drawn.action[0], drawn.log_density[0]
        with torch.no_grad():
            weights = self._weights(inputs)
        value = kernels.ensemble_minimum(self._weighed(self._acted(inputs, action), weights))
        entries = self._entries(inputs, mask, value.shape)
        return {
            "loss_actor": self._reduce(self.entropy_coeff * log_prob - value, entries),
            "policy_entropy": masked_mean(-log_prob.detach(), entries),
        }
