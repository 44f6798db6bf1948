"""Mistakes in settings are named together, before any work."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pytest
import torch

from omiga_torchrl.evaluation import Protocol
from omiga_torchrl.trainers.options import SpeedOptions, TrainerOptions
from omiga_torchrl.trainers.settings import check_settings


@dataclass
class Settings(SpeedOptions):
    algorithm: dict[str, Any] = field(default_factory=lambda: {"name": "omiga"})
    task: str | None = "vmas/navigation"
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    dataset: str = "mixed"
    read: dict[str, Any] = field(default_factory=dict)
    reward_scale: Any = "std"
    seed: int = 0
    existing: str = "error"
    data_root: str | None = None
    trainer: TrainerOptions = field(default_factory=lambda: TrainerOptions(steps=10, batch_size=8, lr=1e-3))
    evaluation: dict[str, Any] = field(default_factory=lambda: asdict(Protocol()))
    logger: str | None = None


def settings(**changed: Any) -> Settings:
    one = Settings()
    for key, value in changed.items():
        group, _, name = key.partition("__")
        if not name:
            setattr(one, group, value)
        elif isinstance(getattr(one, group), dict):
            getattr(one, group)[name] = value
        else:
            setattr(getattr(one, group), name, value)
    return one


def mistakes(**changed: Any) -> str:
    with pytest.raises((ValueError, ImportError, FileNotFoundError)) as caught:
        check_settings(settings(**changed))
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["omiga", "icq", "bc", "cql", "awr", "omac", "comadice", "matd3_bc", "brac_p"]
)
def test_right_ones_pass_and_draw_no_random_number(name: str) -> None:
    before = torch.random.get_rng_state()
    check_settings(settings(algorithm={"name": name, "slice_len": 4}))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"trainer__batch_size": 0}, "trainer.batch_size is 0; expected at least 1"),
        ({"trainer__steps": 0}, "trainer.steps is 0; expected at least 1"),
        ({"trainer__lr": -1e-3}, "trainer.lr is -0.001; expected a number > 0"),
        ({"trainer__lr": float("nan")}, "trainer.lr is nan; expected a number > 0"),
        ({"trainer__lr_schedule": "cosin"}, "unknown lr_schedule 'cosin'; did you mean 'cosine'"),
        ({"trainer__clip_grad_norm": 0}, "trainer.clip_grad_norm is 0; expected a number > 0"),
        ({"trainer__save_interval": 0}, "trainer.save_interval is 0; expected at least 1"),
        ({"algorithm__slice_len": 0}, "algorithm.slice_len is 0; expected at least 1"),
        ({"algorithm__slice_len": 7}, "batch_size is 8; expected a multiple of algorithm.slice_len=7"),
        ({"algorithm__slice_len": 4, "algorithm__burn_in": 4}, "burn_in is 4; expected less than"),
        ({"algorithm__rnn_hidden_size": 8}, "algorithm.slice_len is null with algorithm.rnn_hidden_size=8"),
        (
            {"algorithm__hidden_sizes": 256},
            "(each a whole number)). Write [256]",
        ),
        ({"algorithm__hidden_sizes": [0]}, "hidden_sizes is 0; expected at least 1"),
        ({"algorithm__hidden_sizes": [-1]}, "hidden_sizes is -1; expected at least 1"),
        ({"algorithm__mixer_hidden_sizes": [0]}, "mixer_hidden_sizes is 0; expected at least 1"),
        (
            {"algorithm__rnn_hidden_size": 0, "algorithm__slice_len": 4},
            "rnn_hidden_size is 0; expected at least 1",
        ),
        ({"algorithm__tau": 0}, "tau is 0; expected a number > 0"),
        ({"algorithm__gamma": 99}, "gamma is 99; expected a number in [0, 1]"),
        ({"algorithm__alpha": -1}, "alpha must be a number > 0 or 'auto', got -1"),
        ({"algorithm__alpa": 3}, "unknown argument 'alpa'; did you mean 'alpha'"),
        ({"algorithm__label": -1}, "algorithm.label is -1; expected a name"),
        ({"algorithm__name": "omgia"}, "unknown algorithm 'omgia'; did you mean 'omiga'"),
        (
            {"task": "vmas/navigatoin", "dataset": "mixed"},
            "unknown task 'vmas/navigatoin'; did you mean 'vmas/nav",
        ),
        ({"dataset": "Mixed"}, "did you mean 'mixed'"),
        ({"dataset": "no:such"}, "no:such"),
        ({"existing": "kepp"}, "unknown value of existing 'kepp'; did you mean 'keep'"),
        ({"read__layuot": "x"}, "unknown key of read 'layuot'; did you mean 'layout'"),
        ({"read__layout": "vautl"}, "did you mean 'vault'"),
        ({"read__actions": "clipp"}, "actions must be one of"),
        ({"reward_scale": "var"}, "reward_scale is 'var'; expected a number > 0"),
        ({"evaluation__final_episodes": 0}, "evaluation.final_episodes is 0; expected at least 1"),
        ({"evaluation__epsiodes": 3}, "unknown key of evaluation 'epsiodes'; did you mean 'episodes'"),
        ({"seed": -1}, "seed is -1; expected at least 0"),
        ({"evaluation__seed": 2**32}, "evaluation.seed is 4294967296; expected a whole number in"),
        ({"seeds": [0, 0]}, "seeds must be different ones"),
        ({"logger": "wandbb"}, "unknown logger 'wandbb'; did you mean 'wandb'"),
        ({"precision": "hihg"}, "did you mean 'high'"),
        ({"grid": {"algorithm.alpha": [1, -1]}}, "alpha must be a number > 0 or 'auto', got -1"),
        ({"threads": 0}, "threads is 0; expected at least 1"),
    ],
)
def test_each_mistake_is_named(changed: dict[str, Any], expected: str) -> None:
    assert expected in mistakes(**changed)


def test_the_smallest_numbers_are_right_ones() -> None:
    ones = ("steps", "batch_size", "log_interval", "keep_checkpoints", "save_interval")
    check_settings(settings(threads=1, seed=0, **{f"trainer__{name}": 1 for name in ones}))
    counts = ("interval", "episodes", "final_episodes")
    check_settings(settings(**{f"evaluation__{name}": 1 for name in counts}))
    assert Protocol(interval=1, episodes=1, final_episodes=1).episodes == 1


def test_all_mistakes_are_in_one_message() -> None:
    text = mistakes(trainer__lr=-1, trainer__batch_size=0, algorithm__alpa=3, seed=-1, dataset="mixd")
    assert text.startswith("train: ") and "settings are wrong:" in text
    for part in ("trainer.lr", "trainer.batch_size", "'alpa'", "seed is -1", "did you mean 'mixed'"):
        assert part in text


def test_a_missing_logger_is_named_before_a_folder_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "logger=wandb needs the package wandb, which is not installed" in mistakes(logger="wandb")
