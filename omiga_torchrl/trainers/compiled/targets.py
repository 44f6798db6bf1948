"""Which tensors of a loss are targets, and of what."""

from __future__ import annotations

from torchrl.objectives import HardUpdate, SoftUpdate
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl.trainers.compiled.tensors import LossTensors


def target_pairs(updater: TargetNetUpdater | None, known: LossTensors) -> list[tuple[int, int]]:
    """The places of each source and its target in the tensors of a loss.

    Args:
        updater: soft or hard update, this library's or TorchRL's; ``None`` has none.
        known: the tensors.

    Raises:
        ValueError: another updater.

    Examples:
        >>> from torch import nn
        >>> target_pairs(None, LossTensors(nn.Linear(2, 1)))
        []
    """
    if updater is None:
        return []
    if not isinstance(updater, SoftUpdate | HardUpdate):
        raise ValueError(
            f"OfflineTrainer: compile='step' must have a SoftUpdate or a HardUpdate as its target updater, "
            f"got {type(updater).__name__}. Use compile='loss', which compiles the loss only."
        )
    # As `ForeachSoftUpdate` lists them; by their memory, since TensorDicts may wrap parameters anew.
    places = {tensor.data_ptr(): known.index(tensor) for tensor in known.tensors if tensor.numel()}
    pairs = []
    for key, source in updater._sources.items(True, True):
        first, *rest = key if isinstance(key, tuple) else (key,)
        target = updater._targets.get((f"target_{first}", *rest))
        if source.dtype.is_floating_point:
            pairs.append((places[source.data_ptr()], places[target.data_ptr()]))
    return pairs
