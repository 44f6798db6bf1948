"""Critics that read the team's state in place of observations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from omiga_torchrl import keys
from omiga_torchrl.modules.ensembles import Ensemble
from omiga_torchrl.modules.networks import AgentMLP
from omiga_torchrl.modules.unit_actions import read_in_units
from omiga_torchrl.specs import TeamSpec


class StateInput(nn.Module):
    """A network of agents that reads the team's state in place of observations.

    Args:
        network: ``(state of every agent [*B, N, S], *others [*B, N, ...])`` to any output.
        n_agents: number of agents N.

    Shapes: ``state [*B, S]`` and the other inputs of ``network``.
    """

    def __init__(self, network: nn.Module, n_agents: int) -> None:
        super().__init__()
        self.network, self.n_agents = network, n_agents

    def forward(self, state: Tensor, *others: Tensor) -> Tensor:
        """The network's output, with the same state for all agents."""
        batch = others[0].shape[:-2] if others else state.shape[:-1]
        return self.network(state.unsqueeze(-2).expand(*batch, self.n_agents, -1), *others)


def state_qvalue_network(
    spec: TeamSpec, critics: int, hidden_sizes: Sequence[int], share_params: bool = True
) -> TensorDictModule:
    """Critics of the state and each agent's own action, ``[*B, N, 1, E]``; continuous actions.

    Args:
        spec: sizes of the task.
        critics: number of members E.
        hidden_sizes: hidden layers.
        share_params: one set of weights for all agents, or one each.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> state_qvalue_network(spec, 2, (16,))(spec.fake_batch(8))["agents", "local_qvalue"].shape
        torch.Size([8, 3, 1, 2])
    """
    features = spec.state_size + spec.action_size
    make = partial(
        AgentMLP, features, 1, spec.n_agents, hidden_sizes=tuple(hidden_sizes), share_params=share_params
    )
    critic = StateInput(read_in_units(spec)(Ensemble(make, critics)), spec.n_agents)
    return TensorDictModule(critic, in_keys=[keys.STATE, keys.ACTION], out_keys=[keys.LOCAL_QVALUE])
