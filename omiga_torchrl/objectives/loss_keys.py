"""The TensorDict keys that a loss reads and writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tensordict import NestedKey

from omiga_torchrl import keys
from omiga_torchrl.keys import next_key

# Entries that the library reads under "next".
_OUTCOMES = ("reward", "agent_reward", "done", "terminated")


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
        agent_reward: under ``"next"``, of every agent ``[*B, N, 1]``; read with another ``reward_of`` than
            ``"team"``.
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
    agent_reward: NestedKey = keys.AGENT_REWARD
    done: NestedKey = keys.DONE
    terminated: NestedKey = keys.TERMINATED
    is_init: NestedKey = keys.IS_INIT
    steps_to_next_obs: NestedKey = "steps_to_next_obs"
    priority: NestedKey = "td_error"
    priority_weight: NestedKey = "priority_weight"

    def required(
        self,
        read: Iterable[NestedKey],
        read_at_next: Iterable[NestedKey],
        fields: Iterable[str],
        computed: Collection[NestedKey],
    ) -> list[NestedKey]:
        """Entries that the data must have, in the order of a keyword call's arguments.

        Args:
            read: inputs of the networks.
            read_at_next: inputs of those that are evaluated at the next step, too.
            fields: fields of this class that the loss reads itself; ``"next_action"`` is the action of
                the next step.
            computed: inputs that the loss computes.
        """
        found = [*read, *(next_key(key) for key in read_at_next if key != self.action)]
        for field in fields:
            if field == "next_action":
                found.append(next_key(self.action))
            else:
                key = getattr(self, field)
                found += [next_key(key)] if field in _OUTCOMES else [key]
                found += [next_key(key)] if field == "action_mask" else []
        left_out = {*computed, *map(next_key, computed)}
        return [key for key in dict.fromkeys([*found, self.observation]) if key not in left_out]

    @property
    def masks(self) -> list[NestedKey]:
        """Masks of actions and agents, of this step and the next, which are read where the data have them."""
        masks = [self.action_mask, self.agent_mask]
        return [*masks, *map(next_key, masks)]

    @property
    def flags(self) -> list[NestedKey]:
        """Entries that are booleans, and may be stored as 0 and 1 of another dtype."""
        return [*self.masks, next_key(self.terminated), next_key(self.done), self.is_init]
