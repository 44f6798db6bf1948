"""SMAX as a TorchRL environment: the package's own numbers, masks, ends, resets, seeds."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torchrl.envs import check_env_specs

from omiga_torchrl.behaviors import load_behaviour
from omiga_torchrl.data import bundled_behaviours, record_episodes
from omiga_torchrl.envs import make_env
from omiga_torchrl.envs.smax_maps import find_scenario, import_smax
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.specs import TeamSpec

jax = pytest.importorskip("jax")
if importlib.util.find_spec("jaxmarl") is None:
    pytest.skip("jaxmarl is missing", allow_module_level=True)

ACTION, MASK = ("agents", "action"), ("agents", "action_mask")
OBSERVATION = ("agents", "observation")
STOP = 4
# Functions compile once for each number of games: all tests play as many.
GAMES = 16


def make(**options):
    return make_env("smax/3m", num_envs=GAMES, **{"seed": 0, **options})


@pytest.fixture(scope="module")
def rollout():
    """What random players meet."""
    torch.manual_seed(0)
    return make().rollout(150, break_when_any_done=False)


def test_specs_and_sizes():
    env = make()
    check_env_specs(env)
    assert TeamSpec.from_env(env) == TeamSpec(3, 75, 8, 72, True, True, 0.0, 0.0)
    assert env.reward_keys == ["reward"] and env.task_name == "smax/3m"


def own_steps(name, games, chosen_actions):
    """The package's own environment from the same states with the same keys, one step each."""
    smax = import_smax().HeuristicEnemySMAX(scenario=find_scenario(name))

    @jax.jit
    @jax.vmap
    def step(key, game, action):
        actions = dict(zip(smax.agents, action, strict=True))
        seen, game, rewards, done, _ = smax.step_env(jax.random.split(key)[1], game, actions)
        return seen, rewards, done["__all__"], smax.get_avail_actions(game)

    for before, action in zip(games, chosen_actions, strict=True):
        seen, rewards, done, legal = step(before.key, before.game, action.int().numpy())
        by_agent = [[part[agent] for agent in smax.agents] for part in (seen, legal)]
        observation, mask = (np.stack([np.asarray(one) for one in part], 1) for part in by_agent)
        yield observation, mask, np.asarray(seen["world_state"]), np.asarray(rewards["ally_0"]), done


def play(env, steps, act):
    """Games before each step, actions, and what the environment said after it."""
    data, games, actions, following = env.reset(), [], [], []
    for _ in range(steps):
        games.append(env.simulator.games)
        data = env.step(act(data))
        actions.append(data[ACTION])
        following.append(data["next"])
        data = env.maybe_reset(env.step_mdp(data))
    return games, actions, following


def compare_with_package(name, env, steps, share=1.0):
    games, actions, following = play(env, steps, env.rand_action)
    for ours, theirs in zip(following, own_steps(name, games, actions), strict=True):
        for key, expected in zip((OBSERVATION, MASK, "state", "reward", "done"), theirs, strict=True):
            found = ours[key].numpy()
            equal = np.isclose(found, np.asarray(expected).reshape(found.shape), atol=1e-6, rtol=1e-6)
            assert equal.mean() >= share, (key, equal.mean())
    return torch.stack(following, 1)


def test_steps_are_the_packages_own():
    torch.manual_seed(0)
    following = compare_with_package("3m", make(), 60)
    assert following["done"].any() and (following["reward"] > 0).any()


@pytest.mark.slow
# Where dozens of units lie on top of each other, pushes amplify the last digit.
@pytest.mark.parametrize(("name", "share"), [("2s3z", 1.0), ("2s_vs_64zg", 0.95), ("smacv2_5_units", 1.0)])
def test_steps_on_other_maps_are_the_packages_own(name, share):
    torch.manual_seed(0)
    env = make_env(f"smax/{name}", num_envs=4, seed=0)
    check_env_specs(env)
    compare_with_package(name, env, 40, share)


