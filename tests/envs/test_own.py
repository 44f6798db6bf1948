"""Games of PettingZoo and Gymnasium, and TorchRL's environments, as a team's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from torchrl.data import Bounded
from torchrl.envs import EnvBase
from torchrl.envs.libs.vmas import VmasEnv

from omiga_torchrl.envs import (
    check_env,
    from_gymnasium,
    from_pettingzoo,
    from_torchrl,
    make_env,
    register_env,
    unregister_env,
)
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import EnvContract


class Countdown:
    """Agents count down from numbers of their own; who is at zero leaves; after `limit` steps all are cut."""

    def __init__(self, starts: Mapping[str, int], *, limit: int = 99, masked: bool = False) -> None:
        self.starts, self.limit, self.masked = dict(starts), limit, masked
        self.possible_agents, self.agents = list(starts), []
        self.taken: list[dict[str, Any]] = []

    def observation_space(self, agent: str) -> Any:
        own = Box(-np.inf, np.inf, (1,), np.float64)
        return Dict({"observation": own, "action_mask": Box(0, 1, (3,), np.int8)}) if self.masked else own

    def action_space(self, agent: str) -> Any:
        return Discrete(3, start=1)

    def _observed(self, agents: list[str]) -> dict[str, Any]:
        found = {agent: np.array([float(self.left[agent])]) for agent in agents}
        mask = np.array([1, 0, 1], np.int8)
        return {a: {"observation": x, "action_mask": mask} if self.masked else x for a, x in found.items()}

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        self.left, self.steps, self.agents = dict(self.starts), 0, list(self.starts)
        return self._observed(self.agents), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        assert list(actions) == self.agents
        self.taken.append(actions)
        self.steps += 1
        for agent in actions:
            self.left[agent] -= 1
        terminated = {agent: self.left[agent] == 0 for agent in actions}
        truncated = dict.fromkeys(actions, self.steps == self.limit)
        self.agents = [agent for agent in actions if not (terminated[agent] or truncated[agent])]
        rewards = dict.fromkeys(actions, 1.0)
        return self._observed(list(actions)), rewards, terminated, truncated, {agent: {} for agent in actions}


def test_agents_leave_and_the_last_ends_the_game():
    env = from_pettingzoo(Countdown({"car_0": 1, "car_1": 3}), agent_mask=True, team_reward="sum")
    data = env.rollout(9)
    assert data["next", "agents", "agent_mask"][0].tolist() == [[False, True], [False, True], [False, False]]
    assert data["agents", "agent_mask"][0].tolist() == [[True, True], [False, True], [False, True]]
    assert data["next", "agents", "observation"][0, :, :, 0].tolist() == [[0, 2], [0, 1], [0, 0]]
    assert data["next", "reward"].flatten().tolist() == [2, 1, 1]
    assert data["next", "terminated"].flatten().tolist() == [False, False, True]
    assert not data["next", "truncated"].any() and data["next", "episode_reward"][0, -1] == 4
    assert data["state"].shape == (1, 3, 2)


def test_agents_that_are_cut_off_have_a_future():
    data = from_pettingzoo(Countdown({"car_0": 1, "car_1": 5}, limit=2), agent_mask=True).rollout(9)
    assert data["next", "agents", "agent_mask"][0].tolist() == [[False, True], [False, True]]
    assert data["next", "truncated"].flatten().tolist() == [False, True]
    assert not data["next", "terminated"].any()


def test_leaving_without_a_mask_is_an_error():
    env = from_pettingzoo(Countdown({"car_0": 1, "car_1": 3}))
    with pytest.raises(DataError, match=r"got a game that car_0 left. Pass agent_mask=True"):
        env.rollout(2)


def test_discrete_actions_start_where_the_game_says_and_masks_are_read():
    game = Countdown({"car_0": 4, "van_0": 4}, masked=True)
    env = from_pettingzoo(game, group_map={"cars": ["car_0"], "vans": ["van_0"]})
    assert env.group_map == {"cars": ["car_0"], "vans": ["van_0"]}
    data = env.reset()
    assert data["cars", "action_mask"].tolist() == [[[True, False, True]]]
    data["cars", "action"], data["vans", "action"] = torch.tensor([[0]]), torch.tensor([[2]])
    env.step(data)
    assert game.taken == [{"car_0": 1, "van_0": 3}]


def test_a_batch_resets_each_game_alone():
    starts = iter([2, 3, 2, 3])
    env = from_pettingzoo(lambda: Countdown({"a_0": next(starts)}), num_envs=2)
    data = env.rollout(4, break_when_any_done=False)
    assert data["agents", "observation"][..., 0, 0].tolist() == [[2, 1, 2, 1], [3, 2, 1, 3]]


class TestCountdown(EnvContract):
    task, max_steps = "countdown/two", 3

    @pytest.fixture(autouse=True)
    def _registered(self):
        def factory(name: str, **options: Any) -> EnvBase:
            return from_pettingzoo(lambda: Countdown({"a_0": 5, "b_0": 6}, masked=True), **options)

        register_env("countdown", factory, tasks=lambda: ["two"])
        yield
        unregister_env("countdown")


class TestPendulum(EnvContract):
    task = "gym/Pendulum-v1"

    @pytest.fixture(autouse=True)
    def _registered(self):
        register_env("gym", lambda name, **options: from_gymnasium(lambda: gymnasium.make(name), **options))
        yield
        unregister_env("gym")


def test_gymnasium_keeps_its_bounds_and_ends():
    spec = TeamSpec.from_env(from_gymnasium(gymnasium.make("Pendulum-v1")))
    assert (spec.n_agents, spec.action_low, spec.action_high) == (1, -2.0, 2.0)
    env = from_gymnasium(lambda: gymnasium.make("CartPole-v1"), num_envs=2, seed=0)
    following = env.rollout(200)["next"]
    assert following["terminated"].any() and not following["truncated"].any()
    result = evaluate(env.rand_action, env, episodes=4, seed=1)
    assert torch.equal(result.returns.flatten(), result.lengths.flatten().float())  # CartPole pays 1 a step


def test_torchrl_environments_get_what_they_lack():
    base = VmasEnv("navigation", num_envs=2, n_agents=3, seed=0, max_steps=None)
    env = from_torchrl(base, max_steps=4, team_reward="sum", keep_agent_rewards=True)
    data = env.rollout(9)["next"]
    assert data["state"].shape == (2, 4, 54) and data["truncated"][:, -1].all()
    torch.testing.assert_close(data["reward"], data["agents", "reward"].sum(-2))
    ours = make_env("vmas/navigation", num_envs=2, seed=0, team_reward="sum", max_steps=4)
    assert TeamSpec.from_env(env) == TeamSpec.from_env(ours)


def test_one_environment_gets_a_batch_dimension():
    env = from_torchrl(lambda: Bare(), num_envs=3, max_steps=2)
    assert env.rollout(5)["next", "state"].shape == (3, 2, 2)
    with pytest.raises(ValueError, match="num_envs must be 1 for one instance, got 3"):
        from_torchrl(Bare(), num_envs=3)


class Bare(EnvBase):
    """Two agents, one feature, unbatched, with one reward of the team; `change` spoils its results."""

    def __init__(self, change: Any = None, bounds: tuple[float, float] = (-1.0, 1.0)) -> None:
        super().__init__()
        from torchrl.data import Composite, Unbounded

        agents = {"observation": Unbounded((2, 1))}
        self.observation_spec = Composite({"agents": Composite(agents, shape=(2,))})
        self.action_spec = Composite({"agents": Composite({"action": Bounded(*bounds, (2, 1))}, shape=(2,))})
        self.reward_spec = Unbounded((1,))
        self.change = change

    def _reset(self, tensordict: Any = None, **kwargs: Any) -> Any:
        return self.full_observation_spec.zero().update(self.full_done_spec.zero())

    def _step(self, tensordict: Any) -> Any:
        out = self._reset().set("reward", torch.ones(1))
        if self.change is not None:
            self.change(out)
        return out

    def _set_seed(self, seed: int | None) -> None:
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda out: out["agents", "observation"].fill_(float("nan")), r"with NaN or infinity after step 1"),
        (lambda out: out.set("done", torch.ones(1, dtype=torch.bool)), r"'done' after step 1 that is not"),
    ],
)
def test_wrong_steps_are_named(change, message):
    with pytest.raises(DataError, match=message):
        from_torchrl(lambda: Bare(change))


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(DataError) as caught:
        check_env(VmasEnv("navigation", num_envs=2, continuous_actions=False, categorical_actions=False))
    for part in ("no 'state'", "no 'reward' of the team", "no 'truncated'", "one-hot"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="without finite bounds"):
        from_torchrl(lambda: Bare(bounds=(-float("inf"), 1.0)))


def test_registering_checks_at_once_or_at_the_first_use():
    def factory(name: str, *, num_envs: int, **options: Any) -> EnvBase:
        return VmasEnv("navigation", num_envs=num_envs)

    with pytest.raises(DataError, match=r"check_env: mine/one must give .*\n- no 'state'"):
        register_env("mine", factory, tasks=lambda: ["one"])
    with pytest.raises(ValueError, match="unknown task"):
        make_env("mine/one")
    register_env("mine", factory)
    try:
        with pytest.raises(DataError, match="check_env: mine/other must give"):
            make_env("mine/other")
    finally:
        unregister_env("mine")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (MultiDiscrete([2, 3]), "must be Discrete or a one-dimensional Box, got MultiDiscrete"),
        (Box(-np.inf, np.inf, (2,)), "must have finite bounds"),
    ],
)
def test_actions_without_policies_are_refused(space, message):
    game = Countdown({"a_0": 2})
    game.action_space = lambda agent: space
    with pytest.raises(DataError, match=message):
        from_pettingzoo(game)


def test_several_games_need_a_function():
    with pytest.raises(ValueError, match="from_gymnasium: num_envs must be 1 for one instance, got 2"):
        from_gymnasium(gymnasium.make("Pendulum-v1"), num_envs=2)
