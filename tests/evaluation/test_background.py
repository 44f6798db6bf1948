"""Evaluation in another process: the same numbers, of the policy as it was."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest
import torch

from omiga_torchrl.algorithms import make_bc
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import background, evaluate, evaluate_in_background
from omiga_torchrl.specs import TeamSpec

ENV = partial(make_env, "vmas/navigation", num_envs=3, seed=0, max_steps=4)


def test_the_result_is_that_of_the_policy_as_it_was() -> None:
    policy = make_bc(TeamSpec.from_env(ENV()), hidden_sizes=[8]).policy
    expected = evaluate(policy, ENV(), episodes=3, seed=5)
    futures = [evaluate_in_background(policy, ENV, episodes=3, seed=5)]
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.fill_(float("nan"))
    futures.append(evaluate_in_background(policy, ENV, episodes=3, seed=5))
    assert torch.equal(futures[0].result().returns, expected.returns)
    with pytest.raises(DataError, match="is NaN or infinite"):
        futures[1].result()
    (worker,) = background._process()._processes.values()
    os.kill(worker.pid, signal.SIGINT)  # Ctrl-C reaches every process of a terminal
    assert not any(parameter.is_shared() for parameter in policy.parameters())
    with pytest.raises(DataError):
        evaluate_in_background(policy, ENV, episodes=3, seed=5).result()


def test_what_cannot_be_sent_is_refused_at_once() -> None:
    policy = make_bc(TeamSpec.from_env(ENV()), hidden_sizes=[8]).policy
    with pytest.raises(TypeError, match="make_env must be one that can be pickled, got <function"):
        evaluate_in_background(policy, lambda: ENV(), episodes=1, seed=0)