def test_first_observations_are_the_packages_own():
    env = make()
    key = env.simulator.games.key
    smax = import_smax().HeuristicEnemySMAX(scenario=find_scenario("3m"))
    seen, _ = jax.jit(jax.vmap(lambda one: smax.reset(jax.random.split(one)[1])))(key)
    data = env.reset()
    np.testing.assert_allclose(data["state"], seen["world_state"], atol=1e-6)
    np.testing.assert_allclose(data[OBSERVATION][:, 1], seen["ally_1"], atol=1e-6)


def test_random_actions_are_legal(rollout):
    chosen = rollout[MASK].gather(-1, rollout[ACTION].unsqueeze(-1))
    assert chosen.all()
    # All legal actions are drawn, those of attack where they are legal.
    counts = torch.bincount(rollout[ACTION].flatten(), minlength=8)
    assert (counts > 0).all() and counts[STOP] > counts[0]
    env = make()
    env.reset()
    assert (env.rand_action()[ACTION] <= STOP).all()  # at the start nobody is in range


def test_dead_agents_can_only_stop(rollout):
    dead = ~rollout[OBSERVATION].any(-1)
    assert dead.any()
    only_stop = torch.arange(8) == STOP
    assert (rollout[MASK][dead] == only_stop).all()
    assert rollout[MASK].any(-1).all()


def test_ends_rewards_and_returns(rollout):
    after = rollout["next"]
    done = after["done"].squeeze(-1)
    assert torch.equal(after["done"], after["terminated"] | after["truncated"]) and done.any()
    assert torch.equal(after["truncated"], after["step_count"] == 100)
    # The rows after an end begin a new game; the row of the end keeps the last observation.
    assert (rollout["step_count"][:, 1:][done[:, :-1]] == 0).all()
    assert (rollout["episode_reward"][:, 1:][done[:, :-1]] == 0).all()
    alive = after[OBSERVATION][done].any(-1)
    lost = after["terminated"][done].squeeze(-1) & ~after["win"][done].squeeze(-1)
    assert not alive[lost].any() and lost.any()
    returns = torch.zeros(GAMES)
    for step in range(rollout.shape[1]):
        returns += after["reward"][:, step, 0]
        torch.testing.assert_close(after["episode_reward"][:, step, 0], returns)
        returns[done[:, step]] = 0


def test_time_limits_truncate():
    env = make(max_steps=5)
    after = env.rollout(5)["next"]
    assert torch.equal(after["truncated"], after["step_count"] == 5) and after["truncated"][:, -1].all()
    assert not after["terminated"].any() and not after["win"].any()
    assert torch.equal(after["done"], after["truncated"])


def test_wins():
    env = make()
    policy = load_behaviour(bundled_behaviours("smax/3m")[-1])
    torch.manual_seed(0)
    after = env.rollout(120, policy, break_when_any_done=False)["next"]
    won = after["win"].squeeze(-1)
    assert won.any() and (after["terminated"].squeeze(-1)[won]).all()
    # Winning takes all of the opponents' health and gives 1 for it.
    torch.testing.assert_close(after["episode_reward"][won], torch.full((int(won.sum()), 1), 2.0))
    # Killing all without a survivor is no win.
    assert (after["episode_reward"][after["done"] & ~after["win"]] < 1.001).all()
    result = evaluate(policy, env, episodes=2 * GAMES, seed=0)
    assert torch.equal(result.won, result.returns > 1.5) and result.won.float().mean() > 0.7


def test_partial_resets_leave_the_others_alone():
    env = make()
    torch.manual_seed(0)
    data = env.step_mdp(env.rand_step(env.reset()))
    chosen = torch.zeros(GAMES, 1, dtype=torch.bool)
    chosen[3] = True
    before, games = data.clone(), env.simulator.games
    after = env.reset(data.set("_reset", chosen))
    same = torch.stack([(after[key] == before[key]).flatten(1).all(-1) for key in ("state", OBSERVATION)])
    assert torch.equal(same.all(0), ~chosen.flatten())
    kept = np.flatnonzero(~chosen.flatten().numpy())
    for new, old in zip(jax.tree.leaves(env.simulator.games), jax.tree.leaves(games), strict=True):
        np.testing.assert_array_equal(np.asarray(new)[kept], np.asarray(old)[kept])
    assert after["step_count"].flatten().tolist() == [int(game != 3) for game in range(GAMES)]


