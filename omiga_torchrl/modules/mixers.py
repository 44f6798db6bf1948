"""Mixers: local values of the agents and the state in, one value of the team out.

All derive from TorchRL's ``Mixer``, so that :class:`torchrl.objectives.QMixerLoss`
accepts them too. A mixer that is linear in the local values also exposes its
weights and bias, which OMIGA and ICQ need: ``mixer.weights(state)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from tensordict import NestedKey
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torch.nn import functional as F
from torchrl.modules import MLP
from torchrl.modules.models.multiagent import Mixer

from omiga_torchrl import keys
from omiga_torchrl.deprecation import renamed_arguments
from omiga_torchrl.functional import mix_linearly
from omiga_torchrl.modules.networks import on_rows


class TeamMixer(Mixer):
    """Base class of the mixers.

    ``mixer(local_value [*B, N, 1], state [*B, S]) -> [*B, 1]``. Local values may have further
    dimensions in front, of an ensemble or of samples, ``[*E, *B, N, 1] -> [*E, *B, 1]``; the state
    is read once for all of them. Linear mixers set ``linear = True`` and implement :meth:`weights`;
    the others implement :meth:`mix`.

    Args:
        n_agents: number of agents N.
        state_size: features S of the state; 0 if the mixer does not read it.
    """

    linear = False

    def __init__(self, n_agents: int, state_size: int) -> None:
        super().__init__(
            n_agents=n_agents, needs_state=state_size > 0, state_shape=(state_size,), device=None
        )

    def weights(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Weight ``[*B, N, 1]`` (>= 0) of every agent and bias ``[*B, 1]``.

        Raises:
            TypeError: if the mixer is not linear, so that no weights exist.
        """
        raise TypeError(
            f"{type(self).__name__}: is not linear in the local values, so it has no weights; "
            "expected a linear mixer. Use LinearMixer or VDNMixer."
        )

    def mix(self, chosen_action_value: Tensor, state: Tensor) -> Tensor:
        """Mix local values ``[*E, *B, N, 1]`` into the team's ``[*E, *B, 1]``, states ``[*B, S]``."""
        weight, bias = self.weights(state)
        local = chosen_action_value.squeeze(-1)
        return mix_linearly(local, weight.squeeze(-1), bias.squeeze(-1)).unsqueeze(-1)

    def as_weight_module(
        self,
        *,
        state: NestedKey = keys.STATE,
        weight: NestedKey = keys.MIXER_WEIGHT,
        bias: NestedKey = keys.MIXER_BIAS,
    ) -> TensorDictModule:
        """A TensorDictModule ``state -> (mixer_weight, mixer_bias)``, as the losses take it."""
        if not self.linear:
            self.weights(torch.empty(0))
        return TensorDictModule(self, in_keys=[state], out_keys=[weight, bias], method="weights")

    def as_value_module(
        self,
        *,
        local: NestedKey = (keys.GROUP, "chosen_action_value"),
        state: NestedKey = keys.STATE,
        out: NestedKey = "chosen_action_value",
    ) -> TensorDictModule:
        """A TensorDictModule ``(local value, state) -> team value``, as ``QMixerLoss`` takes it."""
        in_keys = [local, state] if self.needs_state else [local]
        return TensorDictModule(self, in_keys=in_keys, out_keys=[out])


def hidden_layers(component: str, in_features: int, hidden_sizes: Sequence[int]) -> MLP:
    """The hidden layers that all heads of a module share, each with a ReLU.

    Args:
        component: whose they are, for the message.
        in_features: size of the input.
        hidden_sizes: sizes of the layers.

    Raises:
        ValueError: there is none.

    Examples:
        >>> hidden_layers("LinearMixer", 7, (16, 8))(torch.zeros(4, 7)).shape
        torch.Size([4, 8])
    """
    if not hidden_sizes:
        raise ValueError(
            f"{component}: hidden_sizes is {hidden_sizes!r}; expected the size of at least one hidden layer, "
            "e.g. (64,)."
        )
    *inner, last = hidden_sizes
    return MLP(in_features, last, num_cells=inner, activation_class=nn.ReLU, activate_last_layer=True)


