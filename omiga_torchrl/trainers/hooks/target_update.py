"""Target networks that follow after each gradient step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchrl.objectives.utils import TargetNetUpdater
from torchrl.trainers import Trainer, TrainerHookBase


class TargetUpdateHook(TrainerHookBase):
    """Steps a target updater after each gradient step (TorchRL's own hook does so once per batch).

    Args:
        updater: e.g. a :class:`omiga_torchrl.objectives.ForeachSoftUpdate`.
    """

    def __init__(self, updater: TargetNetUpdater) -> None:
        if not isinstance(updater, TargetNetUpdater):
            raise TypeError(
                f"TargetUpdateHook: got {type(updater).__name__}; expected a TargetNetUpdater such as "
                f"ForeachSoftUpdate(loss, tau=0.005)."
            )
        self.updater = updater

    def __call__(self) -> None:
        """Updates the targets (stage ``post_optim``)."""
        self.updater.step()

    def state_dict(self) -> dict[str, Any]:
        """Progress of the updater; the targets belong to the loss."""
        return dict(self.updater.state_dict())

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`."""
        self.updater.load_state_dict(dict(state_dict))

    def register(self, trainer: Trainer, name: str = "target_updater") -> None:
        """Adds the hook to a trainer."""
        trainer.register_module(name, self)
        trainer.register_op("post_optim", self)
