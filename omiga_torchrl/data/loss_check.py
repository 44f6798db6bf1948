"""A loss tried on a dataset, before anything is written."""

from __future__ import annotations

from typing import Any

import torch

from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.random_state import isolated_random


def check_loss(loss: Any, dataset: OfflineDataset) -> None:
    """Evaluate a loss on one batch, so that an entry, shape or range that does not fit is named at once.

    Actions of the convention ``"raw"`` may lie beyond the policy's bounds: its density clamps them, as the
    released codes do. Neither the random state nor the loss's coefficients change.

    Args:
        loss: a :class:`omiga_torchrl.objectives.TeamLoss`; ``checks_bounds`` is set to what the data mean.
        dataset: the data.

    Raises:
        KeyError: an entry is missing.
        ValueError: an entry is not what the loss needs.
    """
    loss.checks_bounds = dataset.card.action_convention != "raw"
    with isolated_random(0), torch.no_grad():
        loss(dataset.sample())
