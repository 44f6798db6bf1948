"""Seeds of one command: one after the other they are the runs alone, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.trainers import OfflineTrainer, grids
from omiga_torchrl.trainers.diagnosis import NonFiniteError
from omiga_torchrl.trainers.grids import train_variants
from omiga_torchrl.trainers.options import SpeedOptions
from tests.trainers.toy import ToyLoss, parameter_groups, toy_buffer


@dataclass
class Config(SpeedOptions):
    seed: int = 0
    algorithm: dict[str, Any] = field(default_factory=lambda: {"name": "bc"})


class Recipe:
    """Makes toy trainers, and remembers in which order they began and ended."""

    def __init__(self, broken: int | None = None) -> None:
        self.broken, self.told = broken, list[str]()
        self.weights: dict[int, list[torch.Tensor]] = {}
        self.configs: list[Config] = []

    def __call__(self, config: Config) -> tuple[OfflineTrainer, Callable[[], float]]:
        self.told.append(f"begin {config.seed}")
        self.configs.append(config)
        torch.manual_seed(config.seed)
        loss = ToyLoss(8)
        if config.seed == self.broken:
            next(loss.parameters()).data.fill_(float("nan"))
        trainer = OfflineTrainer(
            loss_module=loss,
            replay_buffer=toy_buffer(batch_size=16),
            parameter_groups=parameter_groups(loss),
            target_updater=ForeachSoftUpdate(loss, tau=0.1),
            total_steps=5,
            lr=1e-2,
            progress_bar=False,
            compile="none",
            seed=config.seed,
        )

        def finish() -> float:
            self.told.append(f"end {config.seed}")
            self.weights[config.seed] = [one.detach().clone() for one in loss.parameters()]
            return float(config.seed)

        return trainer, finish


def test_without_compilation_runs_follow_each_other_and_are_those_alone() -> None:
    recipe = Recipe()
    result = train_variants(Config(compile="none", vectorize=True, seeds=[3, 4]), recipe)
    assert result == 3.5 and recipe.told == ["begin 3", "end 3", "begin 4", "end 4"]
    # What a run records of its settings is what it was: a run by itself.
    assert [(one.vectorize, one.seeds) for one in recipe.configs] == [(False, [])] * 2
    for seed in (3, 4):
        alone = Recipe()
        trainer, finish = alone(Config(seed=seed))
        trainer.train()
        finish()
        assert all(map(torch.equal, alone.weights[seed], recipe.weights[seed]))


def test_a_run_that_diverges_does_not_stop_those_after_it() -> None:
    recipe = Recipe(broken=3)
    with pytest.raises(NonFiniteError, match="1 of 3 runs: bc, seed 3"):
        train_variants(Config(compile="none", seeds=[2, 3, 4]), recipe)
    assert [told for told in recipe.told if told.startswith("end")] == ["end 2", "end 4"]


def test_of_several_that_diverge_the_first_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = {0: NonFiniteError("late", 7), 2: NonFiniteError("early", 3)}
    monkeypatch.setattr(grids, "_in_turn", lambda configs, prepare: ([1.0], failures))
    with pytest.raises(NonFiniteError, match="2 of 3 runs: bc, seed 2: late; bc, seed 4: early") as caught:
        train_variants(Config(compile="none", seeds=[2, 3, 4]), Recipe())
    assert caught.value.step == 3
