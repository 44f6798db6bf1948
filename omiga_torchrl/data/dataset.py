"""`OfflineDataset`: a recorded dataset as an immutable, memory-mapped replay buffer."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import ImmutableDatasetWriter
from torchrl.data.datasets.common import BaseDatasetExperienceReplay
from torchrl.data.replay_buffers import Sampler

from omiga_torchrl import keys
from omiga_torchrl.data.bundled import cache_root, find_dataset
from omiga_torchrl.data.cards import DATA_FILE, DatasetCard, read_card
from omiga_torchrl.data.checkpoints import file_sha256
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.storage import IndexSelectStorage
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

# Part of the cache's name: raise it whenever `episodes_to_tensordict` changes.
_LAYOUT = 1

RewardScale = Literal["std"] | float | None


class OfflineDataset(BaseDatasetExperienceReplay):
    """Whole episodes of a team, sampled as transitions or as slices of episodes.

    The dataset's folder is read once, converted into a memory-mapped TensorDict `[T]`
    with the keys of :mod:`omiga_torchrl.keys` plus ``"episode"``, and kept in a cache;
    later openings map the cache. It cannot be written to.

    Args:
        name_or_path: a bundled dataset such as ``"vmas/navigation/mixed"``, or a folder
            with ``card.json`` and ``data.npz``.
        batch_size: transitions per sample; ``None`` means ``sample(batch_size)`` gives it.
        sampler: TorchRL sampler; default is uniform. For slices of episodes use
            ``SliceSampler(traj_key="episode", slice_len=..., cache_values=True)``.
        root: folder of the cache; see :func:`omiga_torchrl.data.cache_root`.
        reward_scale: rewards are divided by this once, when the cache is built:
            ``"std"`` (default) means by their standard deviation, so that coefficients
            such as OMIGA's alpha carry over between tasks; a number means by that; ``None``
            keeps them raw. The factor used is :attr:`reward_scale`. Reports of returns
            are always raw.
        options: passed to :class:`torchrl.data.TensorDictReplayBuffer`, e.g. ``transform``.

    Raises:
        ValueError: unknown dataset (lists the bundled ones), or ``reward_scale`` is not > 0.
        DataError: the data file does not have the checksum that the card gives.

    Examples:
        >>> dataset = OfflineDataset("vmas/navigation/mixed", batch_size=32)
        >>> dataset.sample()["agents", "observation"].shape
        torch.Size([32, 3, 18])
        >>> dataset.spec.n_agents, dataset.card.task
        (3, 'vmas/navigation')
    """

    def __init__(
        self,
        name_or_path: str | Path,
        *,
        batch_size: int | None = None,
        sampler: Sampler | None = None,
        root: str | Path | None = None,
        reward_scale: RewardScale = "std",
        **options: Any,
    ) -> None:
        self.source = find_dataset(name_or_path)
        self.card: DatasetCard = read_card(self.source)
        self.root = cache_root(root)
        self.reward_scale = _scale(reward_scale, self.card)
        _verify(self.source, self.card)
        if not self._is_downloaded():
            self._build()
        super().__init__(
            storage=IndexSelectStorage(TensorDict.load_memmap(self.data_path)),
            sampler=sampler,
            writer=ImmutableDatasetWriter(),
            batch_size=batch_size,
            **options,
        )

    @property
    def spec(self) -> TeamSpec:
        """Sizes of the team."""
        return self.card.spec

    @property
    def data(self) -> TensorDictBase:
        """All transitions in order, memory-mapped `[T]`; do not write to them."""
        return self._storage._storage

    @property
    def data_path_root(self) -> Path:
        """Folder of all conversions of this dataset."""
        return self.root / "datasets" / f"{self.card.name.replace('/', '--')}-{self.card.data_sha256[:16]}"

    @property
    def data_path(self) -> Path:
        """Folder of the memory-mapped conversion in use."""
        return self.data_path_root / f"layout{_LAYOUT}-reward{self.reward_scale!r}"

    def _is_downloaded(self) -> bool:
        return (self.data_path / "meta.json").is_file()

    def _build(self) -> None:
        data = episodes_to_tensordict(Episodes.load(self.source / DATA_FILE), reward_scale=self.reward_scale)
        self.data_path_root.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed, so that an interrupted or a parallel run never
        # leaves a half-written cache behind.
        partial = Path(tempfile.mkdtemp(dir=self.data_path_root, prefix="partial-"))
        try:
            data.memmap(partial)
            os.replace(partial, self.data_path)
        except OSError:
            if not self._is_downloaded():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def episodes_to_tensordict(episodes: Episodes, *, reward_scale: float = 1.0) -> TensorDictBase:
    """Transitions `[T]` in the project's keys; the next row never crosses an episode's end.

    Args:
        episodes: the episodes.
        reward_scale: rewards are divided by this.

    Examples:
        >>> one = Episodes(
        ...     observation=np.array([[[0.0]], [[1.0]], [[2.0]]]),
        ...     action=np.zeros((2, 1, 1)),
        ...     reward=np.array([1.0, 2.0]),
        ...     terminated=np.array([False, True]),
        ...     truncated=np.array([False, False]),
        ...     length=np.array([2]),
        ... )
        >>> data = episodes_to_tensordict(one)
        >>> data["next", "agents", "observation"].flatten(), data["episode"]
        (tensor([1., 2.]), tensor([0, 0]))
    """
    steps = episodes.steps
    episode = np.repeat(np.arange(len(episodes)), episodes.length)
    # Every earlier episode has one observation row more than it has steps.
    row = np.arange(steps) + episode
    state = episodes.observation.reshape(len(episodes.observation), -1)
    rows = {"observation": episodes.observation, "action_mask": episodes.action_mask}
    before = {name: _tensor(value[row]) for name, value in rows.items() if value is not None}
    after = {name: _tensor(value[row + 1]) for name, value in rows.items() if value is not None}
    state = state if episodes.state is None else episodes.state
    n_agents = episodes.observation.shape[1]
    terminated, truncated = (_tensor(x)[:, None] for x in (episodes.terminated, episodes.truncated))
    following = {
        keys.GROUP: TensorDict(after, [steps, n_agents]),
        keys.STATE: _tensor(state[row + 1]),
        keys.REWARD: _tensor(episodes.reward)[:, None] / reward_scale,
        keys.DONE: terminated | truncated,
        keys.TERMINATED: terminated,
        keys.TRUNCATED: truncated,
    }
    return TensorDict(
        {
            keys.GROUP: TensorDict({**before, "action": _tensor(episodes.action)}, [steps, n_agents]),
            keys.STATE: _tensor(state[row]),
            keys.EPISODE: torch.from_numpy(episode),
            "next": TensorDict(following, [steps]),
        },
        [steps],
    )


def _tensor(values: np.ndarray[Any, Any]) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.float() if tensor.is_floating_point() else tensor


def _scale(reward_scale: RewardScale, card: DatasetCard) -> float:
    if reward_scale is None:
        return 1.0
    # Rewards that never change need no scaling, and have no deviation to divide by.
    if reward_scale == "std":
        return card.reward_std or 1.0
    if not isinstance(reward_scale, (int, float)) or not 0 < reward_scale < math.inf:
        raise ValueError(
            f"OfflineDataset: reward_scale is {reward_scale!r}; expected 'std', None or a number > 0."
        )
    return float(reward_scale)


def _verify(source: Path, card: DatasetCard) -> None:
    found = file_sha256(source / DATA_FILE)
    if found != card.data_sha256:
        raise DataError(
            f"OfflineDataset: {source / DATA_FILE} has sha256 {found[:16]}..., its card says "
            f"{card.data_sha256[:16]}...; the file is damaged or was replaced. Fetch or record it again."
        )
