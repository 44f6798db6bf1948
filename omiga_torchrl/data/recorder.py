"""Recording whole episodes of a policy, many environments at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type, step_mdp

from omiga_torchrl import keys
from omiga_torchrl.data.episodes import Episodes

_ROWS = {
    "observation": keys.OBSERVATION,
    "state": keys.STATE,
    "action_mask": keys.ACTION_MASK,
}
_STEPS = {
    "action": keys.ACTION,
    "reward": ("next", keys.REWARD),
    "terminated": ("next", keys.TERMINATED),
    "truncated": ("next", keys.TRUNCATED),
}


def record_episodes(
    policy: TensorDictModuleBase | None,
    env: EnvBase,
    *,
    episodes: int | None = None,
    transitions: int | None = None,
    exploration: ExplorationType = ExplorationType.RANDOM,
) -> Episodes:
    """Play whole episodes and keep every step of them.

    Every environment of the batch plays one episode per round, from reset to its
    end, so that short episodes are not over-represented.

    Args:
        policy: acts on the environment's keys; ``None`` acts uniformly at random.
        env: batched environment from :func:`omiga_torchrl.envs.make_env`.
        episodes: how many episodes to play; or
        transitions: play until there are at least this many steps, then drop the whole
            episodes that are not needed for it.
        exploration: ``RANDOM`` samples the policy (default, as data needs it),
            ``DETERMINISTIC`` takes its mode.

    Raises:
        ValueError: not exactly one of ``episodes`` and ``transitions``, or it is below 1.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> played = record_episodes(None, make_env("vmas/navigation", num_envs=4, max_steps=5), episodes=6)
        >>> len(played), played.observation.shape
        (6, (36, 3, 18))
    """
    if (episodes is None) == (transitions is None) or (episodes or transitions or 0) < 1:
        raise ValueError(
            f"record_episodes: episodes={episodes}, transitions={transitions}; expected exactly one "
            "of them, at least 1."
        )
    rounds: list[Episodes] = []
    while not _enough(rounds, episodes, transitions):
        with set_exploration_type(exploration), torch.no_grad():
            rounds.append(_play_round(policy, env))
    played = Episodes.concatenate(rounds)
    if episodes is None:
        episodes = int(np.searchsorted(np.cumsum(played.length), transitions or 0)) + 1
    return played.first(episodes)


def _enough(rounds: list[Episodes], episodes: int | None, transitions: int | None) -> bool:
    if episodes is not None:
        return sum(map(len, rounds)) >= episodes
    return sum(part.steps for part in rounds) >= (transitions or 0)


def _play_round(policy: TensorDictModuleBase | None, env: EnvBase) -> Episodes:
    """One episode in every environment of the batch."""
    act = env.rand_action if policy is None else policy
    current = env.reset()
    names = [name for name, key in _ROWS.items() if current.get(key, None) is not None]
    rows: dict[str, list[Tensor]] = {name: [_copy(current, _ROWS[name])] for name in names}
    steps: dict[str, list[Tensor]] = {name: [] for name in _STEPS}
    alive = torch.ones(env.batch_size, dtype=torch.bool, device=env.device)
    lived = torch.zeros_like(alive, dtype=torch.long)
    while bool(alive.any()):
        stepped = env.step(act(current))
        lived += alive
        for name, key in _STEPS.items():
            steps[name].append(_copy(stepped, key))
        # Ended environments go on being stepped: what they do is cut off below, and
        # resetting them one by one costs more than it saves.
        current = step_mdp(stepped)
        for name in names:
            rows[name].append(_copy(current, _ROWS[name]))
        alive = alive & ~stepped["next", keys.DONE].reshape(alive.shape)
    return _cut(rows, steps, lived)


def _copy(tensordict: TensorDictBase, key: Any) -> Tensor:
    value: Tensor = tensordict.get(key)
    return value.clone()


def _cut(rows: dict[str, list[Tensor]], steps: dict[str, list[Tensor]], lived: Tensor) -> Episodes:
    """Keep of every environment its first `lived` steps and one row more."""
    length = lived.reshape(-1)
    time = torch.arange(len(steps["action"]) + 1, device=length.device)
    live_row, live_step = time <= length[:, None], time[:-1] < length[:, None]
    arrays = {name: torch.stack(values, 1)[live_row].cpu().numpy() for name, values in rows.items()}
    for name, values in steps.items():
        kept = torch.stack(values, 1)[live_step]
        arrays[name] = (kept if name == "action" else kept.squeeze(-1)).cpu().numpy()
    observation, state = arrays["observation"], arrays.get("state")
    # A state that only repeats the observations is not stored: it doubles the file.
    if state is not None and np.array_equal(state, observation.reshape(len(observation), -1)):
        del arrays["state"]
    return Episodes(**arrays, length=length.cpu().numpy().astype(np.int64))
