from __future__ import annotations

import itertools

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import check_env_specs

from omiga_torchrl.envs import available_tasks, make_env
from omiga_torchrl.envs.tabular import TabularTeamEnv, make_tabular_env
from omiga_torchrl.envs.tabular_credit import tmaze_game
from omiga_torchrl.envs.tabular_games import (
    TabularGame,
    bridge_game,
    matrix_game,
    tabular_game,
    tabular_tasks,
)
from omiga_torchrl.envs.tabular_solutions import (
    enumerate_episodes,
    joint_policy,
    optimal_actions,
    optimal_values,
    policy_values,
)
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

STAY, UP, DOWN, RIGHT, LEFT = range(5)


def at(game, first, second):
    """The state of Bridge with the agents in these cells."""
    scaled = torch.tensor([*first, *second]) / torch.tensor([2.0, 5.0, 2.0, 5.0])
    return int((game.state - scaled).abs().sum(-1).argmin())


def step(game, first, second, action):
    joint = int(game.joint_index(torch.tensor(action)))
    state = at(game, first, second)
    after = (game.state[game.next_state[state, joint]] * torch.tensor([2.0, 5.0, 2.0, 5.0])).round().int()
    row = after.tolist()
    return (
        (row[0], row[1]),
        (row[2], row[3]),
        game.reward[state, joint].item(),
        bool(game.terminal[state, joint]),
    )


@pytest.mark.parametrize("name", tabular_tasks())
def test_specs_and_keys(name):
    env = make_tabular_env(name, num_envs=3)
    check_env_specs(env)
    spec = TeamSpec.from_env(env)
    assert spec.discrete and not spec.masked and spec.n_agents == 2
    rollout = env.rollout(4, break_when_any_done=False)
    assert rollout["next", "reward"].shape == (3, 4, 1) and rollout["next", "episode_reward"].shape == (
        3,
        4,
        1,
    )
    assert env.reward_keys == ["reward"]


def test_registered_by_its_prefix():
    assert "tabular/xor" in available_tasks()
    env = make_env("tabular/bridge", num_envs=2, seed=3, max_steps=5)
    rollout = env.rollout(5, break_when_any_done=False)
    assert rollout["next", "truncated"][:, -1].all() and not rollout["next", "terminated"].any()
    with pytest.raises(ValueError, match=r"unknown task 'tabular/xr'; did you mean 'tabular/xor'"):
        make_env("tabular/xr")


def test_matrix_games_pay_their_tables_and_end():
    env = make_tabular_env("climbing", num_envs=9)
    data = env.reset()
    data["agents", "action"] = torch.tensor(list(itertools.product(range(3), repeat=2)))
    after = env.step(data)["next"]
    assert after["reward"].flatten().tolist() == [11, -30, 0, -30, 7, 6, 0, 0, 5]
    assert after["terminated"].all() and after["done"].all()


def test_rows_are_reset_one_by_one():
    env = TabularTeamEnv(bridge_game(), num_envs=2)
    env.reset()
    before = env.step(TensorDict({"agents": {"action": torch.tensor([[LEFT, STAY]] * 2)}}, [2]))["next"]
    after = env.reset(before.set("_reset", torch.tensor([[True], [False]])))
    game = env.game
    assert torch.equal(after["state"][0], game.state[at(game, (1, 2), (1, 3))])
    assert torch.equal(after["state"][1], game.state[at(game, (1, 1), (1, 3))])


def test_steps_follow_the_tables():
    game = bridge_game()
    env, now = TabularTeamEnv(game, num_envs=64), torch.full((64,), game.start)
    env.reset()
    torch.manual_seed(0)
    for _ in range(20):
        action = torch.randint(5, (64, 2))
        after = env.step(TensorDict({"agents": {"action": action}}, [64]))["next"]
        joint = game.joint_index(action)
        assert torch.equal(after["reward"].squeeze(-1), game.reward[now, joint])
        now = game.next_state[now, joint]
        assert torch.equal(after["state"], game.state[now])
        assert torch.equal(after["agents", "observation"], game.observation[now])


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        (((1, 2), (1, 3)), (RIGHT, LEFT), ((1, 2), (1, 3))),  # face to face: no swap
        (((1, 2), (1, 3)), (LEFT, LEFT), ((1, 1), (1, 2))),  # one steps back, the other follows
        (((1, 2), (1, 3)), (STAY, LEFT), ((1, 2), (1, 3))),  # the cell is not left
        (((1, 2), (1, 3)), (UP, DOWN), ((1, 2), (1, 3))),  # walls
        (((1, 1), (1, 3)), (RIGHT, LEFT), ((1, 2), (1, 3))),  # both want one cell: agent 0 goes
        (((0, 0), (1, 4)), (UP, STAY), ((0, 0), (1, 4))),  # edge of the map
        (((2, 5), (1, 5)), (UP, DOWN), ((2, 5), (2, 5))),  # at its goal: stays, in nobody's way
    ],
)
def test_bridge_moves(before, action, after):
    assert step(bridge_game(), *before, action)[:2] == after


