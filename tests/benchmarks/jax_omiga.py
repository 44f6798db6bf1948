"""OMIGA's gradient step in JAX, many of them as one compiled scan: a measure of how fast a step can be.

The variant ``"paper"`` of :class:`omiga_torchrl.objectives.OMIGALoss` for continuous actions in [-1, 1] with
the default networks, Adam, clipping of each parameter group and soft targets.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tensordict import TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.objectives import OMIGALoss

GAMMA, TAU, RATE, MAX_NORM, MAX_EXPONENT = 0.99, 0.005, 5e-4, 1.0, 10.0
BETAS, EPSILON = (0.9, 0.999), 1e-8
GROUPS = (("actor",), ("qvalue", "mixer"), ("value",))
_MLP = ("body.0", "body.2", "body.4")
_LAYERS = {"actor": _MLP, "qvalue": _MLP, "value": _MLP, "mixer": ("body.0", "weight_head", "bias_head")}

Network = list[tuple[jax.Array, jax.Array]]
State = dict[str, Any]
Batch = dict[str, jax.Array]
Losses = dict[str, jax.Array]


def state_of(loss: OMIGALoss) -> State:
    """The loss's parameters, as the state of a run that has made no step.

    Args:
        loss: of ``make_omiga`` with its default networks.
    """
    named = {name: value.detach().numpy().copy() for name, value in loss.named_parameters()}

    def network(name: str) -> Network:
        of_network = {key: value for key, value in named.items() if key.startswith(f"{name}_network")}
        layers: Network = []
        for layer in _LAYERS[name]:
            [weight] = [value for key, value in of_network.items() if key.endswith(f"{layer}.weight")]
            [bias] = [value for key, value in of_network.items() if key.endswith(f"{layer}.bias")]
            layers.append((jnp.asarray(weight), jnp.asarray(bias)))
        return layers

    params = {name: network(name) for name in _LAYERS}
    # Tensors of their own: the compiled program overwrites its state.
    first, second = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
    target = jax.tree.map(jnp.copy, params["qvalue"])
    return {"params": params, "target": target, "first": first, "second": second, "step": jnp.zeros(())}


def data_of(batch: TensorDictBase) -> Batch:
    """The entries of a batch that OMIGA reads."""
    entries = {
        "observation": keys.OBSERVATION,
        "action": keys.ACTION,
        "state": keys.STATE,
        "next_observation": keys.next_key(keys.OBSERVATION),
        "next_state": keys.next_key(keys.STATE),
        "reward": keys.next_key(keys.REWARD),
        "terminated": keys.next_key(keys.TERMINATED),
    }
    return {name: jnp.asarray(np.asarray(batch[key], np.float32)) for name, key in entries.items()}


def _mlp(layers: Network, x: jax.Array) -> jax.Array:
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight.T + bias)
    weight, bias = layers[-1]
    return x @ weight.T + bias


def _of_agents(layers: Network, *inputs: jax.Array) -> jax.Array:
    """The network of every agent `[B, N, F]`, which reads its one-hot number, too."""
    batch, agents = inputs[0].shape[:2]
    numbers = jnp.broadcast_to(jnp.eye(agents), (batch, agents, agents))
    x = jnp.concatenate([*inputs, numbers], -1)
    return _mlp(layers, x.reshape(batch * agents, -1)).reshape(batch, agents, -1)


def _weights(layers: Network, state: jax.Array) -> tuple[jax.Array, jax.Array]:
    (weight, bias), (to_weight, of_weight), (to_bias, of_bias) = layers
    hidden = jax.nn.relu(state @ weight.T + bias)
    return jnp.abs(hidden @ to_weight.T + of_weight), (hidden @ to_bias.T + of_bias)[:, 0]


def _log_density(layers: Network, observation: jax.Array, action: jax.Array) -> jax.Array:
    mean, log_std = jnp.split(_of_agents(layers, observation), 2, -1)
    mean, log_std = jnp.clip(mean, -9.0, 9.0), jnp.clip(log_std, -5.0, 2.0)
    before = jnp.arctanh(jnp.clip(action, -1 + 1e-7, 1 - 1e-7))
    normal = -0.5 * jnp.square((before - mean) / jnp.exp(log_std)) - log_std - 0.5 * np.log(2 * np.pi)
    return (normal - 2 * (np.log(2) - before - jax.nn.softplus(-2 * before))).sum(-1)


def _losses(params: dict[str, Network], target: Network, batch: Batch, alpha: float) -> Any:
    stop = jax.lax.stop_gradient
    observation, action = batch["observation"], batch["action"]
    q_target = _of_agents(target, observation, action)[..., 0]
    value = _of_agents(params["value"], observation)[..., 0]
    next_value = stop(_of_agents(params["value"], batch["next_observation"])[..., 0])
    weight, bias = _weights(params["mixer"], batch["state"])
    next_weight, next_bias = stop(_weights(params["mixer"], batch["next_state"]))
    detached = stop(weight)
    z = detached * (q_target - value) / alpha
    excess = jnp.maximum(z - MAX_EXPONENT, 0)
    exp_z = jnp.exp(z - excess) * (1 + excess)
    loss_value = (exp_z + detached * value / alpha).mean()
    qvalue = _of_agents(params["qvalue"], observation, action)[..., 0]
    total = (weight * qvalue).sum(-1) + bias
    next_total = (next_weight * next_value).sum(-1) + next_bias
    aim = batch["reward"][:, 0] + GAMMA * (1 - batch["terminated"][:, 0]) * next_total
    loss_qvalue = jnp.square(total - aim).mean()
    loss_actor = -(stop(exp_z) * _log_density(params["actor"], observation, action)).mean()
    losses = {"loss_value": loss_value, "loss_qvalue": loss_qvalue, "loss_actor": loss_actor}
    return loss_value + loss_qvalue + loss_actor, losses


def _clipped(gradients: dict[str, Network]) -> dict[str, Network]:
    found = {}
    for group in GROUPS:
        parts = {name: gradients[name] for name in group}
        norm = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(parts)))
        scale = jnp.minimum(MAX_NORM / (norm + 1e-6), 1.0)
        found.update(jax.tree.map(lambda leaf, scale=scale: leaf * scale, parts))
    return found


def _step(state: State, batch: Batch, alpha: float) -> tuple[State, Losses]:
    gradients, losses = jax.grad(_losses, has_aux=True)(state["params"], state["target"], batch, alpha)
    gradients, step = _clipped(gradients), state["step"] + 1
    first = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, state["first"], gradients)
    second = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, state["second"], gradients)
    rates = [1 - beta**step for beta in BETAS]
    params = jax.tree.map(
        lambda p, m, v: p - RATE * (m / rates[0]) / (jnp.sqrt(v / rates[1]) + EPSILON),
        *(state["params"], first, second),
    )
    target = jax.tree.map(lambda old, new: old + TAU * (new - old), state["target"], params["qvalue"])
    return {"params": params, "target": target, "first": first, "second": second, "step": step}, losses


@partial(jax.jit, static_argnames=("alpha",))
def on_batches(state: State, batches: Batch, alpha: float = 10.0) -> tuple[State, Losses]:
    """A step on each of given batches ``[steps, B, ...]``; the last state, and the losses of every step."""
    return jax.lax.scan(lambda now, batch: _step(now, batch, alpha), state, batches)


@partial(jax.jit, static_argnames=("steps", "batch_size", "alpha"), donate_argnums=0)
def on_data(
    state: State,
    key: jax.Array,
    data: Batch,
    *,
    steps: int,
    batch_size: int,
    alpha: float = 10.0,
) -> tuple[State, Losses]:
    """Steps on batches that the compiled program draws from ``data`` itself."""
    rows = len(data["reward"])

    def one(now: State, key: jax.Array) -> tuple[State, Losses]:
        index = jax.random.randint(key, (batch_size,), 0, rows)
        return _step(now, {name: entry[index] for name, entry in data.items()}, alpha)

    return jax.lax.scan(one, state, jax.random.split(key, steps))
