"""Two steps of training on any dataset."""

from __future__ import annotations

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.data import OfflineDataset, check_dataset, check_loss
from omiga_torchrl.evaluation.rollout import Policy
from omiga_torchrl.trainers import OfflineTrainer


def trained_policy(dataset: OfflineDataset) -> Policy:
    """IQL's policy after two steps, which have changed it and left it finite."""
    check_dataset(dataset)
    algorithm = make_algorithm("iql", dataset.spec, hidden_sizes=(8,))
    check_loss(algorithm.loss, dataset)
    before = [parameter.clone() for parameter in algorithm.policy.parameters()]
    trainer = OfflineTrainer(
        **algorithm.trainer_arguments,
        replay_buffer=dataset,
        total_steps=2,
        progress_bar=False,
        compile="none",
    )
    trainer.train()
    after = list(algorithm.policy.parameters())
    assert all(parameter.isfinite().all() for parameter in after)
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    return algorithm.policy
