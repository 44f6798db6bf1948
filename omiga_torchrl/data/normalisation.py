"""Observations with mean 0 and standard deviation 1: once for the data, and the same for the environment."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchrl.envs import Compose, EnvBase, ObservationNorm, TransformedEnv

from omiga_torchrl import keys
from omiga_torchrl.data.cards import DatasetCard
from omiga_torchrl.data.episodes import BLOCK_BYTES
from omiga_torchrl.data.ted import TedWriter, load_ted, write_whole
from omiga_torchrl.team_env import team_env

# Features that hardly vary are only centred: dividing them would blow up rounding errors.
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of every feature of observations and state.

    Attributes:
        observation_mean: `[O]`, the same for all agents.
        observation_std: `[O]`, at least 1e-6, or else 1.
        state_mean: `[S]`.
        state_std: `[S]`.

    Examples:
        >>> from omiga_torchrl.data import OfflineDataset
        >>> dataset = OfflineDataset("vmas/navigation/mixed", normalise_observations=True)
        >>> dataset.data["agents", "observation"].flatten(0, 1).std(0).mean().round(decimals=2)
        tensor(1.)
        >>> from omiga_torchrl.envs import make_env
        >>> env = dataset.normalisation.apply_to(make_env("vmas/navigation"))
    """

    observation_mean: list[float]
    observation_std: list[float]
    state_mean: list[float]
    state_std: list[float]

    @classmethod
    def of(cls, card: DatasetCard) -> Normalisation:
        """The statistics in a card; a state that only repeats the observations shares theirs."""
        observation = np.array(card.observation_mean), np.array(card.observation_std)
        state = np.array(card.state_mean), np.array(card.state_std)
        if not card.state_mean:
            state = np.tile(observation[0], card.spec.n_agents), np.tile(observation[1], card.spec.n_agents)
        stds = [np.where(std > _SMALLEST, std, 1.0).tolist() for _, std in (observation, state)]
        return cls(observation[0].tolist(), stds[0], state[0].tolist(), stds[1])

    def apply_to(self, env: EnvBase) -> TransformedEnv:
        """The environment with normalised observations and state.

        Args:
            env: an environment whose policy was trained on normalised data.
        """
        moments = (
            (keys.OBSERVATION, self.observation_mean, self.observation_std),
            (keys.STATE, self.state_mean, self.state_std),
        )
        transforms = [
            ObservationNorm(
                loc=torch.tensor(mean), scale=torch.tensor(std), in_keys=[key], standard_normal=True
            )
            for key, mean, std in moments
        ]
        task = team_env(env).task_name
        env = TransformedEnv(env, Compose(*transforms), auto_unwrap=False)
        if task:
            env.task_name = task
        return env

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for policy files."""
        return asdict(self)


def normalise(folder: Path, normalisation: Normalisation) -> Path:
    """A normalised copy of the converted dataset in ``folder``, made once.

    Everything but observations and state is shared with it, not copied.

    Args:
        folder: a conversion with raw observations.
        normalisation: what to subtract and to divide by.

    Returns:
        The copy's folder, beside ``folder``.
    """
    digest = hashlib.sha256(json.dumps(normalisation.to_dict()).encode()).hexdigest()[:8]
    target = folder.with_name(f"{folder.name}-normalised-{digest}")
    moments = {
        keys.key_path(keys.OBSERVATION): (normalisation.observation_mean, normalisation.observation_std),
        keys.key_path(keys.STATE): (normalisation.state_mean, normalisation.state_std),
    }

    def write(writer: TedWriter) -> None:
        data = load_ted(folder)
        for key, value in data.items(True, True):
            path = keys.key_path(key)
            change = moments.get(path[1:] if path[0] == "next" else path)
            source = folder.joinpath(*path[:-1], f"{path[-1]}.memmap")
            if not source.exists():  # a state that is a view of the observations
                continue
            if change is None:
                writer.adopt(path, source, value)
                continue
            mean, std = (np.array(one, np.float32) for one in change)
            rows = max(1, BLOCK_BYTES // max(1, value[:1].numel() * 4))
            for first in range(0, len(value), rows):
                writer.write(path, (value[first : first + rows].numpy() - mean) / std)
        writer.rows = len(data)

    write_whole(target, write)
    return target
