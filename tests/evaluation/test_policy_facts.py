"""The facts that travel with a policy."""

from __future__ import annotations

import pytest
import torch
from torchrl.envs import EnvBase

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.evaluation import PolicyFacts


def test_facts_of_a_dataset_override_its_card() -> None:
    dataset = OfflineDataset("vmas/navigation/mixed")
    dataset.card.task_kwargs = {"max_steps": 9, "n_agents": 3}
    facts = PolicyFacts.of_dataset(dataset, task_kwargs={"max_steps": 5})
    assert facts == PolicyFacts("vmas/navigation", {"max_steps": 5, "n_agents": 3}, "vmas/navigation/mixed")
    assert PolicyFacts.of_dataset(dataset, task="vmas/balance").task == "vmas/balance"
    assert facts.make_env(num_envs=2).rollout(7).shape == (2, 5)
    assert facts.make_env().batch_size == (1,)


def test_the_environment_is_raw() -> None:
    dataset = OfflineDataset("vmas/navigation/mixed", normalise_observations=True)
    facts = PolicyFacts.from_dict({**PolicyFacts.of_dataset(dataset).to_dict(), "another": "entry"})
    assert facts.normalisation is not None
    checked: list[EnvBase] = []
    env = facts.make_env(num_envs=2, seed=0, check=checked.append)
    found = env.reset()["state"]
    plain = PolicyFacts("vmas/navigation").make_env(num_envs=2, seed=0)
    assert torch.equal(found, plain.reset()["state"])
    assert checked == [env] and env.task_name == "vmas/navigation"


def test_a_policy_without_a_task_cannot_be_played() -> None:
    with pytest.raises(ValueError, match="task must be the name of a task"):
        PolicyFacts(None).make_env()
