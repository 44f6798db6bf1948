"""Linear mixing in which the weights of Q follow those of V, as OMAC couples them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchrl.modules import MLP

from omiga_torchrl.deprecation import renamed_arguments
from omiga_torchrl.errors import require_number
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules.mixers import hidden_layers
from omiga_torchrl.modules.networks import on_rows
from omiga_torchrl.specs import TeamSpec

# softplus(x + _ONE) is one at x = 0: agents start with about equal credit.
_ONE = math.log(math.e - 1)


class CreditWeights(nn.Module):
    """The weights ``w_i(s) > 0`` of the agents' values in V_tot.

    Args:
        spec: sizes of the task.

    Keyword Args:
        hidden_sizes: sizes of the hidden layers.

    Shapes: ``state [*B, S] -> weight [*B, N, 1]``.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> CreditWeights(spec)(torch.zeros(8, 7)).shape
        torch.Size([8, 3, 1])
    """

    @renamed_arguments(hidden="hidden_sizes")
    def __init__(self, spec: AnyTeamSpec, *, hidden_sizes: Sequence[int] = (64,)) -> None:
        super().__init__()
        self.body = MLP(
            spec.state_size, spec.n_agents, num_cells=list(hidden_sizes), activation_class=nn.ReLU
        )

    def forward(self, state: Tensor) -> Tensor:
        """The weight of every agent, ``[*B, N, 1]``."""
        return F.softplus(on_rows(self.body, state) + _ONE).unsqueeze(-1)


class CoupledCredit(nn.Module):
    """The weights and the shared part of Q_tot, made from those of V_tot and the joint action.

    ``w^q_i(s, a) = w_i(s) ratio^tanh(x_i(s, a))`` and ``Q_s(s, a) = V_s(s) + A_s(s, a)``, where x and
    A_s are outputs of one network. So an agent's credit in Q_tot differs from that in V_tot by at most
    the factor ``ratio``, and one without credit in the one has none in the other.

    The action of an agent of weight 0, which takes no part, is not read.

    Args:
        spec: sizes of the task.

    Keyword Args:
        hidden_sizes: sizes of the hidden layers.
        ratio: at least 1; with 1 the weights of both are the same.

    Shapes: ``state [*B, S], action [*B, N, A]`` (discrete: ``[*B, N]``, integers), ``weight [*B, N, 1],
    shared value [*B, 1] -> weight [*B, N, 1], shared value [*B, 1]``.

    Raises:
        ValueError: if ``ratio`` is below 1, or there is no hidden layer.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> state, action, weight = torch.randn(8, 7), torch.randn(8, 3, 2), torch.full((8, 3, 1), 5.0)
        >>> coupled, _ = CoupledCredit(spec, ratio=2.0)(state, action, weight, torch.zeros(8, 1))
        >>> bool((coupled >= 2.5).all() and (coupled <= 10.0).all())
        True
    """

    @renamed_arguments(hidden="hidden_sizes")
    def __init__(self, spec: TeamSpec, *, hidden_sizes: Sequence[int] = (64,), ratio: float = 2.0) -> None:
        super().__init__()
        require_number("CoupledCredit", ">= 1", ratio=ratio)
        self.spec, self.log_ratio = spec, math.log(ratio)
        features = spec.state_size + spec.n_agents * spec.action_size
        self.body = hidden_layers("CoupledCredit", features, hidden_sizes)
        self.head = nn.Linear(hidden_sizes[-1], spec.n_agents + 1)

    def forward(self, state: Tensor, action: Tensor, weight: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
        """The weight of every agent in Q_tot ``[*B, N, 1]``, and its shared part ``[*B, 1]``."""
        if self.spec.discrete:
            action = action.unsqueeze(-1) == torch.arange(self.spec.action_size, device=action.device)
        joint = torch.where(weight != 0, action, 0.0).to(state.dtype).flatten(-2)
        change = on_rows(self.head, on_rows(self.body, torch.cat([state, joint], -1)))
        ratio = (self.log_ratio * change[..., :-1].tanh()).exp()
        return weight * ratio.unsqueeze(-1), shared + change[..., -1:]
