"""The costly functions of SMAX, computed for all units at once: equal up to rounding, and faster.

The package describes what one unit sees of another and maps this over all pairs, feature by
feature. On a CPU this takes most of the time of a reset, and where there are many units of a
step. Here the two teams are computed apart as well, so that the compiler drops what nobody reads:
the opponents' observations after a step, and the team's before it.

Where dozens of units push each other, the sums over them are rounded in another order than the
package's, and pushes amplify that: games go on as likely, but not digit by digit. With few units
nothing differs.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

Array = Any  # a jax.Array: JAX is optional


def make_fast(smax: Any) -> None:
    """Replace the slow functions of a game.

    Args:
        smax: a ``SMAX`` of jaxmarl, before its first use.
    """
    smax.get_obs_unit_list = functools.partial(unit_list, smax)
    smax.get_world_state = functools.partial(world_state, smax)
    smax._push_units_away = functools.partial(push_apart, smax)


def unit_list(smax: Any, game: Any) -> dict[str, Array]:
    """Observations of every unit: its team, its opponents, itself.

    Args:
        smax: the rules.
        game: the state of one game.

    Returns:
        For every unit `[O]`.
    """
    team = np.arange(smax.num_allies)
    # Opponents count all units from the last to the first.
    enemies = np.arange(smax.num_agents - 1, smax.num_allies - 1, -1)
    known = _described(smax, game)
    own = _own(smax, game, known)
    allied = _seen(smax, game, known, own, team, enemies[::-1])
    # In the order of their numbers.
    hostile = _seen(smax, game, known, own, enemies, team[::-1])[::-1]
    units = [*allied, *hostile]
    return dict(zip(smax.agents, units, strict=True))


def world_state(smax: Any, game: Any) -> Array:
    """The state `[S]`: every unit, then the units' teams and types."""
    import jax.numpy as jnp

    numbers = [
        (game.unit_health / smax.unit_type_health[game.unit_types])[:, None],
        game.unit_positions,
        game.unit_weapon_cooldowns[:, None],
        _type_bits(smax, game),
    ]
    units = jnp.where(game.unit_alive[:, None], jnp.concatenate(numbers, -1), 0.0)
    return jnp.concatenate([units.reshape(-1), game.unit_teams, game.unit_types])


def push_apart(smax: Any, game: Any) -> Any:
    """The game after units that overlap have pushed each other away.

    Args:
        smax: the rules.
        game: the state of one game.
    """
    import jax
    import jax.numpy as jnp

    x, y = game.unit_positions[:, 0], game.unit_positions[:, 1]
    dx, dy = x[None] - x[:, None], y[None] - y[:, None]
    # The maximum, of what is not negative anyway, keeps the compiler from fusing the product
    # with the sum, which would round otherwise than the package does.
    squares = jnp.maximum(dx * dx, 0.0) + jnp.maximum(dy * dy, 0.0)
    distance = jnp.sqrt(squares) + jnp.identity(smax.num_agents) + 1e-6
    radius = smax.unit_type_radiuses[game.unit_types]
    overlap = jax.nn.relu((radius[:, None] + radius) / distance - 1.0)
    both = game.unit_alive[:, None] & game.unit_alive
    overlap = jnp.where(both, overlap, 0.0)
    push = jnp.stack([(dx * overlap).sum(0), (dy * overlap).sum(0)], -1) / 2
    moved = jnp.where(game.unit_alive[:, None], game.unit_positions + push, game.unit_positions)
    return game.replace(unit_positions=moved)


def _type_bits(smax: Any, game: Any) -> Array:
    import jax.numpy as jnp

    return (game.unit_types[:, None] == np.arange(smax.unit_type_bits)).astype(jnp.float32)


def _described(smax: Any, game: Any) -> dict[str, Array]:
    """The features of the units that do not depend on who looks, each `[units, F]`."""
    import jax.numpy as jnp

    actions = np.repeat(
        [smax.num_ally_actions - 1, smax.num_enemy_actions - 1], [smax.num_allies, smax.num_enemies]
    )
    attack = game.prev_attack_actions.astype(jnp.float32) / actions.astype(np.float32)
    cooldown = game.unit_weapon_cooldowns / smax.unit_type_weapon_cooldowns[game.unit_types]
    return {
        "health": (game.unit_health / smax.unit_type_health[game.unit_types])[:, None],
        "actions": jnp.concatenate([game.prev_movement_actions, attack[:, None]], -1),
        "cooldown": jnp.clip(cooldown, 0.0, 1.0)[:, None],
        "type": _type_bits(smax, game),
    }


def _own(smax: Any, game: Any, known: dict[str, Array]) -> Array:
    """Features of the units in their own observations `[units, F]`."""
    import jax.numpy as jnp

    place = game.unit_positions / np.array([smax.map_width, smax.map_height], np.float32)
    numbers = jnp.concatenate([known["health"], place, known["cooldown"], known["type"]], -1)
    return jnp.where(game.unit_alive[:, None], numbers, 0.0)


def _seen(smax: Any, game: Any, known: dict[str, Array], own: Array, team: Array, foes: Array) -> Array:
    """Observations of the units `team` `[team, O]`, in the order in which they count `team` and `foes`."""
    import jax.numpy as jnp

    size = len(team)
    mates = np.stack([np.delete(team, place) for place in range(size)]).astype(int)
    parts = [
        _pairs(smax, game, known, team, mates, True),
        _pairs(smax, game, known, team, np.broadcast_to(foes, (size, len(foes))), smax.see_enemy_actions),
    ]
    flat = [part.reshape(size, -1) for part in parts]
    return jnp.concatenate([*flat, own[team]], -1)


def _pairs(
    smax: Any, game: Any, known: dict[str, Array], who: Array, whom: Array, see_actions: bool
) -> Array:
    """Features of `whom` `[W, M]` in the observations of the units `who` `[W]`: `[W, M, F]`."""
    import jax.numpy as jnp

    away = game.unit_positions[whom] - game.unit_positions[who][:, None]
    sight = smax.unit_type_sight_ranges[game.unit_types[who]][:, None]
    visible = (jnp.linalg.norm(away, axis=-1) < sight) & game.unit_alive[who][:, None] & game.unit_alive[whom]
    actions = known["actions"] if see_actions else jnp.zeros_like(known["actions"])
    before, after = known["health"], jnp.concatenate([actions, known["cooldown"], known["type"]], -1)
    numbers = jnp.concatenate([before[whom], away / sight[..., None], after[whom]], -1)
    return jnp.where(visible[..., None], numbers, 0.0)
