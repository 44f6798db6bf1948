"""Networks that all agents of a team share, or that each agent owns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchrl.modules import MLP

from omiga_torchrl.deprecation import NETWORK_NAMES, renamed_arguments

# From so many agents on, products with one-hot ids cost more than adding a column of weights for each agent.
_MANY_AGENTS = 16


def on_rows(module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The output of ``module`` for ``x [*B, F]``, evaluated on two dimensions, ``[*B, out]``.

    Linear layers with more dimensions compile to code that is 3-5 times slower on a CPU. The output has
    the precision of ``x``, under autocast, too.

    Args:
        module: ``[rows, F] -> [rows, out]``.
        x: its inputs; ``*B`` may be empty, as it is inside ``torch.func.vmap``.

    Examples:
        >>> on_rows(nn.Linear(4, 2), torch.zeros(8, 3, 4)).shape
        torch.Size([8, 3, 2])
    """
    out = module(x.reshape(-1, x.shape[-1]))
    return _as_precise(out.reshape(*x.shape[:-1], out.shape[-1]), x)


def _as_precise(out: Tensor, x: Tensor) -> Tensor:
    return out.to(torch.promote_types(out.dtype, x.dtype))


class AgentLinear(nn.Module):
    """One linear layer per agent, evaluated as a single batched product.

    Args:
        in_features: input features of every agent.
        out_features: output features of every agent.
        n_agents: number of agents N.

    Shapes: ``[N, batch, in_features] -> [N, batch, out_features]``.

    Examples:
        >>> AgentLinear(4, 2, n_agents=3)(torch.zeros(3, 8, 4)).shape
        torch.Size([3, 8, 2])
    """

    def __init__(self, in_features: int, out_features: int, n_agents: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_agents, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(n_agents, 1, out_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every agent's layer as :class:`torch.nn.Linear` draws its own."""
        bound = 1 / math.sqrt(self.weight.shape[-2])
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Apply agent i's layer to ``x[i]``."""
        return torch.baddbmm(self.bias, x, self.weight)


class AgentLayerNorm(nn.Module):
    """Layer normalisation with a scale and a shift of its own for every agent (arXiv:1607.06450).

    Args:
        features: features of every agent.
        n_agents: number of agents N.

    Shapes: ``[N, batch, features] -> [N, batch, features]``.

    Examples:
        >>> AgentLayerNorm(2, n_agents=3)(torch.tensor([0.0, 4.0]).expand(3, 1, 2))[0]
        tensor([[-1.0000,  1.0000]], grad_fn=<SelectBackward0>)
    """

    def __init__(self, features: int, n_agents: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_agents, 1, features))
        self.bias = nn.Parameter(torch.zeros(n_agents, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every row of ``x``."""
        return F.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


class AgentMLP(nn.Module):
    """An MLP applied to every agent, with one shared set of weights or one per agent.

    With shared weights a one-hot agent id is appended to the input, so that agents
    can differ (OMIGA 2023, networks of the released code). Under autocast the products
    are of low precision, the output is of the inputs' precision.

    Args:
        in_features: features per agent, over all inputs (without the id).
        out_features: output features per agent.
        n_agents: number of agents N.

    Keyword Args:
        hidden_sizes: sizes of the hidden layers. Default ``(256, 256)``.
        activation: activation class. Default :class:`torch.nn.ReLU`.
        layer_norm: normalise the features of every hidden layer before its activation, as critics of
            ReBRAC do (arXiv:2305.09836). Default ``False``.
        share_params: one network for all agents (default) or one per agent.
        agent_id: append the one-hot id; only with shared weights. Default ``True``.

    Shapes: each input ``[*B, N, F_k]`` with ``sum(F_k) = in_features``; output
    ``[*B, N, out_features]``.

    Raises:
        ValueError: if the inputs' agent or feature dimension does not fit.

    Examples:
        >>> network = AgentMLP(5, 1, n_agents=3, hidden_sizes=(16,))
        >>> network(torch.zeros(8, 3, 4), torch.zeros(8, 3, 1)).shape
        torch.Size([8, 3, 1])
    """

    @renamed_arguments(**NETWORK_NAMES)
    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_agents: int,
        *,
        hidden_sizes: Sequence[int] = (256, 256),
        activation: Callable[[], nn.Module] = nn.ReLU,
        layer_norm: bool = False,
        share_params: bool = True,
        agent_id: bool = True,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.n_agents = n_agents
        self.share_params = share_params
        self.agent_id = agent_id and share_params
        if share_params:
            width = in_features + (n_agents if self.agent_id else 0)
            norms = [{"normalized_shape": size} for size in hidden_sizes]
            self.body: nn.Module = MLP(
                width,
                out_features,
                num_cells=list(hidden_sizes),
                activation_class=activation,
                norm_class=nn.LayerNorm if layer_norm else None,
                norm_kwargs=norms if layer_norm else None,
            )
        else:
            sizes = [in_features, *hidden_sizes, out_features]
            layers: list[nn.Module] = []
            for size, next_size in itertools.pairwise(sizes):
                layers += [AgentLinear(size, next_size, n_agents)]
                layers += [AgentLayerNorm(next_size, n_agents)] if layer_norm else []
                layers += [activation()]
            self.body = nn.Sequential(*layers[: -2 if layer_norm else -1])

    def forward(self, *inputs: Tensor) -> Tensor:
        """Concatenate ``inputs`` on the feature dimension and apply the network."""
        x = inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1)
        if x.shape[-2:] != (self.n_agents, self.in_features):
            raise ValueError(
                f"AgentMLP: inputs have shape {[tuple(i.shape) for i in inputs]}; expected "
                f"[*batch, agents, features] with agents={self.n_agents} and "
                f"{self.in_features} features in all. Is the agent dimension at -2?"
            )
        return self._shared(x) if self.share_params else self._per_agent(x)

    def _shared(self, x: Tensor) -> Tensor:
        if not self.agent_id:
            return on_rows(self.body, x)
        if self.n_agents >= _MANY_AGENTS:
            return self._shared_by_many(x)
        ids = torch.eye(self.n_agents, dtype=x.dtype, device=x.device)
        return on_rows(self.body, torch.cat([x, ids.expand(*x.shape[:-1], self.n_agents)], -1))

    def _shared_by_many(self, x: Tensor) -> Tensor:
        """The same sums without products by zero: an id picks a column of the first layer's weights."""
        first, *rest = cast(nn.Sequential, self.body)
        weight, of_id = cast(nn.Linear, first).weight.split([self.in_features, self.n_agents], 1)
        hidden = on_rows(lambda rows: F.linear(rows, weight), x) + (of_id.T + cast(nn.Linear, first).bias)

        def others(rows: Tensor) -> Tensor:
            for layer in rest:
                rows = layer(rows)
            return rows

        return on_rows(others, hidden)

    def _per_agent(self, x: Tensor) -> Tensor:
        out = self.body(x.reshape(-1, *x.shape[-2:]).transpose(0, 1)).transpose(0, 1).contiguous()
        return _as_precise(out.reshape(*x.shape[:-1], out.shape[-1]), x)
