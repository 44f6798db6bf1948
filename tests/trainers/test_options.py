"""Fields that recipes share: their defaults, which are what a run without settings is."""

from __future__ import annotations

import inspect
import warnings

import pytest

from omiga_torchrl.trainers import OfflineTrainer
from omiga_torchrl.trainers.options import MISSING, SpeedOptions, TrainerOptions


def test_defaults_of_a_training() -> None:
    options = TrainerOptions()
    assert options.steps == options.batch_size == options.lr == MISSING == "???"
    assert vars(options) == {
        **{"steps": MISSING, "batch_size": MISSING, "lr": MISSING, "lr_schedule": None},
        **{"clip_grad_norm": 1.0, "log_interval": 100, "save_interval": None, "keep_checkpoints": 2},
        **{"on_nonfinite": "raise", "progress_bar": True, "cosine_decay": None},
    }


def test_they_are_those_of_the_trainer() -> None:
    known = inspect.signature(OfflineTrainer).parameters
    options = TrainerOptions()
    for name in ("lr_schedule", "clip_grad_norm", "log_interval", "keep_checkpoints", "on_nonfinite"):
        assert known[name].default == getattr(options, name), name
    assert known["compile"].default == SpeedOptions().compile
    assert known["precision"].default == SpeedOptions().precision


def test_defaults_of_speed_change_nothing() -> None:
    options = SpeedOptions()
    assert vars(options) == {
        **{"device": "cpu", "compile": "auto", "precision": "highest", "threads": None},
        **{"vectorize": False, "seeds": [], "grid": {}, "background_evaluation": False},
    }
    options.seeds.append(1)
    assert SpeedOptions().seeds == []


@pytest.mark.parametrize(("former", "present"), [(True, "cosine"), (False, None)])
def test_the_former_name_of_the_schedule(former: bool, present: str | None) -> None:
    with pytest.warns(FutureWarning, match=r"train: trainer.cosine_decay is deprecated"):
        options = TrainerOptions(cosine_decay=former, lr_schedule="else")
    assert options.lr_schedule == present and options.cosine_decay is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TrainerOptions(lr_schedule="cosine").lr_schedule == "cosine"