class LinearMixer(TeamMixer):
    """Q_tot = sum_i w_i(s) Q_i + b(s) with w_i(s) >= 0 (OMIGA 2023, section 3.2).

    One hidden layer reads the state; ``w`` is the absolute value of one linear head,
    ``b`` is another, unconstrained. Weights are not normalised.

    Args:
        n_agents: number of agents N.
        state_size: features S of the state.

    Keyword Args:
        hidden_sizes: sizes of the hidden layers. Default ``(64,)``, as published.

    Shapes: ``state [*B, S] -> weight [*B, N, 1], bias [*B, 1]``.

    Raises:
        ValueError: there is no hidden layer.

    Examples:
        >>> mixer = LinearMixer(n_agents=3, state_size=7)
        >>> weight, bias = mixer.weights(torch.zeros(8, 7))
        >>> weight.shape, bias.shape, bool((weight >= 0).all())
        (torch.Size([8, 3, 1]), torch.Size([8, 1]), True)
        >>> mixer(torch.zeros(8, 3, 1), torch.zeros(8, 7)).shape
        torch.Size([8, 1])
    """

    linear = True

    @renamed_arguments(hidden="hidden_sizes")
    def __init__(self, n_agents: int, state_size: int, *, hidden_sizes: Sequence[int] = (64,)) -> None:
        super().__init__(n_agents, state_size)
        self.body = hidden_layers("LinearMixer", state_size, hidden_sizes)
        self.weight_head = nn.Linear(hidden_sizes[-1], n_agents)
        self.bias_head = nn.Linear(hidden_sizes[-1], 1)

    def weights(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Weight ``[*B, N, 1]`` (>= 0) of every agent and bias ``[*B, 1]``."""
        features = on_rows(self.body, state)
        return on_rows(self.weight_head, features).abs().unsqueeze(-1), on_rows(self.bias_head, features)


class VDNMixer(TeamMixer):
    """Q_tot = sum_i Q_i: weights one, bias zero (VDN, arXiv:1706.05296).

    Args:
        n_agents: number of agents N.

    Examples:
        >>> VDNMixer(n_agents=3)(torch.ones(8, 3, 1))[0]
        tensor([3.])
    """

    linear = True

    def __init__(self, n_agents: int) -> None:
        super().__init__(n_agents, state_size=0)

    def weights(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Ones ``[*B, N, 1]`` and zeros ``[*B, 1]``, shaped and typed after ``state [*B, S]``."""
        batch = state.shape[:-1]
        return state.new_ones(*batch, self.n_agents, 1), state.new_zeros(*batch, 1)

    def mix(self, chosen_action_value: Tensor, state: Tensor) -> Tensor:
        """The sum over agents."""
        return chosen_action_value.sum(-2)


class QMIXMixer(TeamMixer):
    """Monotonic two-layer hypernetwork mixer (QMIX, arXiv:1803.11485, equations 4-5).

    ``Q_tot = |W2(s)|^T elu(|W1(s)|^T q + b1(s)) + v(s)``. TorchRL's ``QMixer`` has
    one-layer weight hypernetworks and needs a contiguous state; here the number of
    hypernetwork layers is free and any strides work.

    Args:
        n_agents: number of agents N.
        state_size: features S of the state.

    Keyword Args:
        embedding: width of the mixing layer. Default 32.
        hyper_hidden: hidden sizes of the weight hypernetworks. Default ``(64,)``.

    Examples:
        >>> QMIXMixer(3, 7)(torch.zeros(8, 3, 1), torch.zeros(8, 7)).shape
        torch.Size([8, 1])
    """

    def __init__(
        self,
        n_agents: int,
        state_size: int,
        *,
        embedding: int = 32,
        hyper_hidden: Sequence[int] = (64,),
    ) -> None:
        super().__init__(n_agents, state_size)
        self.embedding = embedding
        hyper = {"num_cells": list(hyper_hidden), "activation_class": nn.ReLU}
        self.first_weight = MLP(state_size, n_agents * embedding, **hyper)
        self.first_bias = nn.Linear(state_size, embedding)
        self.second_weight = MLP(state_size, embedding, **hyper)
        self.state_value = MLP(state_size, 1, num_cells=[embedding], activation_class=nn.ReLU)

    def mix(self, chosen_action_value: Tensor, state: Tensor) -> Tensor:
        """Mix local values ``[*E, *B, N, 1]`` into the team's ``[*E, *B, 1]``, states ``[*B, S]``."""
        batch = state.shape[:-1]
        first = on_rows(self.first_weight, state).abs().unflatten(-1, (self.n_agents, self.embedding))
        # Further dimensions become rows of one product with each state's weights.
        further = math.prod(chosen_action_value.shape[: -state.ndim - 1])
        local = chosen_action_value.reshape(further, *batch, self.n_agents).movedim(0, -2)
        hidden = F.elu(local @ first + on_rows(self.first_bias, state).unsqueeze(-2))
        second = on_rows(self.second_weight, state).abs().unsqueeze(-2)
        mixed = (hidden * second).sum(-1, keepdim=True) + on_rows(self.state_value, state).unsqueeze(-2)
        return mixed.movedim(-2, 0).reshape(*chosen_action_value.shape[:-2], 1)
