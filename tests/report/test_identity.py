"""What a run is called and compared with."""

from __future__ import annotations

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.report import describe_run


def test_a_run_takes_its_references_from_the_card() -> None:
    dataset = OfflineDataset("vmas/navigation/mixed", reward_scale=2.0)
    info = describe_run(dataset, algorithm="mine", seed=3, hyperparameters={"lr": 0.1})
    card = dataset.card
    assert (info.algorithm, info.seed, info.hyperparameters) == ("mine", 3, {"lr": 0.1})
    assert info.cell == ("vmas/navigation", "mixed")
    assert info.behaviour_return == card.behaviour_return["mean"]
    assert (info.random_return, info.best_checkpoint_return) == (
        card.random_return,
        card.best_checkpoint_return,
    )
    assert info.card == {"name": card.name, "sha256": card.data_sha256, "reward_scale": 2.0}


def test_the_task_is_the_runs_own_the_cards_or_none() -> None:
    dataset = OfflineDataset("vmas/navigation/mixed")
    assert describe_run(dataset, algorithm="a", seed=0, task="vmas/balance").task == "vmas/balance"
    dataset.card.task = ""
    assert describe_run(dataset, algorithm="a", seed=0).task == "no task"
