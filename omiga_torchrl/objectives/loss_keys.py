"""The TensorDict keys that a loss reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

from tensordict import NestedKey

from omiga_torchrl import keys


@dataclass
class TeamKeys:
    """The keys that ``set_keys`` changes; defaults in :mod:`omiga_torchrl.keys`.

    Networks name the entries that they read in their own ``in_keys``; the same names are given here, so
    that the loss knows which entry is which.

    Attributes:
        observation: observation of every agent ``[*B, N, O]``.
        action: action of every agent, ``[*B, N, A]`` or, discrete, ``[*B, N]``.
        action_mask: legal actions ``[*B, N, K]``; optional. An agent without any takes no part.
        agent_mask: agents that take part ``[*B, N]``; optional.
        state: state of the team ``[*B, S]``.
        local_qvalue: output of the Q network: ``[*B, N, 1]`` or, discrete, ``[*B, N, K]``, with a last
            dimension more for an ensemble.
        local_value: output of the value network, ``[*B, N, 1]``.
        mixer_weight: output of a linear mixer, ``[*B, N, 1]``, >= 0.
        mixer_bias: output of a linear mixer, ``[*B, 1]``.
        global_qvalue: mean Q_tot in the output.
        global_value: mean V_tot in the output.
        reward: under ``"next"``, of the team ``[*B, 1]``.
        done: under ``"next"``, ``[*B, 1]``.
        terminated: under ``"next"``, ``[*B, 1]``; it alone cuts bootstrapping.
        is_init: first step of an episode ``[*B, 1]``.
        steps_to_next_obs: number of steps ``[*B, 1]`` that the reward sums up, as TorchRL's ``MultiStep``
            writes it; optional.
        priority: where ``forward`` writes the TD error of every row, for prioritized replay.
        priority_weight: importance weight of every row ``[*B]``, as prioritized samplers give it; optional.
    """

    observation: NestedKey = keys.OBSERVATION
    action: NestedKey = keys.ACTION
    action_mask: NestedKey = keys.ACTION_MASK
    agent_mask: NestedKey = keys.AGENT_MASK
    state: NestedKey = keys.STATE
    local_qvalue: NestedKey = keys.LOCAL_QVALUE
    local_value: NestedKey = keys.LOCAL_VALUE
    mixer_weight: NestedKey = keys.MIXER_WEIGHT
    mixer_bias: NestedKey = keys.MIXER_BIAS
    global_qvalue: NestedKey = keys.GLOBAL_QVALUE
    global_value: NestedKey = keys.GLOBAL_VALUE
    reward: NestedKey = keys.REWARD
    done: NestedKey = keys.DONE
    terminated: NestedKey = keys.TERMINATED
    is_init: NestedKey = keys.IS_INIT
    steps_to_next_obs: NestedKey = "steps_to_next_obs"
    priority: NestedKey = "td_error"
    priority_weight: NestedKey = "priority_weight"
