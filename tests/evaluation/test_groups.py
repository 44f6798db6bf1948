"""Evaluation, videos and policy files of teams whose agents differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.envs import EnvBase

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import evaluate, record_video
from omiga_torchrl.evaluation.frames import frame_source
from omiga_torchrl.policies import load_policy, save_policy
from omiga_torchrl.specs import TeamSpec

TASK = "vmas/speaker_listeners"


class TwoGroups(EnvBase):
    """Two steps; agents of `a` earn 1 each step, those of `b` 2 and 4; the last one of `b` is absent."""

    def __init__(self) -> None:
        super().__init__(batch_size=[2])
        sizes = {"a": 1, "b": 2}
        self.observation_spec = Composite(
            {
                name: Composite(
                    observation=Unbounded((2, n, 3)),
                    agent_mask=Binary(n, (2, n), dtype=torch.bool),
                    shape=(2, n),
                )
                for name, n in sizes.items()
            },
            state=Unbounded((2, 1)),
            shape=(2,),
        )
        self.action_spec = Composite(
            {name: Composite(action=Bounded(-1, 1, (2, n, 1)), shape=(2, n)) for name, n in sizes.items()},
            shape=(2,),
        )
        self.reward_spec = Composite(
            {name: Composite(reward=Unbounded((2, n, 1)), shape=(2, n)) for name, n in sizes.items()},
            reward=Unbounded((2, 1)),
            shape=(2,),
        )
        flag = Binary(1, (2, 1), dtype=torch.bool)
        self.done_spec = Composite(done=flag.clone(), terminated=flag.clone(), shape=(2,))
        self.group_map = {"a": ["a_0"], "b": ["b_0", "b_1"]}

    def _set_seed(self, seed):
        pass

    def _seen(self):
        out = self.observation_spec.zero()
        out["a", "agent_mask"] = torch.ones(2, 1, dtype=torch.bool)
        out["b", "agent_mask"] = torch.tensor([[True, False]] * 2)
        return out.update(self.full_done_spec.zero())

    def _reset(self, tensordict=None, **kwargs):
        self.count = 0
        return self._seen()

    def _step(self, tensordict):
        self.count += 1
        out = self._seen()
        out["a", "reward"] = torch.ones(2, 1, 1)
        out["b", "reward"] = torch.tensor([[[2.0], [4.0]]] * 2)
        out["reward"] = torch.full((2, 1), 7.0)
        for name in ("done", "terminated"):
            out[name] = torch.full((2, 1), self.count == 2)
        return out


def acting(env, **actions):
    def act(data):
        for name, value in actions.items():
            data[name, "action"] = torch.tensor(value).expand(env.full_action_spec[name, "action"].shape)
        return data

    return act


def test_returns_of_every_group():
    env = TwoGroups()
    result = evaluate(acting(env, a=0.0, b=0.0), env, episodes=3, seed=0)
    assert result.returns.tolist() == [14.0] * 3
    assert {name: one.tolist() for name, one in result.group_returns.items()} == {
        "a": [2.0] * 3,
        "b": [6.0] * 3,
    }
    assert result.metrics()["return_b"] == 6.0
    assert result.to_record()["group_returns"] == {"a": [2.0] * 3, "b": [6.0] * 3}


def test_the_teams_reward_alone_has_no_groups():
    env = make_env(TASK, num_envs=2, max_steps=2)
    result = evaluate(env.rand_action, env, episodes=2, seed=0)
    assert result.group_returns == {} and "group_returns" not in result.to_record()
    assert list(result.metrics()) == ["return", "return_std", "length", "terminated_share"]


def test_actions_of_absent_agents_may_be_anything():
    env = TwoGroups()
    absent = [[0.0], [float("nan")]]
    assert evaluate(acting(env, a=0.0, b=absent), env, episodes=2, seed=0).mean_return == 14.0
    with pytest.raises(DataError, match=r"\('b', 'action'\) of agent 0 is NaN or infinite in 2 of 2"):
        evaluate(acting(env, a=0.0, b=absent[::-1]), env, episodes=2, seed=0)


def test_group_returns_are_those_of_the_agents_own_rewards():
    env = make_env(TASK, num_envs=4, max_steps=5, keep_agent_rewards=True)
    result = evaluate(env.rand_action, env, episodes=4, seed=0)
    # All agents of this task share the team's reward.
    for name in ("speaker", "listener"):
        torch.testing.assert_close(result.group_returns[name], result.returns)


@pytest.mark.parametrize("task", [TASK, f"{TASK}-mixed"])
@pytest.mark.parametrize("arguments", [{}, {"rnn_hidden_size": 8}])
def test_policy_files(tmp_path, task, arguments):
    env = make_env(task, num_envs=3, max_steps=4)
    spec, arguments = TeamSpec.from_env(env), {"hidden_sizes": [8], **arguments}
    torch.manual_seed(0)
    policy = make_algorithm("bc", spec, **arguments).policy
    file = save_policy(tmp_path / "policy.pt", policy, algorithm="bc", spec=spec, arguments=arguments)
    loaded = load_policy(file)
    assert loaded.team == spec and loaded.team.groups.keys() == {"speaker", "listener"}
    ours, theirs = (evaluate(one, env, episodes=3, seed=1).returns for one in (policy, loaded))
    assert torch.equal(ours, theirs)


def test_a_video_shows_agents_with_and_without_a_policy(tmp_path):
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    env = make_env("vmas/simple_world_comm", num_envs=1, max_steps=3)
    path = record_video(env.rand_action, env, tmp_path / "tag.gif", max_steps=2)
    assert path.stat().st_size > 0
    frame = frame_source(env)()
    assert frame.dtype == np.uint8 and len(np.unique(frame.reshape(-1, 3), axis=0)) > 4
