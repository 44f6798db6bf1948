"""OMIGA (NeurIPS 2023, arXiv:2307.11620): networks, loss and parameter groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule, TensorDictModuleBase

from omiga_torchrl.algorithms.common import (
    Algorithm,
    network_arguments,
    parameters,
    qvalue_network,
    value_network,
)
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import LinearMixer, make_actor
from omiga_torchrl.objectives import ForeachSoftUpdate, OMIGALoss
from omiga_torchrl.specs import TeamSpec


class OMIGANetworks(NamedTuple):
    """The four networks, in the order of :class:`OMIGALoss`'s arguments."""

    actor: ProbabilisticTensorDictSequential
    qvalue: TensorDictModuleBase
    value: TensorDictModuleBase
    mixer: TensorDictModule


def omiga_networks(
    spec: TeamSpec,
    *,
    hidden: Sequence[int] = (256, 256),
    mixer_hidden: Sequence[int] = (64,),
    share_parameters: bool = True,
    recurrent: int | None = None,
) -> OMIGANetworks:
    """Networks of the published shapes.

    Args:
        spec: sizes of the task.

    Keyword Args:
        hidden: hidden layers of policy, Q and V.
        mixer_hidden: hidden layers of the mixer.
        share_parameters: one set of weights for all agents (published), or one each.
        recurrent: features of GRUs in front of the networks, which then need sequences; None has none.

    Examples:
        >>> networks = omiga_networks(TeamSpec(3, 5, 2, 7))
        >>> networks.mixer.in_keys, networks.mixer.out_keys
        (['state'], [('agents', 'mixer_weight'), 'mixer_bias'])
    """
    network = network_arguments(hidden, share_parameters, recurrent)
    return OMIGANetworks(
        actor=make_actor(spec, **network),
        qvalue=qvalue_network(spec, **network),
        value=value_network(spec, **network),
        mixer=LinearMixer(spec.n_agents, spec.state_size, hidden_sizes=mixer_hidden).as_weight_module(),
    )


@register_algorithm("omiga")
def make_omiga(
    spec: TeamSpec,
    *,
    hidden: Sequence[int] = (256, 256),
    mixer_hidden: Sequence[int] = (64,),
    share_parameters: bool = True,
    recurrent: int | None = None,
    tau: float = 0.005,
    **loss: Any,
) -> Algorithm:
    """Assemble OMIGA for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        hidden: hidden layers of policy, Q and V.
        mixer_hidden: hidden layers of the mixer.
        share_parameters: one set of weights for all agents, or one each.
        recurrent: features of GRUs in front of the networks, which then need sequences; None has none.
        tau: rate of the target update per training step, in (0, 1].
        **loss: passed to :class:`OMIGALoss`.

    Examples:
        >>> sorted(make_omiga(TeamSpec(3, 5, 2, 7), alpha=0.3).parameter_groups)
        ['actor', 'qvalue', 'value']
    """
    networks = omiga_networks(
        spec,
        hidden=hidden,
        mixer_hidden=mixer_hidden,
        share_parameters=share_parameters,
        recurrent=recurrent,
    )
    loss_module = OMIGALoss(*networks, **loss)
    return Algorithm(
        policy=networks.actor,
        loss=loss_module,
        parameter_groups={
            "actor": parameters(networks.actor),
            "qvalue": parameters(networks.qvalue, networks.mixer),
            "value": parameters(networks.value),
        },
        target_updater=ForeachSoftUpdate(loss_module, tau=tau),
    )