def test_resets_prepared_with_the_step_are_those_asked_for_later():
    torch.manual_seed(0)
    env, data = make(), None
    data = env.reset()
    while not data["done"].any():
        data = env.step_mdp(env.rand_step(data))
    games, chosen = env.simulator.games, data["done"].flatten().numpy()
    prepared = env.simulator.reset(chosen)
    asked_games, asked = env.simulator.program.reset(games, chosen)
    for one, other in zip(
        jax.tree.leaves((prepared, env.simulator.games)),
        jax.tree.leaves((asked, asked_games)),
        strict=True,
    ):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-6, atol=1e-6)


def test_a_game_that_is_over_stands_still_until_it_is_reset():
    env = make(max_steps=12)
    torch.manual_seed(0)
    data, ended = env.reset(), None
    for _ in range(14):
        data = env.rand_step(data)
        after = data["next"]
        if ended is not None:
            stood = ended["done"].flatten()
            for key in ("state", OBSERVATION, MASK, "step_count", "episode_reward", "terminated", "win"):
                assert torch.equal(after[key][stood], ended[key][stood])
            assert not after["reward"][stood].any()
        ended = after.clone()
        data = env.step_mdp(data)
    assert ended["done"].all() and (ended["step_count"] <= 12).all()


def test_partial_steps():
    env = make()
    data = env.rand_action(env.reset())
    moves = torch.arange(GAMES) % 2 == 0
    after = env.step(data.clone().set("_step", moves))["next"]
    assert torch.equal(after["step_count"].flatten(), moves.long())
    assert torch.equal((after["state"] == data["state"]).all(-1), ~moves)


def test_writing_into_results_does_not_reach_the_games():
    def last_state(spoil):
        env = make()
        data = env.reset()
        for _ in range(3):
            data = env.step(data.set(ACTION, torch.full((GAMES, 3), 1)))
            kept = data["next"].clone()
            if spoil:
                for value in data["next"].values(True, True):
                    value.fill_(1)
            data = kept
        return data

    assert (last_state(True) == last_state(False)).all()


def test_seeds():
    def states(seed, num_envs=GAMES):
        env = make_env("smax/3m", num_envs=num_envs, seed=seed)
        data, found = env.reset(), []
        for _ in range(20):
            action = torch.ones(num_envs, 3, dtype=torch.int64)
            data = env.maybe_reset(env.step_mdp(env.step(data.set(ACTION, action))))
            found.append(data["state"])
        return torch.stack(found)

    before = torch.random.get_rng_state()
    first = states(3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first, states(3))
    assert not torch.equal(first, states(4))
    assert not torch.equal(first[:, 0], first[:, 1])


def test_a_games_stream_does_not_depend_on_how_many_there_are():
    few = make_env("smax/3m", num_envs=2, seed=3).reset()["state"]
    torch.testing.assert_close(few, make(seed=3).reset()["state"][:2])


def test_set_seed_restarts():
    env = make()
    first = env.reset()["state"]
    assert not torch.equal(first, env.reset()["state"])
    env.set_seed(0)
    assert torch.equal(first, env.reset()["state"])


def test_recording_keeps_masks_and_the_last_observation():
    env = make(max_steps=20)
    played = record_episodes(None, env, episodes=2 * GAMES)
    assert len(played) == 2 * GAMES and played.action_mask.shape[1:] == (3, 8)
    assert len(played.observation) == played.steps + len(played)
    ends = np.cumsum(played.length) - 1
    np.testing.assert_array_equal(played.truncated[ends], played.length == 20)


def test_bad_actions():
    env = make()
    data = env.reset()
    with pytest.raises(DataError, match=r"'action'\) lies in \[0, 8\]; expected \[0, 7\]"):
        env.step(data.clone().set(ACTION, torch.tensor([0, 1, 8]).expand(GAMES, 3)))
    with pytest.raises(ValueError, match=r"has shape \(16, 3, 8\); expected .* = \(16, 3\)"):
        env.step(data.set(ACTION, torch.zeros(GAMES, 3, 8, dtype=torch.int64)))
