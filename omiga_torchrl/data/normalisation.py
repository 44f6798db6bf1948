"""Observations with mean 0 and standard deviation 1: once for the data, and the same for the environment."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchrl.envs import Compose, EnvBase, ObservationNorm, TransformedEnv

from omiga_torchrl import keys
from omiga_torchrl.data.cards import ByGroup, DatasetCard
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.spans import BLOCK_BYTES
from omiga_torchrl.data.ted import FOLLOWING, TedWriter, entry_file, row_entries
from omiga_torchrl.data.ted_folder import write_whole
from omiga_torchrl.data.ted_loading import load_ted, row_tensors
from omiga_torchrl.team_env import team_env

# Features that do not vary are only centred: dividing them would blow up rounding errors.
_SMALLEST = 1e-6
# Of the features' usual deviation; one of less would blow up whatever the environment shows of it.
_LEAST_SHARE = 1e-3
# Of the mean: with a smaller deviation less than four digits of it survive single precision.
_FINE_SHARE = 1e-3


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of every feature of observations and state.

    Attributes:
        observation_mean: `[O]`, the same for all agents; in a team of groups by the name of the group.
        observation_std: `[O]`, what observations are divided by; by the name of the group. Of a feature that
            varies less than a thousandth of what features usually do it is that, their median, with a
            warning; of one that varies by at most 1e-6 it is 1.
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

    observation_mean: ByGroup
    observation_std: ByGroup
    state_mean: list[float]
    state_std: list[float]

    @classmethod
    def of(cls, card: DatasetCard) -> Normalisation:
        """The statistics in a card; a state that only repeats the observations shares theirs."""
        means, stds = _groups(card.observation_mean), _groups(card.observation_std)
        stds = {name: _divisors(std, f"{card.name}: {name}/observation") for name, std in stds.items()}
        state = card.state_mean, _divisors(card.state_std, f"{card.name}: state")
        if not card.state_mean:
            groups = card.spec.groups
            state = (
                [x for name, group in groups.items() for x in means[name] * group.n_agents],
                [x for name, group in groups.items() for x in stds[name] * group.n_agents],
            )
        if isinstance(card.observation_mean, dict):
            return cls(means, stds, *state)
        return cls(means[keys.GROUP], stds[keys.GROUP], *state)

    def moments(self) -> dict[tuple[str, ...], tuple[list[float], list[float]]]:
        """Mean and standard deviation of every entry that is normalised, by its key."""
        means, stds = _groups(self.observation_mean), _groups(self.observation_std)
        moments: dict[tuple[str, ...], tuple[list[float], list[float]]] = {
            (name, "observation"): (means[name], stds[name]) for name in means
        }
        return {**moments, keys.key_path(keys.STATE): (self.state_mean, self.state_std)}

    def apply_to(self, env: EnvBase) -> TransformedEnv:
        """The environment with normalised observations and state.

        Args:
            env: an environment whose policy was trained on normalised data.
        """
        transforms = [
            ObservationNorm(
                loc=torch.tensor(mean), scale=torch.tensor(std), in_keys=[key], standard_normal=True
            )
            for key, (mean, std) in self.moments().items()
        ]
        task = team_env(env).task_name
        env = TransformedEnv(env, Compose(*transforms), auto_unwrap=False)
        if task:
            env.task_name = task
        return env

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for policy files."""
        return asdict(self)


def normalise(
    folder: Path, normalisation: Normalisation, read: Callable[[], Iterable[Episodes]] | None = None
) -> Path:
    """A normalised copy of the converted dataset in ``folder``, made once.

    Everything but observations and state is shared with it, not copied.

    Args:
        folder: a conversion with raw observations.
        normalisation: what to subtract and to divide by.
        read: reads its episodes again, as the source has them: features that vary by less than a thousandth
            of their mean, such as times since 1970, lose their digits in single precision, and are scaled
            before that.

    Returns:
        The copy's folder, beside ``folder``.
    """
    digest = hashlib.sha256(json.dumps(normalisation.to_dict()).encode()).hexdigest()[:8]
    target = folder.with_name(f"{folder.name}-normalised-{digest}")
    moments = normalisation.moments()
    exact = read is not None and any(_is_fine(mean, std) for mean, std in moments.values())

    def write(writer: TedWriter) -> None:
        data = load_ted(folder)
        if exact and read is not None:
            _write_scaled(writer, read(), moments)
        rows_of = dict(row_tensors(folder, data))
        writer.adopt((FOLLOWING,), entry_file(folder, (FOLLOWING,)), data[keys.EPISODE])
        for key, steps in data.items(True, True):
            path = keys.key_path(key)
            change, source = moments.get(path), entry_file(folder, path)
            # Not stored: a state that is a view of the observations, and what follows a step.
            if not source.exists() or (exact and change is not None):
                continue
            if change is None:
                writer.adopt(path, source, steps)
                continue
            mean, std = (np.array(one, np.float32) for one in change)
            values = rows_of[path]
            at_once = max(1, BLOCK_BYTES // max(1, values[:1].numel() * 4))
            for first in range(0, len(values), at_once):
                writer.write(path, (values[first : first + at_once].numpy() - mean) / std)
        writer.rows = len(data)

    write_whole(target, write)
    return target


def _is_fine(mean: list[float], std: list[float]) -> bool:
    """Whether a feature varies so little around so large a mean that single precision shows."""
    return bool((np.array(std) < _FINE_SHARE * np.abs(mean)).any())


def _write_scaled(
    writer: TedWriter, blocks: Iterable[Episodes], moments: Mapping[tuple[str, ...], tuple[Any, Any]]
) -> None:
    """Observations and states, scaled in double precision."""
    for block in blocks:
        for key, values in row_entries(block):
            if key in moments:
                mean, std = (np.array(one, np.float64) for one in moments[key])
                writer.write_rows(key, (values.astype(np.float64) - mean) / std, block)


def _groups(values: ByGroup) -> dict[str, list[float]]:
    """By the name of the group, also of a plain team."""
    return values if isinstance(values, dict) else {keys.GROUP: values}


def _divisors(stds: list[float], where: str) -> list[float]:
    varying = [std for std in stds if std > _SMALLEST]
    usual = float(np.median(varying)) if varying else 1.0
    rare = [feature for feature, std in enumerate(stds) if _SMALLEST < std < _LEAST_SHARE * usual]
    if rare:
        warnings.warn(
            f"Normalisation: {where}: the features {rare} vary by {max(stds[one] for one in rare):.2g} or "
            f"less, while features usually do by {usual:.2g}; they are divided by the latter, as the "
            "environment may show more of them than the data. Scale them before if they matter.",
            stacklevel=4,
        )
    return [1.0 if std <= _SMALLEST else usual if one in rare else std for one, std in enumerate(stds)]