def test_bridge_rewards_by_hand():
    game = bridge_game()
    # agent 0 at (1, 1): sqrt(1 + 16) from (2, 5); agent 1 at (1, 2): sqrt(1 + 4) from (0, 0)
    assert step(game, (1, 2), (1, 3), (LEFT, LEFT))[2] == pytest.approx(-0.05 * (17**0.5 + 5**0.5))
    # agent 0 has arrived; agent 1 at (1, 0) is one away
    assert step(game, (2, 5), (1, 1), (STAY, LEFT))[2:] == (pytest.approx(-0.05), False)
    assert step(game, (2, 5), (1, 0), (STAY, UP))[2:] == (0.0, True)


def test_bridge_has_the_two_symmetric_solutions():
    game = bridge_game()
    best = optimal_actions(game)
    chosen = {tuple(game.joint_actions[j].tolist()) for j in best[game.start].nonzero().flatten()}
    assert chosen == {(LEFT, LEFT), (RIGHT, RIGHT)}  # who steps back does not matter, both doing so does
    value = optimal_values(game)[game.start]
    both_back = value[game.joint_index(torch.tensor([LEFT, RIGHT]))]
    assert both_back < value.max() - 0.5
    # an independent mixture of the two solutions is worse than either
    local = torch.zeros(196, 2, 5)
    for state in range(196):
        joint = game.joint_actions[best[state]]
        for agent in range(2):
            local[state, agent] = torch.bincount(joint[:, agent], minlength=5) / len(joint)
    mixed = policy_values(game, joint_policy(game, local))[game.start]
    assert mixed < value.max() - 0.1


def test_optimal_values_satisfy_bellmans_equation_and_their_policy_earns_them():
    for name in tabular_tasks():
        game = tabular_game(name)
        q = optimal_values(game, gamma=0.9)
        bellman = game.reward + 0.9 * (~game.terminal) * q.amax(-1)[game.next_state]
        torch.testing.assert_close(q, bellman.double(), rtol=0, atol=1e-6)
        best = optimal_actions(game, gamma=0.9).double()
        values = policy_values(game, best / best.sum(-1, keepdim=True), gamma=0.9)
        torch.testing.assert_close(values, q.amax(-1), rtol=0, atol=1e-5)


def test_optimal_among_the_data_only():
    game = tabular_game("climbing")
    allowed = torch.ones_like(game.terminal)
    assert optimal_values(game, allowed=allowed).max() == 11
    two_steps = TabularGame(
        reward=torch.tensor([[0.0, 0.0], [5.0, 1.0]]),
        next_state=torch.tensor([[1, 1], [0, 0]]),
        terminal=torch.tensor([[False, False], [True, True]]),
        joint_actions=torch.tensor([[0], [1]]),
        observation=torch.eye(2).unsqueeze(1),
        state=torch.eye(2),
    )
    seen = torch.tensor([[True, True], [False, True]])
    assert optimal_values(two_steps, gamma=0.5)[0].tolist() == [2.5, 2.5]
    assert optimal_values(two_steps, gamma=0.5, allowed=seen)[0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("name", "best"), [("xor", 1), ("xor-penalty", 1), ("penalty", 10), ("climbing", 11)]
)
def test_mixing_the_best_joint_actions_loses_in_multi_modal_games(name, best):
    game = tabular_game(name)
    optimal = optimal_actions(game)
    assert optimal_values(game).max() == best
    joint = game.joint_actions[optimal[0]]
    local = torch.stack(
        [torch.bincount(joint[:, i], minlength=game.n_actions) / len(joint) for i in range(2)]
    )
    mixed = policy_values(game, joint_policy(game, local.unsqueeze(0))).item()
    expected = {"xor": 0.5, "xor-penalty": 0.0, "penalty": 0.0, "climbing": 11.0}[name]
    assert mixed == pytest.approx(expected)


