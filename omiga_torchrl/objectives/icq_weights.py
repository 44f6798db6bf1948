"""Weights of ICQ: steps of sequences, exponents, and the two estimates of partition functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.icq_variants import ICQVariant
from omiga_torchrl.objectives.rewards import agents_first
from omiga_torchrl.objectives.sequences import Steps, next_step, require_one_episode, require_sequences
from omiga_torchrl.objectives.values import log_probs
from omiga_torchrl.objectives.view import TeamView

if TYPE_CHECKING:
    from omiga_torchrl.objectives.icq import ICQLoss

# Sequences -----------------------------------------------------------------------------------


def sequence_steps(batch: TeamView) -> Steps:
    """Which steps of the sequences ``[*B, T]`` have a successor and which a target.

    Args:
        batch: the sequences.

    Raises:
        ValueError: they are no sequences, of summed rewards, or go on after their end.
    """
    return batch.once("sequence_steps", lambda: _read_steps(batch))


def _read_steps(batch: TeamView) -> Steps:
    component, keys = type(batch.loss).__name__, batch.loss.tensor_keys
    terminated, done = batch.terminated, batch.done
    require_sequences(component, next_key(keys.done), done, trailing=0)
    if batch.steps_to_next_obs is not None:
        raise ValueError(
            f"{component}: rewards must be of one step, got {keys.steps_to_next_obs!r} in the data. Remove "
            "the MultiStep transform; td_lambda reaches further."
        )
    steps = Steps.of(terminated, done, batch.mask, batch.agent_mask)
    if batch.batch.checked:
        require_one_episode(component, done | terminated, batch.mask)
        if done.shape[-1] == 1 and not steps.known.any():  # one-step games have no successors, but end
            raise ValueError(
                f"{component}: sequences must have at least 2 steps or be terminated, got "
                f"{tuple(done.shape)} without a step that has a successor or is terminated. Increase "
                "slice_len."
            )
    return steps


def time_last(batch: TeamView, team_value: Tensor) -> Tensor:
    """Team values with time as the last dimension: ``[*B, T]``, or ``[N, *B, T]`` of agents without a mixer.

    Args:
        batch: the sequences.
        team_value: ``[*B, T]``, or ``[*B, T, N]``.
    """
    return team_value if batch.loss.has_mixer else team_value.movedim(-1, 0)


def bootstrap_mask(batch: TeamView, reference: Tensor) -> Tensor:
    """Steps whose target reads their successor, with the shape of ``reference``, time last.

    Nobody trains the values of an agent that takes no part: without a mixer its target does not read them.

    Args:
        batch: the sequences.
        reference: see :func:`time_last`.
    """
    mask, agent_mask = sequence_steps(batch).bootstraps.expand_as(reference), batch.agent_mask
    if batch.loss.has_mixer or agent_mask is None:
        return mask
    return mask & next_step(agent_mask.movedim(-1, 0))


# Weights -------------------------------------------------------------------------------------


def critic_weight(loss: ICQLoss, batch: TeamView, next_q: Tensor) -> Tensor:
    """Weights rho of the next step's action in the critic's target, time last; 0 where it is not read.

    Args:
        loss: gives temperatures and choices.
        batch: the sequences.
        next_q: target Q_tot of the next step, see :func:`time_last`.
    """
    options, bootstraps = loss.options, bootstrap_mask(batch, next_q)
    if loss.partition_estimate == "behavior":
        log_rho = log_weight(batch.target, loss.critic_temperature, options)
        # The model is a product over agents, and so is its partition function.
        log_rho = log_rho.sum(-1) if loss.has_mixer else log_rho.movedim(-1, 0)
        rho = next_step(F.policy_weight(log_rho, max_exponent=loss.max_exponent))
    else:
        first = next_q.ndim - len(batch.batch.size)
        dims = tuple(range(first, next_q.ndim - options.softmax_per_step))
        rho = F.softmax_weight(next_q / loss.critic_temperature, dims, bootstraps)
    rho = rho / options.critic_weight_divisor
    rho = torch.where(bootstraps, rho.clamp(max=1) if options.clamp_critic_weight else rho, 0.0)
    batch.record("critic_effective_sample_size", F.effective_sample_size(rho, bootstraps))
    batch.record("critic_weight_max", rho.max())
    return rho


def policy_weight(loss: ICQLoss, batch: TeamView, critic: TeamView) -> tuple[Tensor, Tensor]:
    """Weights of the data's actions ``[*B, T, N]``, detached, and the entries that have one.

    Args:
        loss: gives temperatures and choices.
        batch: the sequences.
        critic: whose Q and mixer count.
    """
    options, steps, temperature = loss.options, sequence_steps(batch), loss.policy_temperature
    if loss.partition_estimate == "behavior":
        exponent = log_weight(critic, temperature, options)
        weight, where = F.policy_weight(exponent, max_exponent=loss.max_exponent), steps.valid
        batch.record_weights(weight, temperature * exponent, exponent > loss.max_exponent, where)
        return weight, steps.entries(where, weight)
    advantage, where = _advantage(loss, batch, critic)
    where = steps.entries(where, advantage)
    dims = tuple(range(len(batch.batch.size) - options.softmax_per_step))
    weight = F.softmax_weight(advantage / temperature, dims, where)
    batch.record_weights(weight, advantage, torch.zeros_like(where), where)
    return weight, where


def _advantage(loss: ICQLoss, batch: TeamView, critic: TeamView) -> tuple[Tensor, Tensor]:
    """Exponents x of ``exp(x / policy_temperature)`` ``[*B, T, N]``, and the steps that have it."""
    steps, is_counterfactual = sequence_steps(batch), loss.options.advantage == "counterfactual"
    if loss.options.advantage == "td" or (is_counterfactual and not batch.is_discrete):
        return td_error(batch, critic), steps.known
    advantage = critic.q_min.detach()
    if is_counterfactual:
        probs = batch.policy_log_probs.detach().exp()
        advantage = F.counterfactual_advantage(critic.q_values_min.detach(), probs, advantage)
    return critic.weighted(advantage) if loss.options.weight_in_exponent else advantage, steps.valid


# Exponents -----------------------------------------------------------------------------------


def td_error(batch: TeamView, critic: TeamView) -> Tensor:
    """``r + gamma (1 - terminated) Q_tot(s', a') - Q_tot(s, a)`` of every agent ``[*B, T, N]``, detached.

    Args:
        batch: the sequences.
        critic: whose Q counts.
    """
    q = time_last(batch, critic.mix(critic.q_min).detach())
    reward, terminated = agents_first(batch.reward, batch.done).expand_as(q), batch.terminated.expand_as(q)
    error = F.one_step_target(reward, next_step(q), terminated, batch.loss.gamma) - q
    return error.unsqueeze(-1).expand(batch.agents) if batch.loss.has_mixer else error.movedim(0, -1)


@torch.no_grad()
def log_weight(critic: TeamView, temperature: Tensor, options: ICQVariant) -> Tensor:
    """``w_i Q_i / temperature - log Z_i`` of the data's actions ``[*B, T, N]``, Z_i of the behavior model.

    Args:
        critic: the sequences, of the networks whose Q and mixer count.
        temperature: > 0, in units of return.
        options: samples of the partition function.
    """

    def of_kind(step: TeamView) -> Tensor:
        scale = step.agent_weight / temperature
        values, log_mass = step.once("partition_inputs", lambda: _partition_inputs(step, options))
        return scale * step.q_min - F.log_partition(scale.unsqueeze(-1) * values, log_mass)

    return critic.gather(of_kind)


def _partition_inputs(critic: TeamView, options: ICQVariant) -> tuple[Tensor, Tensor]:
    """Q_i ``[*B, T, N, M]`` of actions that partition functions run over, and their log probabilities."""
    batch = critic.online
    if batch.is_discrete:
        log_mass = batch.once(
            "behavior_log_probs", lambda: batch.with_distribution("behavior_network", log_probs)
        )
        return critic.q_values_min, log_mass
    samples, copies = options.num_behavior_samples, options.data_copies
    actions = batch.once(
        "behavior_actions",
        lambda: batch.with_distribution("behavior_network", lambda model: model.sample((samples,))),
    )
    values = F.ensemble_minimum(critic.q_at(actions)).movedim(0, -1)
    if copies:
        values = torch.cat([values, critic.q_min.unsqueeze(-1)], -1)
    mass = [1 / (samples + copies)] * samples + [copies / (samples + copies)] * (copies > 0)
    return values, values.new_tensor([math.log(m) for m in mass])
