"""ICQ: implicit-constraint Q-learning (NeurIPS 2021, arXiv:2106.03400)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.modules.tensordict_module.rnn import set_recurrent_mode
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.icq_terms import DIAGNOSTICS, ICQTerms
from omiga_torchrl.objectives.icq_variants import ICQVariant, Weighting, resolve_variant


class ICQLoss(ICQTerms):
    """The losses of ICQ along sequences ``[*B, T]``, for a team (with a mixer) or one agent (without).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (one agent: its Q), a bar for target parameters and
    the weight ``rho = exp(Qbar_tot / alpha_Q) / Z`` of a data action::

        loss_qvalue    = mean (Q_tot(s_t, a_t) - y_t)^2
        y_t = r_t + gamma (1 - terminated_t) (rho_{t+1} Qbar_{t+1} + lambda (y_{t+1} - Qbar_{t+1}))
        loss_actor     = - mean exp(w_i Q_i / alpha_pi) / Z_i log pi_i(a_i | o_i)
        loss_behaviour = - mean log mu_i(a_i | o_i)              (weighting="behaviour" only)

    The target of a step reads the data's action at the next one, never another. Hence the batches
    are sequences, from ``StepSliceSampler(slice_len=T)`` reshaped to ``[-1, T]``;
    entries under ``"next"`` other than reward and ends are not read. The last step of a sequence
    has a target if it is terminated, and none otherwise: it is left out of ``loss_qvalue``.
    Padding is marked by a loss mask, by default ``("collector", "mask")``. Networks see whole
    sequences, so they may be recurrent.

    Weighting
        ``"softmax"`` (default): Z is the mean over the batch, so that the mean weight is 1. **States
        then share one Z**: weights favour states of high value besides good actions, and in the
        critic's target they multiply high values once more. Keep ``critic_alpha`` far above the
        spread of Q over states (the published 1000 makes the critic nearly SARSA's): below it
        values diverge, with rewards of standard deviation 1 at 3.

        ``"behaviour"``: Z of each state, from a model of the behaviour policy that is trained along
        with the rest: exact for discrete actions, by samples for continuous ones. Z reads Q at the
        model's actions: in-sample as far as the model is. With a product of the agents' models Z
        factorises over agents, as ``w_i Q_i`` do in the exponent.

    Variants
        ``"paper"`` (default): the equations above, one step (``td_lambda=0``). ``"official"``: the
        released choices, each described at a field of :class:`ICQVariant`: the softmax code for one
        agent, the behaviour code for one agent, or the multi-agent code. An ``ICQVariant`` of
        one's own mixes them. Not reproduced: masked steps take part in the released multi-agent
        softmax (here never); its policy is mixed with a uniform one while training (an affair of
        the policy network); twin critics of the AntMaze codes; ``loss_qvalue`` is one mean over all
        steps, where the released multi-agent code takes one optimiser step for each time step,
        which :meth:`qvalue_target` and ``qvalue_loss(..., target=, step=)`` do.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, T, N]``.
        qvalue_network: writes ``local_qvalue``: ``[*B, T, N, 1]`` of observation and action, or for
            discrete actions ``[*B, T, N, K]`` of the observation.
        mixer_network: ``state`` to (``mixer_weight [*B, T, N, 1]``, ``mixer_bias [*B, T, 1]``); None
            for one agent.

    Keyword Args:
        behaviour_network: distribution mu of the data's actions, e.g.
            :func:`omiga_torchrl.modules.behaviour_model`; for ``weighting="behaviour"``.
        weighting: how Z is estimated, see above.
        variant: see above.
        actor_alpha: temperature alpha_pi of the policy's weights, > 0, in units of return: small is
            greedy on few samples, large is behaviour cloning. None is the variant's (paper: 1;
            released: 0.1 for a team, 600 for one agent).
        critic_alpha: temperature alpha_Q of the critic's weights, > 0. None is the variant's (paper:
            1000; released: 1000 for a team, 600 for one agent).
        td_lambda: lambda of the critic's return, in [0, 1]. None is the variant's (paper: 0; released:
            0.75 for a team).
        gamma: discount in [0, 1]. Default 0.99.
        max_log_weight: for ``weighting="behaviour"``: the log of the weight beyond which exp goes on
            linearly.
        burn_in: for recurrent networks: first steps of every sequence that only fill memories and have
            no terms. Default 0.
        reduction: ``"mean"`` (default), ``"sum"`` or ``"none"``: ``[*B, T, N]`` (Q: ``[*B, T]``).
        **choices: further fields of :class:`ICQVariant`, e.g. ``advantage="td"``.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if the batch is no sequences, or they go on after their end without a mask, or
            an entry's shape is not the expected one, e.g. a reward per agent.

    .. note:: Policies that factorise over agents cannot represent two equally good joint actions
        that must not be mixed (XOR): all weights are then equal and the policy is behaviour cloning.

    Examples:
        >>> from omiga_torchrl.algorithms import icq_networks
        >>> from omiga_torchrl.objectives import ForeachSoftUpdate
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> networks = icq_networks(spec)
        >>> loss = ICQLoss(networks.actor, networks.qvalue, networks.mixer, actor_alpha=0.5)
        >>> updater = ForeachSoftUpdate(loss, tau=0.005)
        >>> data = spec.fake_batch(8, 4)  # 8 sequences of 4 steps
        >>> out = loss(data)
        >>> sum(value for key, value in out.items() if key.startswith("loss_")).backward()
        >>> sorted(key for key in out.keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue']
    """

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        behaviour_network: TensorDictModuleBase | None = None,
        weighting: Weighting = "softmax",
        variant: Literal["paper", "official"] | ICQVariant = "paper",
        actor_alpha: float | None = None,
        critic_alpha: float | None = None,
        td_lambda: float | None = None,
        gamma: float = 0.99,
        max_log_weight: float = 10.0,
        burn_in: int = 0,
        reduction: str | None = None,
        **choices: Any,
    ) -> None:
        team = mixer_network is not None
        chosen = resolve_variant(
            variant,
            team=team,
            weighting=weighting,
            actor_alpha=actor_alpha,
            critic_alpha=critic_alpha,
            td_lambda=td_lambda,
            **choices,
        )
        super().__init__(reduction, burn_in, gamma=gamma, lmbda=chosen.td_lambda)
        require_number("ICQLoss", "> 0", max_log_weight=max_log_weight)
        self.team, self.weighting, self.choices = team, weighting, chosen
        self.max_log_weight = max_log_weight
        modelled = self._check_model(behaviour_network)
        self.terms = ("loss_qvalue", "loss_actor") + ("loss_behaviour",) * modelled
        self.register_coeff_buffer("actor_alpha", self.choices.actor_alpha)
        self.register_coeff_buffer("critic_alpha", self.choices.critic_alpha)
        if self.choices.td_lambda:
            self.value_type = ValueEstimators.TDLambda
        self.convert_to_functional(actor_network, "actor_network")
        self.convert_to_functional(qvalue_network, "qvalue_network", create_target_params=True)
        if mixer_network is not None:
            self.convert_to_functional(mixer_network, "mixer_network", create_target_params=True)
        if behaviour_network is not None:
            self.convert_to_functional(behaviour_network, "behaviour_network")

    def _check_model(self, behaviour_network: TensorDictModuleBase | None) -> bool:
        modelled = self.weighting == "behaviour"
        if modelled != (behaviour_network is not None):
            found = "no behaviour_network" if modelled else "a behaviour_network"
            raise ValueError(
                f"ICQLoss: weighting={self.weighting!r} with {found}; expected one for 'behaviour' and none "
                "for 'softmax'. Make one with omiga_torchrl.modules.behaviour_model(spec)."
            )
        if modelled and self.choices.advantage != "qvalue":
            raise ValueError(
                f"ICQLoss: advantage={self.choices.advantage!r} with weighting='behaviour'; expected "
                "'qvalue': the partition function of each state is the baseline already."
            )
        return modelled

    def _found_out_keys(self) -> list[NestedKey]:
        return [*self.terms, self.tensor_keys.global_qvalue, *DIAGNOSTICS]

    def _network_keys(self) -> Iterable[NestedKey]:
        yield from self.qvalue_network.in_keys
        if self.team:
            yield from self.mixer_network.in_keys
        yield from self.actor_network.in_keys
        if self.weighting == "behaviour":
            yield from self.behaviour_network.in_keys

    def qvalue_loss(
        self, tensordict: TensorDictBase, *, target: Tensor | None = None, step: int | None = None
    ) -> Tensor:
        """The term ``loss_qvalue``, whose gradient reaches the Q network and the mixer only.

        Args:
            tensordict: the sequences.

        Keyword Args:
            target: what :meth:`qvalue_target` gave; None computes it.
            step: only this time step counts. The released multi-agent code takes one optimiser
                step for each, on targets computed once.

        Examples:
            One critic update of the released multi-agent code, given ``loss``, ``data`` and
            ``optimizer``::

                target = loss.qvalue_target(data)
                for step in range(data.shape[-1]):
                    loss.qvalue_loss(data, target=target, step=step).backward()
                    optimizer.step()
                    optimizer.zero_grad()
        """
        if target is None and step is None:
            return self._term(tensordict, "loss_qvalue")
        wanted = self.qvalue_target(tensordict) if target is None else target
        inputs, mask = self._inputs(tensordict)
        steps = self._steps(inputs, mask)
        known = steps.known
        if step is not None:
            known = known & (torch.arange(known.shape[-1], device=known.device) == step)
        return self._reduce((self._critic(inputs).total - wanted).square(), known)

    @torch.no_grad()
    def qvalue_target(self, tensordict: TensorDictBase) -> Tensor:
        """The target of every step, ``[*B, T]``; meaningless where a step has none.

        Args:
            tensordict: the sequences.
        """
        with set_recurrent_mode(True):
            inputs, mask = self._inputs(tensordict)
            steps = self._steps(inputs, mask)
            critic = self._critic(inputs, target=True)
            behaviour = self._behaviour(inputs, critic, self._candidates(inputs), of_target=True)
            return self._lambda_target(self._critic_weight(critic, behaviour, steps), critic.total, steps)

    def actor_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_actor``, whose gradient reaches the policy only."""
        return self._term(tensordict, "loss_actor")

    def behaviour_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_behaviour``, whose gradient reaches the behaviour model only."""
        return self._term(tensordict, "loss_behaviour")
