"""SMAC: StarCraft II's micromanagement challenge, where the game itself is installed."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tensordict import TensorDictBase
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import (
    ActionMask,
    Compose,
    EnvBase,
    ParallelEnv,
    RewardSum,
    SerialEnv,
    StepCounter,
    TransformedEnv,
)
from torchrl.envs.libs.smacv2 import SMACv2Env

from omiga_torchrl import keys
from omiga_torchrl.errors import unknown_name

SMAC_MAPS: Final = (
    *("3m", "8m", "25m", "5m_vs_6m", "8m_vs_9m", "10m_vs_11m", "27m_vs_30m", "MMM", "MMM2", "2s3z"),
    *("3s5z", "3s5z_vs_3s6z", "3s_vs_3z", "3s_vs_4z", "3s_vs_5z", "1c3s5z", "2m_vs_1z", "corridor"),
    *("6h_vs_8z", "2s_vs_1sc", "so_many_baneling", "bane_vs_bane", "2c_vs_64zg"),
    *("10gen_protoss", "10gen_terran", "10gen_zerg"),
)

_PACKAGE: Final = "smacv2 @ git+https://github.com/oxwhirl/smacv2"


def smac_tasks() -> list[str]:
    """The maps, sorted; none where the game is not installed."""
    return [] if _missing() else sorted(SMAC_MAPS)


def make_smac_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> EnvBase:
    """The StarCraft II map `name` as a team task; see :func:`omiga_torchrl.envs.make_env`.

    It goes through TorchRL's ``SMACv2Env``. Its maximal return is 20. Random actions are legal
    ones. ``"win"`` `[num_envs, 1]` is true at the end of a game that was won.

    Args:
        name: a map, e.g. ``"2c_vs_64zg"``; those called ``10gen_...`` need ``capability_config``.
        num_envs: games played together; several run in processes of their own.
        seed: seed of the games; seeding anew restarts them, which takes seconds. What smacv2
            itself draws, beside the game, is not seeded.
        max_steps: steps after which a game is truncated; ``None`` means the map's own limit.
        device: where tensors go.
        options: arguments of smacv2's ``StarCraft2Env``.

    Raises:
        ImportError: smacv2 or StarCraft II is not installed.
        ValueError: unknown map.
    """
    if name not in SMAC_MAPS:
        raise unknown_name("make_env", "task", f"smac/{name}", [f"smac/{one}" for one in SMAC_MAPS])
    missing = _missing()
    if missing:
        raise ImportError(f"make_env: {missing}")
    # Only so does the game say that its time is over.
    arguments = {"map_name": name, "continuing_episode": True, "device": device, **options}
    seeds = [None if seed is None else seed + game for game in range(num_envs)]
    batched = (SerialEnv if num_envs == 1 else ParallelEnv)(
        num_envs, SmacTeamEnv, create_env_kwargs=[{**arguments, "seed": one} for one in seeds]
    )
    env = TransformedEnv(
        batched,
        Compose(
            RewardSum(in_keys=[keys.REWARD], out_keys=[keys.EPISODE_RETURN]),
            StepCounter(max_steps),
            ActionMask(action_key=keys.ACTION, mask_key=keys.ACTION_MASK),
        ),
    )
    n_agents = env.full_observation_spec_unbatched[keys.OBSERVATION].shape[-2]
    env.group_map = {keys.GROUP: [f"agent_{agent}" for agent in range(n_agents)]}
    return env


class SmacTeamEnv(SMACv2Env):
    """One game of TorchRL's ``SMACv2Env``, with ends as the library has them, and ``"win"``.

    TorchRL reports every end as a termination; here running out of time is a truncation.
    """

    def _make_specs(self, env: Any) -> None:
        super()._make_specs(env)
        flag = Categorical(2, (1,), dtype=torch.bool, device=self.device)
        self.done_spec = Composite(
            {key: flag.clone() for key in (keys.DONE, keys.TERMINATED, keys.TRUNCATED)}, device=self.device
        )
        observation = self.full_observation_spec
        observation[keys.WIN] = flag.clone()
        # Some features leave the [-1, 1] that TorchRL declares.
        for key in (keys.OBSERVATION, keys.STATE):
            observation[key] = Unbounded(observation[key].shape, device=self.device)
        self.observation_spec = observation

    def _to_tensor(self, value: Any) -> torch.Tensor:
        # One array first: a tensor of a list of arrays is slow, and warns.
        return torch.tensor(np.asarray(value), device=self.device, dtype=torch.float32)

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        found = super()._reset(tensordict, **kwargs)
        return found.set(keys.WIN, torch.zeros(1, dtype=torch.bool, device=self.device))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        found = super()._step(tensordict)
        done, out_of_time = found[keys.DONE], found["info", "episode_limit"].reshape(1)
        found[keys.TRUNCATED] = done & out_of_time
        found[keys.TERMINATED] = done & ~out_of_time
        return found.set(keys.WIN, done & found["info", "battle_won"].reshape(1))

    def _set_seed(self, seed: int | None) -> None:
        if seed is None:
            return
        # The game takes its seed when it is started.
        game: Any = getattr(self._env, "env", self._env)
        game._seed = seed
        game.full_restart()


def _missing() -> str:
    """Missing packages and how to install them; empty if there are none."""
    if "smacv2" not in sys.modules and importlib.util.find_spec("smacv2") is None:
        return f'the package smacv2 is missing. pip install "{_PACKAGE}", and install StarCraft II (SC2PATH).'
    # Elsewhere it has installers that put it where it is found.
    if sys.platform.startswith("linux"):
        folder = Path(os.environ.get("SC2PATH") or Path.home() / "StarCraftII")
        if not folder.is_dir():
            return (
                f"StarCraft II is not in {folder}. Install the game and SMAC's maps, and set the "
                "environment variable SC2PATH to its folder."
            )
    return ""
