"""`EnvContract`: an environment of a team, as :func:`omiga_torchrl.envs.make_env` builds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase
from torchrl.envs import EnvBase, check_env_specs

from omiga_torchrl import keys
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.specs import TeamSpec

FLAGS = (keys.DONE, keys.TERMINATED, keys.TRUNCATED)


class EnvContract:
    """What every environment of a team must do, beside TorchRL's ``check_env_specs``.

    Subclasses give ``task``. The task must be registered, see :func:`omiga_torchrl.envs.register_env`;
    actions are random.

    Attributes:
        task: name of the task, ``"<prefix>/<name>"``.
        options: further arguments of ``make_env``.
        num_envs: number of environments B, at least 2 where the simulator can run them side by side.
        max_steps: length at which episodes are cut, and which random actions reach at least once in
            ``num_envs`` episodes; None for tasks that always end by themselves.

    Examples:
        >>> class TestXor(EnvContract):
        ...     task, max_steps = "tabular/xor", None
        >>> TestXor().test_seeds_reproduce_episodes()
    """

    task: str
    options: Mapping[str, Any] = {}
    num_envs = 3
    max_steps: int | None = 4

    @pytest.fixture(autouse=True)
    def _seed(self) -> None:
        torch.manual_seed(0)

    def make(self, **kwargs: Any) -> EnvBase:
        """The environment; ``kwargs`` go before the class's attributes."""
        known = {"num_envs": self.num_envs, "seed": 0, "max_steps": self.max_steps, **self.options}
        return make_env(self.task, **{**known, **kwargs})

    @property
    def steps(self) -> int:
        """Steps T of rollouts: two episodes that are cut."""
        return 2 * (self.max_steps or 4)

    def rollout(self, env: EnvBase) -> TensorDictBase:
        """``T`` random steps ``[B, T]``, on through the ends of episodes."""
        return env.rollout(self.steps, break_when_any_done=False)

    def test_specs_are_those_of_the_data(self):
        check_env_specs(self.make())

    def test_spec_of_the_team_has_the_sizes_of_the_data(self):
        env = self.make()
        spec, data = TeamSpec.from_env(env), self.rollout(env)
        assert env.batch_size == (self.num_envs,) and env.task_name == self.task
        rows = (self.num_envs, self.steps)
        for part in (data, data["next"]):
            assert part[keys.OBSERVATION].shape == (*rows, spec.n_agents, spec.observation_size)
            assert part[keys.STATE].shape == (*rows, spec.state_size)
            assert part[keys.OBSERVATION].dtype == part[keys.STATE].dtype == torch.float32
            assert part[keys.OBSERVATION].isfinite().all() and part[keys.STATE].isfinite().all()
        sizes = () if spec.discrete else (spec.action_size,)
        assert data[keys.ACTION].shape == (*rows, spec.n_agents, *sizes)
        assert data[keys.ACTION].dtype == (torch.int64 if spec.discrete else torch.float32)

    def test_one_reward_and_one_end_of_the_team(self):
        env = self.make()
        data, rows = self.rollout(env), (self.num_envs, self.steps, 1)
        assert env.reward_keys == [keys.REWARD]
        assert data["next", keys.REWARD].shape == rows and data["next", keys.REWARD].isfinite().all()
        assert data["next", keys.REWARD].dtype == torch.float32
        for name in FLAGS:
            assert data["next", name].shape == rows and data["next", name].dtype == torch.bool, name

    def test_done_is_terminated_or_truncated(self):
        following = self.rollout(self.make())["next"]
        done, terminated, truncated = (following[name] for name in FLAGS)
        assert torch.equal(done, terminated | truncated)
        assert done.any()

    def test_time_outs_are_truncated_and_not_terminated(self):
        if self.max_steps is None:
            pytest.skip("episodes end by themselves")
        following = self.make().rollout(self.max_steps, break_when_any_done=False)["next"]
        in_time = ~following[keys.DONE][:, :-1].any(1).squeeze(-1)
        last = following[in_time, -1]
        ended_itself = last[keys.TERMINATED]
        assert in_time.any() and last[keys.TRUNCATED][~ended_itself].all()
        assert not ended_itself.all(), "every episode ended by itself: choose a smaller max_steps"
        assert not following[keys.TRUNCATED][:, :-1].any()

    def test_a_reset_goes_on_at_a_first_step(self):
        env = self.make()
        data, first = self.rollout(env), self.make().reset()
        assert not any(first[name].any() for name in FLAGS)
        ended = data["next", keys.DONE][:, :-1].squeeze(-1)
        assert not data[keys.DONE][:, 1:][ended].any()

    def test_episode_reward_is_the_return_so_far(self):
        data = self.rollout(self.make())
        reward, ended = data["next", keys.REWARD], data["next", keys.DONE]
        total = torch.zeros_like(reward[:, 0])
        for t in range(self.steps):
            total = total + reward[:, t]
            torch.testing.assert_close(data["next", keys.EPISODE_RETURN][:, t], total)
            total = torch.where(ended[:, t], 0.0, total)

    def test_seeds_reproduce_episodes(self):
        found = []
        for _ in range(2):
            env = self.make(seed=5)
            torch.manual_seed(1)
            found.append(self.rollout(env))
        for key in (keys.OBSERVATION, keys.STATE, ("next", keys.REWARD), ("next", keys.DONE)):
            assert torch.equal(found[0][key], found[1][key]), key

    def test_building_leaves_the_global_random_stream_alone(self):
        before = torch.random.get_rng_state()
        self.make()
        assert torch.equal(before, torch.random.get_rng_state())

    def test_agents_that_take_part_have_a_legal_action_and_take_one(self):
        env = self.make()
        if not TeamSpec.from_env(env).masked:
            pytest.skip("every action is legal")
        data = self.rollout(env)
        mask, action = data[keys.ACTION_MASK], data[keys.ACTION]
        takes_part = data.get(keys.AGENT_MASK, None)
        takes_part = torch.ones(mask.shape[:-1], dtype=torch.bool) if takes_part is None else takes_part
        assert mask.dtype == torch.bool and mask.any(-1)[takes_part].all()
        assert mask.gather(-1, action.unsqueeze(-1)).squeeze(-1)[takes_part].all()

    def test_evaluation_repeats_itself_and_plays_whole_episodes(self):
        env = self.make()
        episodes = self.num_envs + 1
        first, second = (evaluate(env.rand_action, env, episodes=episodes, seed=3) for _ in range(2))
        assert len(first.returns) == episodes and first.returns.isfinite().all()
        assert torch.equal(first.returns, second.returns) and torch.equal(first.lengths, second.lengths)
        assert self.max_steps is None or int(first.lengths.max()) <= self.max_steps

    def test_one_environment_has_a_batch_dimension_like_many(self):
        data = self.make(num_envs=1).rollout(2, break_when_any_done=False)
        assert data["next", keys.REWARD].shape == (1, 2, 1)
