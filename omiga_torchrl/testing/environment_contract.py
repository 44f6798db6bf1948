"""`EnvContract`: an environment of a team, as :func:`omiga_torchrl.envs.make_env` builds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tensordict import NestedKey, TensorDictBase
from torchrl.envs import EnvBase, check_env_specs

from omiga_torchrl import keys
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.specs import TeamSpec

FLAGS = (keys.DONE, keys.TERMINATED, keys.TRUNCATED)


class EnvContract:
    """Contract of every environment of a team, beside TorchRL's ``check_env_specs``.

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
            assert part[keys.STATE].shape == (*rows, spec.state_size)
            assert part[keys.STATE].dtype == torch.float32 and part[keys.STATE].isfinite().all()
        for name, group in spec.groups.items():
            for part in (data, data["next"]):
                observation = part[name, "observation"]
                assert observation.shape == (*rows, group.n_agents, group.observation_size), name
                assert observation.dtype == torch.float32 and observation.isfinite().all(), name
            sizes = () if group.discrete else (group.action_size,)
            assert data[name, "action"].shape == (*rows, group.n_agents, *sizes), name
            assert data[name, "action"].dtype == (torch.int64 if group.discrete else torch.float32), name

    def test_every_agent_is_named_in_one_group(self):
        groups = TeamSpec.from_env(self.make()).group_map
        names = [agent for agents in groups.values() for agent in agents]
        assert len(set(names)) == len(names)
        for name in groups:
            assert len(groups) == 1 or name not in (keys.GROUP, keys.STATE, "next"), name

    def test_one_reward_and_one_end_of_the_team(self):
        env = self.make()
        data, rows = self.rollout(env), (self.num_envs, self.steps, 1)
        groups = TeamSpec.from_env(env).groups
        own = {(name, keys.REWARD): (*rows[:2], group.n_agents, 1) for name, group in groups.items()}
        assert keys.REWARD in env.reward_keys and {*env.reward_keys} <= {keys.REWARD, *own}
        for key in env.reward_keys:
            reward = data["next"][key]
            assert reward.shape == own.get(key, rows) and reward.isfinite().all(), key
            assert reward.dtype == torch.float32, key
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
        observations = [(name, "observation") for name in TeamSpec.from_env(env).groups]
        for key in (*observations, keys.STATE, ("next", keys.REWARD), ("next", keys.DONE)):
            assert torch.equal(found[0][key], found[1][key]), key

    def test_building_leaves_the_global_random_stream_alone(self):
        before = torch.random.get_rng_state()
        self.make()
        assert torch.equal(before, torch.random.get_rng_state())

    def test_agents_that_take_part_have_a_legal_action_and_take_one(self):
        env = self.make()
        masked = [name for name, group in TeamSpec.from_env(env).groups.items() if group.masked]
        if not masked:
            pytest.skip("every action is legal")
        data = self.rollout(env)
        for name in masked:
            mask, action = data[name, "action_mask"], data[name, "action"]
            takes_part = data.get((name, "agent_mask"), None)
            takes_part = torch.ones(mask.shape[:-1], dtype=torch.bool) if takes_part is None else takes_part
            assert mask.dtype == torch.bool and mask.any(-1)[takes_part].all(), name
            assert mask.gather(-1, action.unsqueeze(-1)).squeeze(-1)[takes_part].all(), name

    def test_actions_of_absent_agents_are_ignored(self):
        env = self.make()
        absent = [key for key in env.observation_keys if keys.key_path(key)[-1] == "agent_mask"]
        if not absent:
            pytest.skip("every agent always takes part")
        found = []
        for other in (False, True):
            env = self.make(seed=5)
            torch.manual_seed(1)
            found.append(env.rollout(self.steps, _Others(env, absent) if other else env.rand_action))
        assert all(
            torch.equal(found[0]["next"][key], found[1]["next"][key]) for key in (keys.STATE, keys.REWARD)
        )

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


class _Others:
    """Random actions, with other ones for the agents that are absent."""

    def __init__(self, env: EnvBase, masks: list[NestedKey]) -> None:
        self._env, self._masks = env, masks

    def __call__(self, data: TensorDictBase) -> TensorDictBase:
        data = self._env.rand_action(data)
        for mask in self._masks:
            action, takes_part = data[keys.sibling_key(mask, "action")], data[mask]
            takes_part = takes_part.reshape(*takes_part.shape, *[1] * (action.ndim - takes_part.ndim))
            data[keys.sibling_key(mask, "action")] = torch.where(takes_part, action, 0)
        return data
