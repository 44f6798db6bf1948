from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictModule, TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.envs import StepCounter, TransformedEnv
from torchrl.envs.utils import check_env_specs
from torchrl.modules import IndependentNormal

from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import EvaluationResult, Protocol, evaluate
from omiga_torchrl.evaluation.rollout import _check_actions
from tests.evaluation.toy_env import AGENTS, CountingEnv

NAN = torch.full((1, AGENTS, 1), float("nan"))


def still(data: TensorDictBase) -> TensorDictBase:
    return data.set(("agents", "action"), torch.zeros(*data.batch_size, AGENTS, 1))


def test_the_toy_env_is_valid() -> None:
    check_env_specs(CountingEnv([2, 3]))


def test_first_episodes_only() -> None:
    """Short episodes count once, however often they fit into the longest one."""
    result = evaluate(still, CountingEnv([1, 2, 5]), episodes=3, seed=0)
    assert result.returns.tolist() == [1.0, 2.0, 5.0]
    assert result.lengths.tolist() == [1, 2, 5]
    assert result.terminated.tolist() == [False, True, False]
    assert result.terminated_share == pytest.approx(1 / 3)
    assert result.won is None and result.win_rate is None
    assert result.returns.dtype == torch.float64


def test_a_policy_of_another_precision_is_named() -> None:
    policy = TensorDictModule(
        nn.Linear(3, 1), in_keys=[("agents", "observation")], out_keys=[("agents", "action")]
    )
    with pytest.raises(DataError, match=r"must be torch.float64 like the policy's.*to\(torch.float32\)"):
        evaluate(policy.double(), CountingEnv([2]), episodes=1, seed=0)
    assert evaluate(policy.float(), CountingEnv([2]), episodes=1, seed=0).lengths.tolist() == [2]


@pytest.mark.parametrize(("episodes", "expected"), [(1, [2]), (2, [2, 3]), (5, [2, 3, 2, 3, 2])])
def test_number_of_episodes(episodes: int, expected: list[int]) -> None:
    assert evaluate(still, CountingEnv([2, 3]), episodes=episodes, seed=0).lengths.tolist() == expected


def test_stops_when_all_are_done() -> None:
    env = CountingEnv([3, 3, 3])
    evaluate(still, env, episodes=3, seed=0)
    assert env.resets == 1


class Renewed(CountingEnv):
    """From the second episode on, every environment wins and terminates after four steps."""

    def _reset(self, tensordict: TensorDictBase | None, **kwargs: object) -> TensorDictBase:
        if tensordict is not None and (chosen := tensordict.get("_reset", None)) is not None:
            self.goal = torch.where(chosen.reshape(-1), 4, self.goal)
        return super()._reset(tensordict, **kwargs)


def test_what_comes_after_the_first_episode_does_not_count() -> None:
    result = evaluate(still, Renewed([3, 12], wins=True), episodes=2, seed=0)
    assert result.returns.tolist() == [3.0, 12.0] and result.lengths.tolist() == [3, 12]
    assert result.terminated.tolist() == [False, True] and result.won.tolist() == [False, False]


@pytest.mark.parametrize(("stands_still", "resets"), [(True, 1), (False, 3)])
def test_only_environments_that_stand_still_are_stepped_on(stands_still: bool, resets: int) -> None:
    env = CountingEnv([2, 5])  # the first one ends after steps 2 and 4
    env.ended_stand_still = stands_still
    assert evaluate(still, env, episodes=2, seed=0).lengths.tolist() == [2, 5]
    assert env.resets == resets


def test_wins() -> None:
    result = evaluate(still, CountingEnv([4, 2, 4, 3], wins=True), episodes=4, seed=0)
    assert result.won.tolist() == [True, False, True, False]
    assert result.win_rate == 0.5 and result.metrics()["win_rate"] == 0.5


def test_same_seed_same_returns_and_no_trace() -> None:
    env = CountingEnv([2, 5, 3], noise=1.0)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first = evaluate(still, env, episodes=7, seed=3)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all() and states[2] == random.getstate()
    torch.rand(10)
    assert torch.equal(first.returns, evaluate(still, env, episodes=7, seed=3).returns)
    assert not torch.equal(first.returns, evaluate(still, env, episodes=7, seed=4).returns)


def test_states_come_back_after_an_error() -> None:
    state = torch.get_rng_state()
    with pytest.raises(DataError):
        evaluate(
            lambda data: still(data).set(("agents", "action"), NAN), CountingEnv([3]), episodes=1, seed=0
        )
    assert torch.equal(state, torch.get_rng_state())


