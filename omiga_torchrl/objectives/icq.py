"""ICQ: implicit-constraint Q-learning (NeurIPS 2021, arXiv:2106.03400)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor
from torchrl.modules.tensordict_module.rnn import set_recurrent_mode
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.diagnostics import WEIGHT_METRICS
from omiga_torchrl.objectives.icq_variants import (
    ICQVariant,
    PartitionEstimate,
    check_behavior_network,
    resolve_variant,
)
from omiga_torchrl.objectives.icq_weights import (
    bootstrap_mask,
    critic_weight,
    policy_weight,
    sequence_steps,
    time_last,
)
from omiga_torchrl.objectives.rewards import agents_first
from omiga_torchrl.objectives.sequences import next_step
from omiga_torchrl.objectives.view import TeamView


class ICQLoss(TeamLoss):
    """The losses of ICQ along sequences ``[*B, T]``, for a team with a mixer, or for agents without one.

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)``, a bar for target parameters and the weight
    ``rho = exp(Qbar_tot / critic_temperature) / Z`` of a data action::

        loss_qvalue   = mean (Q_tot(s_t, a_t) - y_t)^2
        y_t = r_t + gamma (1 - terminated_t) (rho_{t+1} Qbar_{t+1} + lambda (y_{t+1} - Qbar_{t+1}))
        loss_actor    = - mean exp(w_i Q_i / policy_temperature) / Z_i log pi_i(a_i | o_i)
        loss_behavior = - mean log mu_i(a_i | o_i)        (partition_estimate="behavior" only)

    Without a mixer, e.g. for one agent, each Q_i takes the place of Q_tot and ``w_i`` is 1. With a monotonic
    mixer ``w_i = dQ_tot / dQ_i`` at the data's actions.

    The target of a step reads the data's action at the next one, never another. Hence the batches
    are sequences, from ``StepSliceSampler(slice_len=T)`` reshaped to ``[-1, T]``;
    entries under ``"next"`` other than reward and ends are not read. The last step of a sequence
    has a target if it is terminated, and none otherwise: it is left out of ``loss_qvalue``.
    Padding is marked by a loss mask, by default ``("collector", "mask")``. Networks see whole
    sequences, so they may be recurrent.

    Partition estimates
        ``"batch"`` (default): Z is the mean over the batch, so that the mean weight is 1. **States
        then share one Z**: weights favor states of high value besides good actions, and in the
        critic's target they multiply high values once more. Keep ``critic_temperature`` far above the
        spread of Q over states (the published 1000 makes the critic nearly SARSA's): below it
        values diverge, with rewards of standard deviation 1 at 3.

        ``"behavior"``: Z of each state, from a model of the behavior policy that is trained along
        with the rest: exact for discrete actions, by samples for continuous ones. Z reads Q at the
        model's actions: in-sample as far as the model is. With a product of the agents' models Z
        factorizes over agents, as ``w_i Q_i`` do in the exponent; for a monotonic mixer to first order.

    Variants
        ``"paper"`` (default): the equations above, one step (``td_lambda=0``). ``"official"``: the
        released choices, each described at a field of :class:`ICQVariant`: the softmax code or the behavior
        code for one agent, or the multi-agent code. An ``ICQVariant`` of one's own mixes them. Not
        reproduced: masked steps take part in the released multi-agent softmax (here never); its policy
        is mixed with a uniform one while training (an affair of the policy network); twin critics of the
        AntMaze codes; ``loss_qvalue`` is one mean over all steps, where the released multi-agent code takes
        one optimizer step for each time step, which :meth:`qvalue_target` and
        ``qvalue_loss(..., target=, step=)`` do.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, T, N]``.
        qvalue_network: writes ``local_qvalue``: ``[*B, T, N, 1]`` of observation and action, or for
            discrete actions ``[*B, T, N, K]`` of the observation; of an ensemble (a last dimension more)
            the smallest counts.
        mixer_network: ``state`` to (``mixer_weight [*B, T, N, 1]``, ``mixer_bias [*B, T, 1]``), or a
            monotonic one; None for independent critics, or one agent's.

    Keyword Args:
        behavior_network: distribution mu of the data's actions, e.g.
            :func:`omiga_torchrl.modules.behavior_model`; for ``partition_estimate="behavior"``.
        partition_estimate: how Z is estimated, see above.
        variant: see above.
        policy_temperature: of the policy's weights, > 0, in units of return: small is greedy on few
            samples, large is behavior cloning. None is the variant's (paper: 1; released: 0.1 with a
            mixer, 600 without).
        critic_temperature: of the critic's weights, > 0, in units of return. None is the variant's
            (paper: 1000; released: 1000 with a mixer, 600 without).
        td_lambda: lambda of the critic's return, in [0, 1]. None is the variant's (paper: 0; released:
            0.75 with a mixer).
        max_exponent: for ``partition_estimate="behavior"``: the log of the weight beyond which exp goes
            on linearly. Default 10.
        **kwargs: ``gamma``, ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of its range, the batch is no sequences, or they go on after their
            end without a mask, or an entry's shape is not the expected one, e.g. a reward per agent.

    .. note:: Policies that factorize over agents cannot represent two equally good joint actions
        that must not be mixed (XOR): all weights are then equal and the policy is behavior cloning.

    Examples:
        >>> from omiga_torchrl.algorithms import icq_networks
        >>> from omiga_torchrl.objectives import ForeachSoftUpdate
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> networks = icq_networks(spec)
        >>> loss = ICQLoss(networks.actor, networks.qvalue, networks.mixer, policy_temperature=0.5)
        >>> updater = ForeachSoftUpdate(loss, tau=0.005)
        >>> out = loss(spec.fake_batch(8, 4))  # 8 sequences of 4 steps
        >>> sum(value for key, value in out.items() if key.startswith("loss_")).backward()
        >>> sorted(key for key in out.keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue']
    """

    metrics = (*WEIGHT_METRICS, "actor_weight_max", "critic_effective_sample_size", "critic_weight_max")
    _schedulable_buffers = frozenset({"policy_temperature", "critic_temperature"})

    policy_temperature: Tensor
    critic_temperature: Tensor

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        behavior_network: TensorDictModuleBase | None = None,
        partition_estimate: PartitionEstimate = "batch",
        variant: Literal["paper", "official"] | ICQVariant = "paper",
        policy_temperature: float | None = None,
        critic_temperature: float | None = None,
        td_lambda: float | None = None,
        max_exponent: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("ICQLoss", "> 0", max_exponent=max_exponent)
        self.options = resolve_variant(
            variant,
            has_mixer=mixer_network is not None,
            partition_estimate=partition_estimate,
            policy_temperature=policy_temperature,
            critic_temperature=critic_temperature,
            td_lambda=td_lambda,
        )
        self.partition_estimate, self.max_exponent = partition_estimate, max_exponent
        check_behavior_network(self.options, partition_estimate, behavior_network is not None)
        self.terms = ("qvalue", "actor") if behavior_network is None else ("qvalue", "actor", "behavior")
        self.add_coefficient("policy_temperature", self.options.policy_temperature, "> 0")
        self.add_coefficient("critic_temperature", self.options.critic_temperature, "> 0")
        estimator = ValueEstimators.TDLambda if self.options.td_lambda else ValueEstimators.TD0
        self.lmbda.fill_(self.options.td_lambda)
        self.make_value_estimator(estimator)
        self.add_network("actor_network", actor_network)
        self.add_network("qvalue_network", qvalue_network, target=True)
        self.add_network("mixer_network", mixer_network, target=True)
        self.add_network("behavior_network", behavior_network)
        self.normalizes_mixer = self.has_mixer and self.options.normalized_mixer
        if self.normalizes_mixer and not self.has_linear_mixer:
            raise ValueError(
                "ICQLoss: mixer_network must be linear for normalized_mixer=True, e.g. variant='official', "
                "got a monotonic one. Use NormalizedMixer or LinearMixer, or variant='paper'."
            )

    def qvalue_loss(
        self, data: TensorDictBase | TeamView, *, target: Tensor | None = None, step: int | None = None
    ) -> Tensor:
        """``(Q_tot(s_t, a_t) - y_t)^2``; trains Q network and mixer.

        Args:
            data: the sequences.

        Keyword Args:
            target: what :meth:`qvalue_target` gave; None computes it.
            step: only this time step counts. The released multi-agent code takes one optimizer
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
        batch = self.view(data)
        has_target = sequence_steps(batch).known
        if step is not None:
            has_target = has_target & (torch.arange(has_target.shape[-1], device=has_target.device) == step)
        target = self.qvalue_target(batch) if target is None else target
        return batch.td_loss(batch.q_tot, target, has_target)

    @torch.no_grad()
    def qvalue_target(self, data: TensorDictBase | TeamView) -> Tensor:
        """``y_t`` of steps ``[*B, T]``, without a mixer ``[*B, T, N]``; meaningless where a step has none.

        Args:
            data: the sequences.
        """
        with set_recurrent_mode(True):
            batch = self.view(data)
            steps, critic = sequence_steps(batch), batch.target
            next_q = next_step(time_last(batch, critic.mix(critic.q_min)))
            weighted = critic_weight(self, batch, next_q) * next_q
        reward = agents_first(batch.reward, batch.done).expand_as(next_q)
        terminated = batch.terminated.expand_as(next_q)
        if self.value_type == ValueEstimators.TD0:
            target = F.one_step_target(reward, weighted, terminated, self.gamma)
        else:
            ends = ~(bootstrap_mask(batch, next_q) & next_step(steps.known))
            baseline = weighted if self.options.weighted_trace else next_q
            target = F.lambda_target(
                reward, weighted, terminated, ends, self.gamma, self.lmbda, next_baseline=baseline
            )
        return target if self.has_mixer else target.movedim(0, -1)

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- exp(w_i Q_i / policy_temperature) / Z_i log pi_i(a_i | o_i)``; trains the policy."""
        batch = self.view(data)
        critic = batch.target if self.options.target_in_actor else batch
        weight, where = policy_weight(self, batch, critic)
        batch.record("actor_weight_max", torch.where(where, weight, 0.0).max())
        factor = weight if self.options.weight_in_exponent else critic.weighted(weight)
        return batch.reduce(-factor * batch.log_prob, where)

    def behavior_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- log mu_i(a_i | o_i)``; trains the behavior model."""
        batch = self.view(data)
        return batch.reduce(-batch.behavior_log_prob)
