"""Episodes as the rows of a vault."""

from __future__ import annotations

from typing import Any

import numpy as np

from omiga_torchrl import keys
from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.guards import require_plain
from omiga_torchrl.data.layouts.npy import to_single


def to_rows(block: Episodes) -> dict[str, Array]:
    """The rows of a vault: one per step, and one more where an episode ran out of time."""
    require_plain("VaultLayout", block, has_rewards=True, has_presence=True)
    final = np.cumsum(block.length + 1) - 1
    ends = np.cumsum(block.length) - 1
    is_step = np.ones(len(block.observation), bool)
    is_step[final] = False
    kept = is_step.copy()
    kept[final] = ~block.terminated[ends]
    step = is_step[kept]
    n_agents = block.observation.shape[1]

    def steps(values: Array, dtype: Any) -> Array:
        out = np.zeros((len(step), *values.shape[1:]), dtype)
        out[step] = values
        return out

    def per_agent(values: Array) -> Array:
        return np.repeat(values[:, None], n_agents, 1)

    own = block.groups[keys.GROUP].reward
    discrete = block.action.dtype.kind != "f"
    action = steps(block.action, np.int32 if discrete else np.float32)
    state = block.observation.reshape(len(kept), -1) if block.state is None else block.state
    rows = {
        "observations": to_single(block.observation[kept]),
        "actions": action,
        "rewards": per_agent(steps(block.reward, np.float32)) if own is None else steps(own, np.float32),
        "terminals": per_agent(steps(block.terminated, bool)),
        "truncations": per_agent(~step),
        "infos.state": to_single(state[kept]),
    }
    if block.agent_mask is not None:
        rows["infos.agent_mask"] = block.agent_mask[kept]
    if block.action_mask is not None:
        rows["infos.legals"] = block.action_mask[kept]
        action[~step] = rows["infos.legals"][~step].argmax(-1)
    return rows