def gaussian_policy() -> TensorDictSequential:
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    keys = [("agents", "loc"), ("agents", "scale"), ("agents", "action")]
    heads = TensorDictModule(
        lambda x: (net(x), torch.ones_like(x[..., :1])), [("agents", "observation")], keys[:2]
    )
    heads.net = net
    draw = ProbabilisticTensorDictModule(
        {"loc": keys[0], "scale": keys[1]}, [keys[2]], distribution_class=IndependentNormal
    )
    return TensorDictSequential(heads, draw)


def test_deterministic_or_sampled() -> None:
    policy, env = gaussian_policy(), CountingEnv([4, 4])
    policy.train()
    greedy = evaluate(policy, env, episodes=2, seed=0)
    assert torch.equal(greedy.returns, evaluate(policy, env, episodes=2, seed=1).returns)
    sampled = evaluate(policy, env, episodes=2, seed=0, deterministic=False)
    assert not torch.equal(greedy.returns, sampled.returns) and not sampled.deterministic
    assert policy.training and policy[0].net[1].training


def test_truncation_by_a_step_counter() -> None:
    result = evaluate(still, TransformedEnv(CountingEnv([4, 100]), StepCounter(10)), episodes=2, seed=0)
    assert result.lengths.tolist() == [4, 10] and result.terminated.tolist() == [True, False]


def test_nan_action_names_the_agent() -> None:
    def broken(data: TensorDictBase) -> TensorDictBase:
        data = still(data)
        data["agents", "action"][1, 1] = float("nan")
        return data

    with pytest.raises(DataError, match=r"of agent 1 is NaN or infinite in 1 of 2 environments"):
        evaluate(broken, CountingEnv([2, 2]), episodes=2, seed=0)


def test_actions_of_absent_agents_may_be_anything() -> None:
    env = CountingEnv([2, 2])
    data = still(env.reset())
    data["agents", "action"][1, 1] = float("nan")
    data["agents", "agent_mask"] = torch.tensor([[True, True], [True, False]])
    _check_actions(env, data, torch.ones(2, dtype=torch.bool))
    data["agents", "agent_mask"] = torch.tensor([[True, False], [False, True]])
    with pytest.raises(DataError, match=r"of agent 1 is NaN or infinite in 1 of 2 environments"):
        _check_actions(env, data, torch.ones(2, dtype=torch.bool))


def test_errors() -> None:
    with pytest.raises(ValueError, match="episodes=0"):
        evaluate(still, CountingEnv([2]), episodes=0, seed=0)
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=rf"evaluate: seed is {seed}; expected .* \[0, 2\*\*32\)"):
            evaluate(still, CountingEnv([2]), episodes=1, seed=seed)
    with pytest.raises(DataError, match="1 of 2 environments did not end within 20 steps"):
        evaluate(still, CountingEnv([2, 1000]), episodes=2, seed=0, max_steps=20)
    with pytest.raises(KeyError, match="Does the policy write this key"):
        evaluate(lambda data: data, CountingEnv([2]), episodes=1, seed=0)

    class NaNReward(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            out = super()._step(tensordict)
            return out.set("reward", out["reward"] * torch.tensor([[1.0], [torch.nan]]))

    with pytest.raises(DataError, match="'reward'\\) is NaN"):
        evaluate(still, NaNReward([2, 2]), episodes=2, seed=0)


def test_protocol_and_record() -> None:
    protocol = Protocol(interval=5, episodes=2, final_episodes=3, seed=1)
    assert protocol.final_seed != protocol.seed
    for field in ("interval", "episodes", "final_episodes"):
        with pytest.raises(ValueError, match=f"{field}=0"):
            Protocol(**{field: 0})
    with pytest.raises(ValueError, match="seed is -1; expected a whole number"):
        Protocol(seed=-1)
    with pytest.raises(ValueError, match="final_seed is 4294967296"):
        Protocol(seed=2**32 - 1_000_000)
    record = EvaluationResult(torch.tensor([1.0]), torch.tensor([2]), torch.tensor([True])).to_record()
    assert record == {
        "returns": [1.0],
        "lengths": [2],
        "terminated": [True],
        "deterministic": True,
        "seed": 0,
    }


def test_vmas() -> None:
    pytest.importorskip("vmas")
    from omiga_torchrl.envs import make_env

    env = make_env("vmas/navigation", num_envs=10, seed=0, max_steps=20)

    def act(data: TensorDictBase) -> TensorDictBase:
        return data.set(("agents", "action"), data["agents", "observation"][..., :2].tanh())

    state = torch.get_rng_state()
    first = evaluate(act, env, episodes=10, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    env.reset()
    assert torch.equal(first.returns, evaluate(act, env, episodes=10, seed=1).returns)
    assert not torch.equal(first.returns, evaluate(act, env, episodes=10, seed=2).returns)
    assert first.lengths.max() <= 20
