"""MATD3+BC, published as IDDPG+BC (arXiv:2406.09068)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tensordict.nn import TensorDictModuleBase

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.modules.builders import MixerName
from omiga_torchrl.modules.state_critic import state_qvalue_network
from omiga_torchrl.objectives.matd3_bc import MATD3BCLoss
from omiga_torchrl.specs import TeamSpec


@dataclass(frozen=True, kw_only=True)
class MATD3BCConfig(CriticConfig):
    """Arguments of MATD3+BC, besides those of :class:`CriticConfig`.

    Attributes:
        mixer: ``"none"``, as published: every agent has critics of the state and its own action.
        critics_read_state: False gives critics of the agent's observation instead of the state.
        alpha: weight of Q against the data, >= 0, without unit. Published 2.5.
        action_penalty: weight of the squared action, >= 0. Published 1e-3.
        variant: ``"paper"``, or ``"official"``: the published gradient, see :class:`MATD3BCLoss`.
    """

    mixer: MixerName = "none"
    critics_read_state: bool = True
    alpha: float = 2.5
    action_penalty: float = 1e-3
    variant: Literal["paper", "official"] = "paper"


@register_algorithm("matd3_bc", MATD3BCConfig, actions=("continuous",))
def make_matd3_bc(spec: AnyTeamSpec, config: MATD3BCConfig) -> Algorithm:
    """Assemble MATD3+BC for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> make_matd3_bc(TeamSpec(3, 5, 2, 7)).loss.qvalue_network.in_keys
        ['state', ('agents', 'action')]
    """
    build = NetworkBuilder(spec, config)
    actor, mixer = (
        build.network(lambda group: deterministic_actor(group, **build.arguments(group))),
        build.mixer(),
    )
    qvalue = build.qvalue()
    if config.critics_read_state:
        critics = config.num_qvalue_nets or 2
        qvalue = build.network(lambda group: _state_critics(group, critics, build))
    loss = MATD3BCLoss(actor, qvalue, mixer, **config.loss_arguments(MATD3BCLoss))
    return build.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixer]})


def _state_critics(spec: TeamSpec, critics: int, build: NetworkBuilder) -> TensorDictModuleBase:
    """Critics of the state, which need no memory."""
    arguments = build.arguments(spec)
    return state_qvalue_network(spec, critics, arguments["hidden_sizes"], arguments["share_params"])
