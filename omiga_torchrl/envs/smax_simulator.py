"""Many SMAX games in JAX, stepped and reset by one compiled function each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from omiga_torchrl.envs.smax_fast import make_fast
from omiga_torchrl.envs.smax_maps import find_scenario, import_smax
from omiga_torchrl.envs.smax_records import Games, Outcome, Seen, Shown

Array = Any  # a jax.Array: JAX is optional


class SmaxProgram:
    """The compiled functions of one map; they compile once for each number of games.

    Args:
        name: the map.
        options: arguments of jaxmarl's ``HeuristicEnemySMAX``.
    """

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        import jax

        self.smax = import_smax().HeuristicEnemySMAX(scenario=find_scenario(name), **options)
        make_fast(self.smax._env)
        self.step: Callable[..., Outcome] = jax.jit(self._step_all)
        self.reset: Callable[..., tuple[Games, Shown]] = jax.jit(self._reset_all)

    def before_reset(self, num_envs: int) -> Games:
        """Games that are over: they stand still until they are reset."""
        import jax
        import jax.numpy as jnp

        one = jax.eval_shape(self._new_game, jax.random.PRNGKey(0))
        games: Games = jax.tree.map(lambda entry: jnp.zeros((num_envs, *entry.shape), entry.dtype), one)
        return games._replace(seen=games.seen._replace(done=jnp.ones(num_envs, bool)))

    def _step_all(self, games: Games, action: Array, chosen: Array, limit: Array) -> Outcome:
        import jax

        chosen = chosen & ~games.seen.done
        moved, reward = jax.vmap(self._step, (0, 0, None))(games, action, limit)
        after = _where(chosen, moved, games)
        shown = _shown(after.seen, jax.numpy.where(chosen, reward, 0.0))
        just_ended = (after.seen.done & chosen).any()
        ready = after.seen.done & just_ended
        # A reset follows nearly every step of many games: in one program with the step it costs less.
        fresh, fresh_shown = jax.lax.cond(
            just_ended, self._reset_all, lambda same, _: (same, shown), after, ready
        )
        return Outcome(after, shown, ready, fresh, fresh_shown)

    def _reset_all(self, games: Games, chosen: Array) -> tuple[Games, Shown]:
        import jax

        after = _where(chosen, jax.vmap(self._new_game)(games.key), games)
        return after, _shown(after.seen, jax.numpy.zeros_like(after.seen.episode_return))

    def _new_game(self, key: Array) -> Games:
        import jax

        key, used = jax.random.split(key)
        observations, game = self.smax.reset(used)
        return Games(game, key, self._see(observations, game, np.float32(0), np.int32(0), np.int32(1)))

    def _step(self, games: Games, action: Array, limit: Array) -> tuple[Games, Array]:
        import jax

        key, used = jax.random.split(games.key)
        actions = dict(zip(self.smax.agents, action, strict=True))
        observations, game, rewards, _, _ = self.smax.step_env(used, games.game, actions)
        # All agents are given the reward of the team.
        reward = rewards[self.smax.agents[0]]
        so_far, steps = games.seen.episode_return + reward, games.seen.step_count + 1
        return Games(game, key, self._see(observations, game, so_far, steps, limit)), reward

    def _see(self, observations: Any, game: Any, so_far: Array, steps: Array, limit: Array) -> Seen:
        import jax.numpy as jnp

        smax, alive = self.smax, game.state.unit_alive
        team, enemies = alive[: smax.num_allies].any(), alive[smax.num_allies :].any()
        legal = smax.get_avail_actions(game)
        terminated, truncated = ~team | ~enemies, steps >= limit
        return Seen(
            observation=jnp.stack([observations[agent] for agent in smax.agents]),
            state=observations["world_state"],
            action_mask=jnp.stack([legal[agent] for agent in smax.agents]).astype(bool),
            episode_return=jnp.asarray(so_far, jnp.float32),
            step_count=jnp.asarray(steps, jnp.int32),
            done=terminated | truncated,
            terminated=terminated,
            truncated=jnp.asarray(truncated),
            win=team & ~enemies,
        )


def _shown(seen: Seen, reward: Array) -> Shown:
    import jax.numpy as jnp

    numbers = jnp.stack([reward, seen.episode_return, seen.step_count.astype(jnp.float32)])
    flags = jnp.stack([seen.done, seen.terminated, seen.truncated, seen.win])
    return Shown(
        *(seen.observation, seen.state, seen.action_mask),
        numbers=numbers[..., None],
        flags=flags[..., None],
    )


def _where(chosen: Array, new: Games, old: Games) -> Games:
    """The chosen games `[B]` from `new`, the others from `old`."""
    import jax
    import jax.numpy as jnp

    def select(one: Array, other: Array) -> Array:
        return jnp.where(chosen.reshape(-1, *[1] * (other.ndim - 1)), one, other)

    selected: Games = jax.tree.map(select, new, old)
    return selected


def _find_program(name: str, options: dict[str, Any]) -> SmaxProgram:
    try:
        return _cached_program(name, tuple(sorted(options.items())))
    except TypeError:  # arrays are no keys of a cache
        return SmaxProgram(name, options)


@functools.lru_cache(maxsize=8)
def _cached_program(name: str, options: tuple[tuple[str, Any], ...]) -> SmaxProgram:
    return SmaxProgram(name, dict(options))


class SmaxSimulator:
    """Games of one map, and their random streams.

    Args:
        name: the map.
        num_envs: number of games B.
        max_steps: steps after which a game is truncated.
        options: arguments of jaxmarl's ``HeuristicEnemySMAX``.
    """

    def __init__(self, name: str, num_envs: int, max_steps: int, options: dict[str, Any]) -> None:
        import jax

        # Games are small: an accelerator only adds delays.
        self._device = jax.devices("cpu")[0]
        with jax.default_device(self._device):
            self.program = _find_program(name, options)
            games = self.program.before_reset(num_envs)
        # Committed: whatever is computed from them stays on this device.
        self.games: Games = jax.device_put(games, self._device)
        self.smax = self.program.smax
        self.num_envs = num_envs
        self._limit = np.int32(max_steps)
        self._outcome: Outcome | None = None

    def seed(self, seed: int | None) -> None:
        """New random streams; the first streams do not depend on their number."""
        import jax

        seeds = np.random.SeedSequence(seed).generate_state(self.num_envs)
        with jax.default_device(self._device):
            keys = jax.vmap(jax.random.PRNGKey)(seeds)
        self.games, self._outcome = self.games._replace(key=jax.device_put(keys, self._device)), None

    def step(self, action: npt.NDArray[np.int32], chosen: npt.NDArray[np.bool_]) -> Shown:
        """One step of the chosen games that are not over.

        Args:
            action: the agents' actions `[B, N]`.
            chosen: which games may move `[B]`.
        """
        outcome = self.program.step(self.games, action, chosen, self._limit)
        self.games, self._outcome = outcome.games, outcome
        return outcome.shown

    def reset(self, chosen: npt.NDArray[np.bool_]) -> Shown:
        """New games in place of the chosen ones `[B]`."""
        outcome, self._outcome = self._outcome, None
        if outcome is not None and np.array_equal(outcome.ready, chosen):
            self.games = outcome.next_games
            return outcome.next_shown
        self.games, shown = self.program.reset(self.games, chosen)
        return shown
