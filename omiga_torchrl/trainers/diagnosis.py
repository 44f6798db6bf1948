"""Why a training step is not finite: what of its batch stands out, and what helps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor

OnNonFinite = Literal["raise", "skip", "rollback"]

# Entries of normalised data and the values of scaled rewards stay far below.
_LARGE: Final = 1e4
# exp() of more is infinite in single precision.
_EXPONENT: Final = 80.0
_EXPONENTS: Final = ("scaled_advantage_max", "scaled_advantage", "advantage")
_VALUES: Final = ("global_qvalue", "global_value", "state_value", "td_error")
# Entries that say where a row comes from, and are no quantities.
_PLACES: Final = ("index", "episode")


class NonFiniteError(FloatingPointError):
    """A loss, a gradient or a parameter is NaN or infinite.

    Attributes:
        step: the first such gradient step, from 1.

    Examples:
        >>> NonFiniteError("NaNGuardHook: 'loss_a' is nan at step 7.", step=7).step
        7
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class BatchEntry(NamedTuple):
    """One number of a batch.

    Attributes:
        key: the entry.
        row: its place along the batch's first dimension.
        value: the number.
        places: ``index`` and ``episode`` of the row, as far as the batch has them.
    """

    key: NestedKey
    row: int
    value: float
    places: dict[str, int]

    def __str__(self) -> str:
        of_data = ", ".join(f"{name} {place}" for name, place in self.places.items())
        return f"{self.key!r} is {self.value:.4g} in row {self.row}{f' ({of_data})' if of_data else ''}"


def find_entry(batch: TensorDictBase) -> BatchEntry | None:
    """The first entry that is NaN or infinite; if all are finite, the largest in magnitude.

    Args:
        batch: data `[B, ...]`; only entries of floats are looked at.

    Examples:
        >>> from tensordict import TensorDict
        >>> batch = TensorDict({"reward": torch.tensor([1.0, torch.nan]), "index": torch.arange(5, 7)}, [2])
        >>> print(find_entry(batch))
        'reward' is nan in row 1 (index 6)
        >>> print(find_entry(TensorDict({"reward": torch.tensor([-3.0, 2.0])}, [2])))
        'reward' is -3 in row 0
    """
    largest: tuple[float, NestedKey, Tensor, int] | None = None
    for key, value in _quantities(batch):
        flat = value.reshape(-1)
        bad = (~flat.isfinite()).nonzero()
        if len(bad):
            return _entry(batch, key, value, int(bad[0]))
        place = int(flat.abs().argmax())
        size = float(flat[place].abs())
        if largest is None or size > largest[0]:
            largest = (size, key, value, place)
    return None if largest is None else _entry(batch, *largest[1:])


def _quantities(batch: TensorDictBase) -> Iterator[tuple[NestedKey, Tensor]]:
    for key, value in batch.items(True, True):
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
            yield key, value


def _entry(batch: TensorDictBase, key: NestedKey, value: Tensor, place: int) -> BatchEntry:
    rows = max(1, math.prod(batch.batch_size))
    # Slices count as rows of their steps: what a user finds in the data is a step.
    row = place // max(1, value.numel() // rows)
    places = {}
    for name in _PLACES:
        found = batch.get(name, None)
        if isinstance(found, Tensor) and found.numel() == rows:
            places[name] = int(found.reshape(-1)[row])
    return BatchEntry(key, row, float(value.reshape(-1)[place]), places)


def advise(entry: BatchEntry | None, healthy: Mapping[str, Any]) -> str:
    """Advice against a step that is not finite.

    Args:
        entry: of :func:`find_entry`; ``None``: the batch is no longer there.
        healthy: scalars of the last finite step, see the outputs of losses.

    Examples:
        >>> advise(None, {"global_qvalue": torch.tensor(3e8)})
        'The values had reached 3e+08 (global_qvalue): divide the rewards, reward_scale=std, ...'
        >>> advise(None, {})
        'Lower the learning rate, clip gradients, or normalise the data.'
    """
    if entry is not None and not math.isfinite(entry.value):
        return "Repair the data: check_dataset lists all such entries."
    if entry is not None and abs(entry.value) > _LARGE:
        return f"{entry}: {_scale_of(entry.key)}."
    exponent, name = _largest(healthy, _EXPONENTS)
    if exponent > _EXPONENT:
        return (
            f"The exponent of the weights had reached {exponent:.4g} ({name}), and exp overflows at 88: "
            f"raise the temperature (alpha, temperature or beta) that divides it, or divide the rewards, "
            f"reward_scale=std."
        )
    value, name = _largest(healthy, _VALUES)
    if value > _LARGE:
        return (
            f"The values had reached {value:.4g} ({name}): divide the rewards, reward_scale=std, check that "
            f"terminated ends the episodes that end, or lower the learning rate."
        )
    return "Lower the learning rate, clip gradients, or normalise the data."


def _scale_of(key: NestedKey) -> str:
    name = key if isinstance(key, str) else key[-1]
    if name == "reward":
        return "divide the rewards, reward_scale=std, and look for outliers among them"
    return "scale the observations, normalise_observations=true, and look for outliers among them"


def _largest(scalars: Mapping[str, Any], names: tuple[str, ...]) -> tuple[float, str]:
    found = [(abs(float(scalars[name])), name) for name in names if name in scalars]
    return max(found, default=(0.0, ""))


def all_finite(values: list[Tensor]) -> Tensor:
    """Whether scalars are all finite, as a boolean scalar on their device.

    Examples:
        >>> all_finite([torch.tensor(1.0), torch.tensor(float("inf"))])
        tensor(False)
    """
    return torch.stack([value.detach().float() for value in values]).isfinite().all()
