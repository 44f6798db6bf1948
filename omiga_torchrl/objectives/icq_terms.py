"""The terms of ICQ along sequences, from one evaluation of each network."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import torch
from tensordict import TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import functional as kernels
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.common import log_probabilities
from omiga_torchrl.objectives.critic import MixedCriticLoss
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.icq_variants import ICQVariant, Weighting
from omiga_torchrl.objectives.icq_weights import Behaviour, Candidates, Critic, batch_dims, sample_masses
from omiga_torchrl.objectives.sequences import (
    Steps,
    next_step,
    require_one_episode,
    require_sequences,
)

DIAGNOSTICS = (
    "effective_sample_size",
    "critic_sample_size",
    "actor_weight_max",
    "critic_weight_max",
    "mixer_weight",
)


class ICQTerms(MixedCriticLoss):
    """The maths of :class:`omiga_torchrl.objectives.ICQLoss`; see there for arguments and meaning."""

    _schedulable_buffers = frozenset({"actor_alpha", "critic_alpha", "gamma"})
    _with_parameters: ClassVar[tuple[str, ...]] = ("qvalue_network_params", "actor_network_params")

    behaviour_network: TensorDictModuleBase
    behaviour_network_params: TensorDictParams
    target_behaviour_network_params: TensorDictParams

    actor_alpha: Tensor
    critic_alpha: Tensor
    choices: ICQVariant
    weighting: Weighting
    team: bool
    max_log_weight: float

    # Inputs -------------------------------------------------------------------------

    def _steps(self, inputs: TensorDictBase, mask: Tensor | None) -> Steps:
        """The steps of the sequences ``[*B, T]``, after checking that they are sequences."""
        key = next_key(self.tensor_keys.reward)
        require_sequences(type(self).__name__, key, inputs.get(key), trailing=1)
        shape = inputs.get(key).shape
        facts = (self._team_entry(inputs, key, shape[:-1]) for key in self._outcome_keys())
        reward, terminated, done = facts
        steps = Steps.of(*(reward, terminated, done, mask, inputs.get(self.tensor_keys.agent_mask, None)))
        require_one_episode(type(self).__name__, done | terminated, mask)
        if shape[-2] == 1 and not steps.known.any():  # one-step games have no successors, but end
            raise ValueError(
                f"{type(self).__name__}: no step of the sequences {tuple(shape[:-1])} has a successor "
                "or is terminated; expected sequences of at least 2 steps. Raise slice_len."
            )
        return steps

    # Critic -------------------------------------------------------------------------

    def _critic(self, inputs: TensorDictBase, *, target: bool = False) -> Critic:
        local, every = self._qvalues(inputs, target=target)
        if not self.team:
            if local.shape[-1] != 1:
                raise ValueError(
                    f"{type(self).__name__}: {local.shape[-1]} agents without mixer_network; expected "
                    "one agent. Give a mixer, e.g. LinearMixer(n_agents, state_size).as_weight_module()."
                )
            return Critic(local, every, torch.ones_like(local), torch.zeros_like(local[..., 0]))
        critic = Critic(local, every, *self._mixing(inputs, target=target))
        return critic.normalised() if self.choices.normalised_mixer else critic

    def _critic_weight(self, critic: Critic, behaviour: Behaviour | None, steps: Steps) -> Tensor:
        """The weight rho at the next step, ``[*B, T]``."""
        choices = self.choices
        if behaviour is None:
            score = next_step(critic.total) / self.critic_alpha
            dims = batch_dims(score.ndim, choices.softmax_per_step)
            rho = kernels.softmax_weight(score, dims, steps.bootstraps)
        else:  # the behaviour policy is a product over agents, so the partition function is, too
            log_rho = behaviour.log_weight(critic, self.critic_alpha).sum(-1)
            rho = next_step(kernels.policy_weight(log_rho, max_scaled_advantage=self.max_log_weight))
        rho = rho / choices.critic_weight_divisor
        return rho.clamp(max=1) if choices.clamp_critic_weight else rho

    def _lambda_target(self, rho: Tensor, total: Tensor, steps: Steps) -> Tensor:
        following = next_step(total)
        weighted = rho * following
        if self.value_type == ValueEstimators.TD0:
            return kernels.one_step_target(steps.reward, weighted, steps.terminated, self.gamma)
        return kernels.lambda_target(
            *(steps.reward, weighted, steps.terminated, steps.cut, self.gamma, self.lmbda),
            next_baseline=weighted if self.choices.weighted_trace else following,
        )

    # Policy -------------------------------------------------------------------------

    def _td_error(self, total: Tensor, steps: Steps) -> Tensor:
        target = kernels.one_step_target(steps.reward, next_step(total), steps.terminated, self.gamma)
        return target - total

    def _actor_weight(
        self, critic: Critic, behaviour: Behaviour | None, probability: Tensor | None, steps: Steps
    ) -> tuple[Tensor, Tensor]:
        """The weights of the data actions ``[*B, T, N]``, and which steps have one ``[*B, T]``."""
        choices, valid = self.choices, steps.valid
        if behaviour is not None:
            log_weight = behaviour.log_weight(critic, self.actor_alpha)
            return kernels.policy_weight(log_weight, max_scaled_advantage=self.max_log_weight), valid
        advantage = choices.advantage
        if advantage == "counterfactual" and critic.every is not None and probability is not None:
            score = kernels.counterfactual_advantage(critic.every, probability, critic.local)
        elif advantage == "qvalue":
            score = critic.local
        else:
            score, valid = self._td_error(critic.total, steps).unsqueeze(-1), steps.known
            score = score.expand_as(critic.local)
        if choices.weight_in_exponent and advantage != "td":
            score = score * critic.weight
        dims = batch_dims(score.ndim - 1, choices.softmax_per_step)
        entries = steps.entries(valid, score)
        return kernels.softmax_weight(score / self.actor_alpha, dims, entries), valid

    def _policy(self, inputs: TensorDictBase) -> tuple[Tensor, Tensor | None]:
        """Log density of the data actions, ``[*B, T, N]``, and if discrete the probabilities of all."""

        def use(policy: Distribution) -> tuple[Tensor, Tensor | None]:
            probability = policy.probs.detach() if isinstance(policy, Categorical) else None
            return self._log_prob_of(policy, inputs), probability

        return self._with_distribution("actor_network", inputs, use)

    # Behaviour ----------------------------------------------------------------------

    @torch.no_grad()
    def _candidates(self, inputs: TensorDictBase) -> Candidates | None:
        """The actions that partition functions run over: all of them, or samples."""
        if self.weighting != "behaviour":
            return None
        action = inputs.get(self.tensor_keys.action)
        if not action.dtype.is_floating_point:
            return Candidates(None, self._with_distribution("behaviour_network", inputs, log_probabilities))
        count, copies = self.choices.behaviour_samples, self.choices.data_copies
        drawn = self._with_distribution("behaviour_network", inputs, lambda found: found.sample((count,)))
        return Candidates(drawn, sample_masses(count, copies, action))

    @torch.no_grad()
    def _behaviour(
        self, inputs: TensorDictBase, critic: Critic, candidates: Candidates | None, *, of_target: bool
    ) -> Behaviour | None:
        if candidates is None:
            return None
        if candidates.drawn is None:
            assert critic.every is not None
            return Behaviour(critic.every, candidates.log_mass)
        value = self._at_actions(inputs, candidates.drawn, target=of_target).squeeze(-1).movedim(0, -1)
        if self.choices.data_copies:
            value = torch.cat([value, critic.local.unsqueeze(-1)], -1)
        return Behaviour(value, candidates.log_mass)

    # Terms --------------------------------------------------------------------------

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        steps = self._steps(inputs, mask)
        out: dict[str, Tensor] = {}
        learns, acts = "loss_qvalue" in terms, "loss_actor" in terms
        of_target = self.choices.target_in_actor
        candidates = self._candidates(inputs) if learns or acts else None
        if learns or (acts and not of_target):
            with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
                online = self._critic(inputs)
        if learns or (acts and of_target):
            with torch.no_grad():
                target = self._critic(inputs, target=True)
            behaviour = self._behaviour(inputs, target, candidates, of_target=True)
        if learns:
            out |= self._qvalue_term(online, target, behaviour, steps)
        if acts and of_target:
            out |= self._actor_term(inputs, target, behaviour, steps)
        elif acts:
            critic = online.detached()
            behaviour = self._behaviour(inputs, critic, candidates, of_target=False)
            out |= self._actor_term(inputs, critic, behaviour, steps)
        if "loss_behaviour" in terms:
            log_prob = self._log_prob(inputs, "behaviour_network")
            out["loss_behaviour"] = self._reduce(-log_prob, steps.entries(steps.valid, log_prob))
        return out

    def _qvalue_term(
        self, online: Critic, target: Critic, behaviour: Behaviour | None, steps: Steps
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            rho = self._critic_weight(target, behaviour, steps)
            wanted = self._lambda_target(rho, target.total, steps)
            used = torch.where(steps.bootstraps, rho, 0.0)
            total = online.total.detach()
        return {
            "loss_qvalue": self._reduce((online.total - wanted).square(), steps.known),
            self.tensor_keys.global_qvalue: masked_mean(total, steps.valid),
            "critic_sample_size": kernels.effective_sample_size(used, steps.bootstraps),
            "critic_weight_max": used.max(),
            "mixer_weight": masked_mean(
                online.weight.detach(), steps.entries(steps.valid, online.weight), keep_agents=True
            ),
        }

    def _actor_term(
        self, inputs: TensorDictBase, critic: Critic, behaviour: Behaviour | None, steps: Steps
    ) -> dict[str, Tensor]:
        log_prob, probability = self._policy(inputs)
        with torch.no_grad():
            weight, valid = self._actor_weight(critic, behaviour, probability, steps)
            entries = steps.entries(valid, weight)
            used = torch.where(entries, weight, 0.0)
        factor = weight if self.choices.weight_in_exponent else weight * critic.weight
        return {
            "loss_actor": self._reduce(-factor * log_prob, entries),
            "effective_sample_size": kernels.effective_sample_size(used, entries),
            "actor_weight_max": used.max(),
        }
