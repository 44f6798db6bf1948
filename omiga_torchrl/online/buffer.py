"""`OnlineBuffer`: the data of before and the steps of now, in one buffer that can be saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensordict import NestedKey, TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import OfflineToOnlineReplayBuffer

from omiga_torchrl import keys
from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.blocks import group_names
from omiga_torchrl.errors import DataError
from omiga_torchrl.selection.actions import scaled


class _OfflinePart:
    """Transitions of a dataset without the number of their row, which online steps do not have."""

    def __init__(self, dataset: OfflineDataset) -> None:
        self.dataset = dataset

    def sample(self, batch_size: int) -> TensorDictBase:
        batch: TensorDictBase = self.dataset.sample(batch_size)
        return batch.exclude("index")


class OnlineBuffer(OfflineToOnlineReplayBuffer):
    """TorchRL's buffer of offline and online transitions, for this library's datasets and trainers.

    The stock class works with nested keys of agents as it is. What it lacks is added: online steps are scaled
    as the dataset scales its own (reward, observations) and hold its entries; its online part can be saved
    and restored bit for bit.

    Args:
        dataset: transitions, no slices.

    Keyword Args:
        capacity: most online transitions; the oldest are replaced.
        offline_fraction: share of a batch that is offline, in (0, 1), until it is annealed.
        batch_size: of samples, if the call gives none.

    Raises:
        ValueError: the dataset samples slices.

    Examples:
        >>> dataset = OfflineDataset("vmas/navigation/mixed")
        >>> buffer = OnlineBuffer(dataset, capacity=1000, batch_size=32)
        >>> buffer.sample().batch_size  # all offline, while there is nothing else
        torch.Size([32])
    """

    def __init__(
        self,
        dataset: OfflineDataset,
        *,
        capacity: int,
        offline_fraction: float = 0.5,
        batch_size: int | None = None,
    ) -> None:
        if dataset.slice_len is not None:
            raise ValueError(
                f"OnlineBuffer: the dataset must sample transitions, got slices of {dataset.slice_len}. "
                "Fine-tune an algorithm that learns from transitions."
            )
        super().__init__(
            _OfflinePart(dataset),
            online_capacity=capacity,
            offline_fraction=offline_fraction,
            batch_size=batch_size,
        )
        self.dataset = dataset
        self.entries: list[NestedKey] = list(_OfflinePart(dataset).sample(1).keys(True, True))

    @property
    def sampler(self) -> Any:
        """The dataset's sampler, whose state is saved; the online part is drawn by torch's generator."""
        return self.dataset.sampler

    @property
    def online_size(self) -> int:
        """Number of online transitions."""
        return len(self._online_buffer)

    def extend_online(self, rows: TensorDictBase) -> None:
        """Add steps of the environment.

        Args:
            rows: raw transitions ``[R]`` with at least the dataset's entries, see :func:`as_rows`.

        Raises:
            DataError: an entry of the dataset is missing.
        """
        missing = [key for key in self.entries if rows.get(key, None) is None]
        if missing:
            raise DataError(
                f"OnlineBuffer: the environment's steps must have the data's entries, got none of "
                f"{', '.join(map(repr, missing))}. Is it the task that the data were recorded on?"
            )
        known = scaled(rows.select(*self.entries), self.dataset.normalisation)
        for name in (keys.REWARD, *((group, "reward") for group in group_names(rows))):
            key = keys.next_key(name)
            if key in self.entries:
                known.set(key, known.get(key) / self.dataset.reward_scale)
        self.extend(known)

    def online_state(self) -> dict[str, Any]:
        """The online transitions as plain tensors, and where the next one goes."""
        size, writer = self.online_size, self._online_buffer.writer
        rows = self._online_buffer.storage.get(range(size)) if size else TensorDict({}, [])
        entries = {"/".join(keys.key_path(key)): rows.get(key).clone() for key in rows.keys(True, True)}
        return {"entries": entries, "cursor": int(writer._cursor), "fraction": self._offline_fraction}

    def load_online_state(self, state: Mapping[str, Any]) -> None:
        """Restores :meth:`online_state`."""
        self._online_buffer.empty()
        entries: dict[str, Tensor] = state["entries"]
        if entries:
            size = len(next(iter(entries.values())))
            rows = TensorDict({}, [size])
            for name, value in entries.items():
                rows.set(tuple(name.split("/")), value)
            self.extend(rows)
        self._online_buffer.writer._cursor = state["cursor"]
        self._offline_fraction = state["fraction"]
