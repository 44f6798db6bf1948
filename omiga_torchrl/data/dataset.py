"""`OfflineDataset`: a dataset of any layout as an immutable, memory-mapped replay buffer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from tensordict import TensorDictBase
from torchrl.data import ImmutableDatasetWriter
from torchrl.data.datasets.common import BaseDatasetExperienceReplay
from torchrl.data.replay_buffers import Sampler

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import episode_blocks, first_steps, group_names
from omiga_torchrl.data.bundled import cache_root
from omiga_torchrl.data.cards import DatasetCard, read_card
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.ends import DatasetEnds
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.inventory import damage_of
from omiga_torchrl.data.layouts import READ_OPTIONS, Reading
from omiga_torchrl.data.normalisation import Normalisation, normalise
from omiga_torchrl.data.outliers import find_dwarfed, told_dwarfed
from omiga_torchrl.data.own.doors import OwnData
from omiga_torchrl.data.own.sets import DatasetSets
from omiga_torchrl.data.regroup import regroup
from omiga_torchrl.data.slices import StepSliceSampler
from omiga_torchrl.data.sources import AnySource, conversion_folder, open_source
from omiga_torchrl.data.storage import IndexSelectStorage
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.groups import AnyTeamSpec

RewardScale = Literal["std"] | float | None


class OfflineDataset(OwnData, DatasetSets, BaseDatasetExperienceReplay):
    """Whole episodes of a team, sampled as transitions or as slices of episodes.

    Opens bundled datasets, recordings of one's own, and every layout in
    :data:`omiga_torchrl.data.LAYOUTS`; :meth:`from_arrays`, :meth:`from_rollouts` and :meth:`from_episodes`
    take data that are in no file; :meth:`subset`, :meth:`split`, :meth:`concatenate`, :meth:`mix` and
    :meth:`relabel_rewards` make datasets of datasets. The source is read once, streamed into a
    memory-mapped TensorDict `[T]` with the keys of :mod:`omiga_torchrl.keys` plus
    ``"episode"``, and kept in a cache; later openings map the cache. ``"is_init"``, True
    at the first step of every episode, is made from it. The dataset cannot be written
    to, and the source never is. A team whose agents differ has the entries of every group
    under its name, e.g. ``("prey", "observation")``, see :attr:`spec`.

    Args:
        name_or_path: a bundled dataset such as ``"vmas/navigation/mixed"``, a published one
            such as ``"omiga:hopper-3x1/medium"`` (see
            :func:`omiga_torchrl.data.published_datasets`), or a dataset's file or folder.
        batch_size: transitions per sample; ``None`` means ``sample(batch_size)`` gives it.
        sampler: TorchRL sampler; default is uniform.
        slice_len: length T of slices of episodes to sample instead of transitions, by
            :class:`StepSliceSampler`: samples are `[batch_size / T, T]`, and ``batch_size`` must be
            a multiple of T.
        root: folder of the cache and of downloads; see :func:`omiga_torchrl.data.cache_root`.
        layout: name of the layout; ``None`` finds out.
        reward_scale: rewards are divided by this once, when the dataset is opened:
            ``"std"`` (default) means by their standard deviation, so that coefficients
            such as OMIGA's alpha carry over between tasks; a number means by that; ``None``
            keeps them raw. The factor used is :attr:`reward_scale`. Agents' own rewards are
            divided by the same factor. Reports of returns are always raw. A deviation that few rewards
            decide, beside which the others are as good as 0, is a warning.
        normalise_observations: subtract from every feature of observations and state its
            mean over the data and divide by its standard deviation, once, on disk. The
            environment has to do the same: :attr:`normalisation` does. Or the :attr:`normalisation` of
            another dataset, to share its scale.
        by_content: whether the cache belongs to the content of the files, by a checksum at every opening, and
            not to their place, sizes and times.
        progress: show a progress bar while converting (needs tqdm; large data only).
        read_options: fields of :class:`omiga_torchrl.data.ReadOptions`, e.g. ``actions="clip"``;
            further ones are passed to :class:`torchrl.data.TensorDictReplayBuffer`, e.g.
            ``transform``.

    Raises:
        ValueError: unknown dataset (lists the bundled ones) or layout, ``reward_scale`` is not > 0, or
            ``slice_len`` with a sampler.
        FileNotFoundError: a published dataset is not there; says where to get it.
        DataError: the data are damaged or unsound; nothing is kept of them.

    Examples:
        >>> dataset = OfflineDataset("vmas/navigation/mixed", batch_size=32)
        >>> dataset.sample()["agents", "observation"].shape
        torch.Size([32, 3, 18])
        >>> dataset.spec.n_agents, dataset.card.task
        (3, 'vmas/navigation')
        >>> slices = OfflineDataset("vmas/navigation/mixed", batch_size=32, slice_len=8)
        >>> slices.sample()["agents", "observation"].shape
        torch.Size([4, 8, 3, 18])
    """

    def __init__(
        self,
        name_or_path: str | Path | AnySource,
        *,
        batch_size: int | None = None,
        sampler: Sampler | None = None,
        slice_len: int | None = None,
        root: str | Path | None = None,
        layout: str | None = None,
        reward_scale: RewardScale = "std",
        normalise_observations: bool | Normalisation = False,
        by_content: bool = False,
        progress: bool = False,
        **read_options: Any,
    ) -> None:
        if slice_len is not None and sampler is not None:
            raise ValueError(
                f"OfflineDataset: slice_len must be None with a sampler of your own, got {slice_len}. "
                f"Pass one of the two."
            )
        self.slice_len = slice_len
        self.root = cache_root(root)
        of_reader = {name: read_options.pop(name) for name in READ_OPTIONS if name in read_options}
        self.source: AnySource = open_source(name_or_path, self.root, layout, of_reader, by_content)
        self._folder = conversion_folder(self.root, self.source)
        if not self._is_downloaded():
            self._build(progress)
        self.card: DatasetCard = read_card(self.data_path)
        self.reward_scale = _scale(reward_scale, self.card, self.data_path)
        self.normalisation = _normalisation(normalise_observations, self.card)
        path = self.data_path
        if self.normalisation is not None:
            path = normalise(self.data_path, self.normalisation, self._again())
        super().__init__(
            storage=IndexSelectStorage(_open(path, self.reward_scale)),
            sampler=sampler if slice_len is None else StepSliceSampler(slice_len),
            writer=ImmutableDatasetWriter(),
            batch_size=batch_size,
            **read_options,
        )

    def sample(self, batch_size: int | None = None, return_info: bool = False, **kwargs: Any) -> Any:
        """A batch of transitions `[B]`, or with ``slice_len`` of slices of episodes `[B / T, T]`.

        Args:
            batch_size: transitions B; default is the dataset's.
            return_info: also return the sampler's information, per transition.
            kwargs: further arguments of :meth:`torchrl.data.TensorDictReplayBuffer.sample`.
        """
        batch, info = super().sample(batch_size, return_info=True, **kwargs)
        if self.slice_len is not None:
            batch = batch.reshape(-1, self.slice_len)
        return (batch, info) if return_info else batch

    @property
    def spec(self) -> AnyTeamSpec:
        """Sizes of the team; of every group of a team of several."""
        return self.card.spec

    @property
    def data(self) -> TensorDictBase:
        """All transitions in order, memory-mapped `[T]`; do not write to them."""
        return self._storage._storage

    def blocks(self) -> Iterator[Episodes]:
        """All episodes as they were read, rewards and observations raw, some at a time.

        This is what the writers of :data:`omiga_torchrl.data.LAYOUTS` take.
        """
        return episode_blocks(load_ted(self.data_path), groups=list(self.spec.groups))

    @property
    def ends(self) -> DatasetEnds:
        """How the episodes end, and which rows of the files are no steps."""
        return DatasetEnds.load(self.data_path) or DatasetEnds.of_data(self.data)

    @property
    def data_path_root(self) -> Path:
        """Folder of all conversions of this dataset."""
        return self._folder.parent

    @property
    def data_path(self) -> Path:
        """Folder of the memory-mapped conversion: raw rewards and observations, and the card."""
        return self._folder

    def _is_downloaded(self) -> bool:
        return damage_of(self.data_path) is None

    def _read(self) -> tuple[Reading, dict[str, Any]]:
        return regroup(self.source.reading, self.source.options, self.source.known)

    def _again(self) -> Callable[[], Iterable[Episodes]] | None:
        return (lambda: self._read()[0].blocks) if self.source.reads_again else None

    def _build(self, progress: bool) -> None:
        source = self.source
        source.verify()
        reading, known = self._read()
        convert(
            reading,
            self.data_path,
            source.options,
            name=source.name,
            known=known,
            progress=progress,
        )


def _open(path: Path, reward_scale: float) -> TensorDictBase:
    data = load_ted(path)
    # The only entries that are held in memory: five bytes a row, and those of agents' own rewards.
    following = data["next"]
    for key in (keys.REWARD, *((name, "reward") for name in group_names(data))):
        reward = following.get(key, None)
        if reward is not None:
            following.set(key, reward.as_subclass(torch.Tensor) / reward_scale)
    data.set(keys.IS_INIT, first_steps(data[keys.EPISODE]).unsqueeze(-1))
    return data.lock_()


def _normalisation(asked: bool | Normalisation, card: DatasetCard) -> Normalisation | None:
    if isinstance(asked, Normalisation):
        return asked
    return Normalisation.of(card) if asked else None


def _scale(reward_scale: RewardScale, card: DatasetCard, path: Path) -> float:
    if reward_scale is None:
        return 1.0
    if reward_scale == "std":
        rewards = load_ted(path)["next", keys.REWARD]
        if find_dwarfed(rewards, card.reward_std, centred=False):
            warnings.warn(
                f"OfflineDataset: {card.name}: rewards are divided by their standard deviation, and "
                f"{told_dwarfed(rewards, card.reward_std)}. Repair the data, or pass reward_scale= a number.",
                stacklevel=3,
            )
        # Rewards that never change need no scaling, and have no deviation to divide by.
        return card.reward_std or 1.0
    if not isinstance(reward_scale, (int, float)) or not 0 < reward_scale < math.inf:
        raise ValueError(
            f"OfflineDataset: reward_scale is {reward_scale!r}; expected 'std', None or a number > 0."
        )
    return float(reward_scale)
