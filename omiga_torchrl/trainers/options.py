"""Fields that configurations of recipes share, as dataclasses of plain values."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

MISSING: Any = "???"  # OmegaConf's mark of a value that must be given


@dataclass
class TrainerOptions:
    """Fields ``trainer`` of a recipe: arguments of :class:`omiga_torchrl.trainers.OfflineTrainer`.

    Attributes:
        steps: gradient steps.
        batch_size: transitions a step.
        lr: learning rate.
        lr_schedule: ``cosine``, or null.
        clip_grad_norm: largest gradient norm of a group, or null.
        log_interval: steps between two log lines.
        save_interval: steps between two checkpoints; null: one after each evaluation.
        keep_checkpoints: how many of the newest checkpoints to keep; more are candidates to choose from.
        on_nonfinite: ``raise``, ``skip`` or ``rollback``, where a loss is NaN or infinite.
        progress_bar: show one.
        cosine_decay: deprecated; true is ``lr_schedule=cosine``, false is null.
    """

    steps: int = MISSING
    batch_size: int = MISSING
    lr: float = MISSING
    lr_schedule: str | None = None
    clip_grad_norm: float | None = 1.0
    log_interval: int = 100
    save_interval: int | None = None
    keep_checkpoints: int = 2
    on_nonfinite: str = "raise"
    progress_bar: bool = True
    cosine_decay: bool | None = None

    def __post_init__(self) -> None:
        if self.cosine_decay is not None:
            message = "train: trainer.cosine_decay is deprecated. Use trainer.lr_schedule=cosine or null."
            warnings.warn(message, FutureWarning, stacklevel=2)
            self.lr_schedule, self.cosine_decay = "cosine" if self.cosine_decay else None, None


@dataclass
class SpeedOptions:
    """Fields of a recipe that trains; they change how fast it is, and but for ``precision`` no number.

    Attributes:
        device: of the networks: ``cpu``, ``cuda``, ``cuda:1``, or ``auto``, a GPU if there is one.
        compile: ``step``, ``loss``, ``none`` or ``auto``, see :class:`omiga_torchrl.trainers.OfflineTrainer`.
        precision: ``highest``, ``high``, ``medium`` or ``bf16-mixed``, see there.
        threads: of torch on the CPU; null leaves them as they are.
        vectorize: train ``seeds`` and ``grid`` at once, each run in its own folder; with ``compile=none`` one
            after the other, in one process.
        seeds: their seeds; empty is the recipe's ``seed``.
        grid: lists of scalar arguments of the algorithm; ``algorithm.alpha=1,3`` writes it.
        background_evaluation: evaluate in a process of its own, while training goes on.
    """

    device: str = "cpu"
    compile: str = "auto"
    precision: str = "highest"
    threads: int | None = None
    vectorize: bool = False
    seeds: list[int] = field(default_factory=list)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    background_evaluation: bool = False
