from __future__ import annotations

import pytest

from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.trainers import EvaluationHook, OfflineTrainer
from tests.evaluation.test_rollout import gaussian_policy
from tests.evaluation.toy_env import CountingEnv
from tests.trainers.toy import identical, toy_trainer


@pytest.mark.parametrize("deterministic", [True, False])
def test_training_is_the_same_with_and_without_evaluation(deterministic: bool) -> None:
    def train(evaluated: bool) -> OfflineTrainer:
        policy, env = gaussian_policy(), CountingEnv([2, 3], noise=1.0)
        trainer = toy_trainer(20)
        if evaluated:
            EvaluationHook(
                lambda: evaluate(policy, env, episodes=5, seed=0, deterministic=deterministic), 4
            ).register(trainer)
        trainer.train()
        return trainer

    assert identical(train(False), train(True))
