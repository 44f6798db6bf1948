"""Data, gradients and fixed random draws for tests of losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.objectives import LossModule

from omiga_torchrl.specs import TeamSpec

CONTINUOUS = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
"""A team of three with continuous actions."""
DISCRETE = TeamSpec(n_agents=3, observation_size=5, action_size=4, state_size=7, discrete=True, masked=True)
"""A team of three with discrete actions, some of them illegal."""
SPECS = pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
"""Runs a test for both."""


def losses_of(out: TensorDictBase) -> dict[str, Tensor]:
    """The entries ``loss_*`` of a loss's output.

    Args:
        out: the output.
    """
    return {key: value for key, value in out.items() if key.startswith("loss_")}


def gradients(loss: LossModule) -> dict[str, Tensor]:
    """A copy of the gradients of a loss's parameters, by name.

    Args:
        loss: the loss, after ``backward``.
    """
    return {name: p.grad.clone() for name, p in loss.named_parameters() if p.grad is not None}


def has_targets(loss: LossModule) -> bool:
    """True if the loss keeps target parameters.

    Args:
        loss: the loss.
    """
    return any(name.startswith("target_") for name, _ in loss.named_buffers())


def keyword_arguments(loss: LossModule, data: TensorDictBase) -> dict[str, Any]:
    """The entries of ``data`` as arguments of a keyword call.

    Args:
        loss: gives the keys.
        data: a batch.
    """
    return {key if isinstance(key, str) else "_".join(key): data[key] for key in loss.in_keys}


def expand_rows(rows: Tensor, data: TensorDictBase) -> Tensor:
    """One flag a row of ``data``, as one flag an entry of its batch dimensions.

    Args:
        rows: flags ``[B]``.
        data: a batch ``[B, ...]``.
    """
    return rows.reshape(-1, *[1] * (data.batch_dims - 1)).expand(data.batch_size)


def sequences(spec: TeamSpec, *batch: int, time: int = 4) -> TensorDictBase:
    """Random sequences ``[*batch, time]`` of one episode each: only the last step may be an end.

    Args:
        spec: sizes of the task.
        batch: batch dimensions before time.

    Keyword Args:
        time: number of steps.

    Examples:
        >>> sequences(CONTINUOUS, 8).batch_size
        torch.Size([8, 4])
    """
    data = spec.fake_batch(*batch, time)
    for key in ("done", "terminated"):
        data["next", key][..., :-1, :] = False
    data["next", "terminated"][..., -1, :] = torch.rand(*batch, 1) < 0.5
    data["next", "done"][..., -1, :] = True
    return data


def permute_agents(data: TensorDictBase, order: Tensor) -> TensorDictBase:
    """The same data with the agents in another order.

    Args:
        data: a flat batch.
        order: a permutation of the agents.
    """
    out = data.clone()
    for key in ("agents", ("next", "agents")):
        for name, value in data[key].items():
            out[key][name] = value[:, order]
    return out


def assert_actions_unread(loss: Any, data: TensorDictBase, first: int) -> None:
    """Raise an AssertionError if values of the discrete actions from number ``first`` on change anything.

    Args:
        loss: a loss whose Q network ends in four values.
        data: a batch.
        first: the first action to be changed.
    """
    expected = loss(data)
    with torch.no_grad():
        for params in (loss.qvalue_network_params, loss.target_qvalue_network_params):
            biases = [value for value in params.values(True, True) if value.shape == (4,)]
            assert biases
            for value in biases:
                value.data[first:] += 100.0
    for key, value in loss(data).items():
        torch.testing.assert_close(value, expected[key], msg=str(key))


@contextmanager
def without_shape_checks() -> Iterator[None]:
    """Inside, jaxtyping's checks of kernels are off: what they wrap does not compile in one graph."""
    try:
        from jaxtyping import config
    except ModuleNotFoundError:
        yield
        return
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)


@contextmanager
def fixed_noise() -> Iterator[None]:
    """Every draw inside gives the same number, so that batches of other shapes can be compared."""

    def like(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return torch.full_like(x, 0.3)

    def full(*size: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        flat = size[0] if size and not isinstance(size[0], int) else size
        return torch.full(tuple(flat), 0.3, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("randn_like", "rand_like"):
            patch.setattr(torch, name, like)
        for name in ("randn", "rand"):
            patch.setattr(torch, name, full)
        for name in ("uniform_", "normal_"):
            patch.setattr(Tensor, name, lambda x, *args, **kwargs: x.fill_(0.3))
        yield


def with_fixed_noise(loss: LossModule) -> LossModule:
    """``loss`` with :func:`fixed_noise` inside of ``forward`` and of every term.

    Args:
        loss: a :class:`omiga_torchrl.objectives.TeamLoss`; it is changed and returned.
    """

    def steady(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with fixed_noise():
                return method(*args, **kwargs)

        return call

    for name in ("forward", *(f"{term}_loss" for term in cast(Any, loss).terms)):
        object.__setattr__(loss, name, steady(getattr(loss, name)))
    return loss