def test_episodes_are_all_there_with_their_ends_and_padding():
    game = bridge_game()
    allowed = optimal_actions(game)
    data = enumerate_episodes(game, allowed)
    mask = data["collector", "mask"]
    returns = (data["next", "reward"].squeeze(-1) * mask * 0.99 ** torch.arange(data.shape[1])).sum(-1)
    best = optimal_values(game)[game.start].max().float()
    torch.testing.assert_close(returns, best.expand_as(returns))
    lengths = mask.sum(-1)
    assert len(data) >= 2 and all(data["next", "terminated"][i, n - 1] for i, n in enumerate(lengths))
    assert data["next", "done"].squeeze(-1)[~mask].all()
    firsts = {tuple(a) for a in data["agents", "action"][:, 0].tolist()}
    assert firsts == {(LEFT, LEFT), (RIGHT, RIGHT)}
    again = make_tabular_env("bridge", num_envs=len(data))
    now = again.reset()
    for t in range(int(lengths.min())):  # the environment plays them back
        now["agents", "action"] = data["agents", "action"][:, t]
        after = again.step(now)["next"]
        torch.testing.assert_close(after["reward"], data["next", "reward"][:, t])
        torch.testing.assert_close(after["state"], data["next", "state"][:, t])
        now = after.exclude("reward")


def test_long_episodes_are_truncated():
    game = bridge_game(max_steps=3)
    only_stay = torch.zeros_like(game.terminal)
    only_stay[:, 0] = True
    data = enumerate_episodes(game, only_stay)
    assert data.shape == (1, 3) and data["next", "truncated"].flatten().tolist() == [False, False, True]
    assert not data["next", "terminated"].any()


def test_bad_input():
    with pytest.raises(ValueError, match=r"shape \(2, 3\); expected a square"):
        matrix_game([[1, 2, 3], [4, 5, 6]])
    game = tabular_game("xor")
    with pytest.raises(ValueError, match="state 0 is reached but has no allowed action"):
        enumerate_episodes(game, torch.zeros_like(game.terminal))
    with pytest.raises(ValueError, match="more than 2 episodes"):
        enumerate_episodes(game, torch.ones_like(game.terminal), limit=2)
    env = TabularTeamEnv(game, num_envs=2)
    env.reset()
    with pytest.raises(DataError, match=r"lies in \[0, 5\]; expected \[0, 1\]"):
        env.step(TensorDict({"agents": {"action": torch.tensor([[0, 5], [1, 1]])}}, [2]))
    with pytest.raises(ValueError, match="num_envs, agents"):
        env.step(TensorDict({"agents": {"action": torch.zeros(2, 3, dtype=torch.long)}}, [2]))


def test_tmaze_shows_the_sign_once_and_pays_at_the_end():
    env = make_tabular_env("tmaze", num_envs=64, seed=0)
    now = env.reset()
    signs = now["agents", "observation"][..., :2].argmax(-1)
    assert {tuple(one) for one in signs.tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert torch.equal(now["state"][:, :2].long(), signs)
    for time in range(4):
        observation = now["agents", "observation"]
        assert (observation[..., :2].sum(-1) == (time == 0)).all()
        torch.testing.assert_close(observation[..., 2], torch.full((64, 2), time / 3))
        action = torch.randint(2, (64, 2))
        now["agents", "action"] = action
        after = env.step(now)["next"]
        right = (action == signs).float()
        paid = right[:, 0] + 4 * right[:, 1] if time == 3 else torch.zeros(64)
        torch.testing.assert_close(after["reward"].squeeze(-1), paid)
        assert (after["terminated"] == (time == 3)).all()
        now = after.exclude("reward")


def test_starts_follow_the_seed():
    def first(seed):
        return make_tabular_env("tmaze", num_envs=32, seed=seed).reset()["state"]

    assert torch.equal(first(3), first(3)) and not torch.equal(first(3), first(4))
    env = make_tabular_env("tmaze", num_envs=2, seed=0)
    assert len({str(env.reset()["state"].tolist()) for _ in range(20)}) > 2
    episodes = enumerate_episodes(tabular_game("tmaze"), optimal_actions(tabular_game("tmaze")))
    assert len(episodes) == 4 * 4**3  # from each start; what is done in the corridor does not matter


def test_two_step_game_by_hand():
    game = tabular_game("two-step")
    assert game.next_state[0].tolist() == [1, 1, 2, 2] and not game.terminal[0].any()
    assert game.reward[2].tolist() == [0, 1, 1, 8] and game.terminal[1:].all()
    assert optimal_values(game)[0].tolist() == pytest.approx([0.99 * 7] * 2 + [0.99 * 8] * 2)
    with pytest.raises(ValueError, match="corridor is 0; expected at least 1"):
        tmaze_game(corridor=0)
