"""Weights of ICQ: steps of sequences, exponents, and the two estimates of partition functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.icq_variants import ICQVariant
from omiga_torchrl.objectives.sequences import Steps, next_step, require_one_episode, require_sequences
from omiga_torchrl.objectives.view import TeamView, log_probs

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
    reward, terminated, done = batch.reward, batch.terminated, batch.done
    require_sequences(component, next_key(keys.reward), reward, trailing=0)
    if batch.steps_to_next_obs is not None:
        raise ValueError(
            f"{component}: rewards must be of one step, got {keys.steps_to_next_obs!r} in the data. Remove the "
            "MultiStep transform; td_lambda reaches further."
        )
    steps = Steps.of(reward, terminated, done, batch.mask, batch.agent_mask)
    if batch.batch.checked:
        require_one_episode(component, done | terminated, batch.mask)
        if reward.shape[-1] == 1 and not steps.known.any():  # one-step games have no successors, but end
            raise ValueError(
                f"{component}: sequences must have at least 2 steps or be terminated, got {tuple(reward.shape)} "
                "without a step that has a successor or is terminated. Increase slice_len."
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


# Exponents -----------------------------------------------------------------------------------


def td_error(batch: TeamView, critic: TeamView) -> Tensor:
    """``r + gamma (1 - terminated) Q_tot(s', a') - Q_tot(s, a)`` of every agent ``[*B, T, N]``, detached.

    Args:
        batch: the sequences.
        critic: whose Q counts.
    """
    q = time_last(batch, critic.mix(critic.q_min).detach())
    reward, terminated = batch.reward.expand_as(q), batch.terminated.expand_as(q)
    error = F.one_step_target(reward, next_step(q), terminated, batch.loss.gamma) - q
    return error.unsqueeze(-1).expand(batch.agents) if batch.loss.has_mixer else error.movedim(0, -1)


@torch.no_grad()
def log_weight(batch: TeamView, critic: TeamView, temperature: Tensor, options: ICQVariant) -> Tensor:
    """``w_i Q_i / temperature - log Z_i`` of the data's actions ``[*B, T, N]``, Z_i of the behavior model.

    Args:
        batch: the sequences.
        critic: whose Q and mixer count.
        temperature: > 0, in units of return.
        options: samples of the partition function.
    """
    scale = critic.agent_weight / temperature
    values, log_mass = critic.once("partition_inputs", lambda: _partition_inputs(batch, critic, options))
    return scale * critic.q_min - F.log_partition(scale.unsqueeze(-1) * values, log_mass)


def _partition_inputs(batch: TeamView, critic: TeamView, options: ICQVariant) -> tuple[Tensor, Tensor]:
    """Q_i ``[*B, T, N, M]`` of actions that partition functions run over, and their log probabilities."""
    if batch.loss.is_discrete:
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
