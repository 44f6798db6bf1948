"""Networks by what the losses call them: values, mixers, and BCQ's perturbation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import nn

from omiga_torchrl import keys
from omiga_torchrl.blueprints import rebuildable
from omiga_torchrl.deprecation import NETWORK_NAMES, renamed_arguments
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules.mixers import LinearMixer, QMIXMixer, VDNMixer
from omiga_torchrl.modules.perturbation import PerturbedActions
from omiga_torchrl.modules.recurrent import agent_network
from omiga_torchrl.modules.unit_actions import read_in_units
from omiga_torchrl.specs import TeamSpec

MixerName = Literal["auto", "linear", "vdn", "qmix", "none"]


@renamed_arguments(**NETWORK_NAMES)
@rebuildable
def qvalue_network(spec: TeamSpec, **network: Any) -> TensorDictModuleBase:
    """Local critics Q_i: observation and action to ``[*B, N, 1]``; discrete: observation to ``[*B, N, K]``.

    Actions are read in units of their bounds, which are mapped to [-1, 1].

    Args:
        spec: sizes of the task.
        **network: passed to :func:`omiga_torchrl.modules.agent_network`.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> qvalue_network(spec, hidden_sizes=(16,))(spec.fake_batch(8))["agents", "local_qvalue"].shape
        torch.Size([8, 3, 1])
    """
    size = spec.action_size
    outputs, extra = (size, {}) if spec.discrete else (1, {keys.ACTION: size})
    return agent_network(
        spec, outputs, keys.LOCAL_QVALUE, extra=extra, wrap=read_in_units(spec), name="qvalue", **network
    )


@renamed_arguments(**NETWORK_NAMES)
def value_network(spec: TeamSpec, **network: Any) -> TensorDictModuleBase:
    """Local values V_i: observation to ``[*B, N, 1]``.

    Args:
        spec: sizes of the task.
        **network: passed to :func:`omiga_torchrl.modules.agent_network`.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> value_network(spec, hidden_sizes=(16,))(spec.fake_batch(8))["agents", "local_value"].shape
        torch.Size([8, 3, 1])
    """
    return agent_network(spec, 1, keys.LOCAL_VALUE, name="value", **network)


@renamed_arguments(**NETWORK_NAMES)
def qvalue_ensemble(spec: TeamSpec, critics: int, **network: Any) -> TensorDictModuleBase:
    """An ensemble of local critics: ``[*B, N, 1, E]`` of observation and action; discrete: ``[*B, N, K, E]``.

    Args:
        spec: sizes of the task.
        critics: number of members E.
        **network: passed to :func:`omiga_torchrl.modules.agent_network`.

    Examples:
        >>> spec = TeamSpec(3, 5, 4, 7, discrete=True)
        >>> qvalue_ensemble(spec, 2, hidden_sizes=(16,))(spec.fake_batch(8))["agents", "local_qvalue"].shape
        torch.Size([8, 3, 4, 2])
    """
    return qvalue_network(spec, ensemble_size=critics, **network)


@renamed_arguments(hidden="hidden_sizes")
def make_mixer(spec: AnyTeamSpec, name: MixerName, hidden_sizes: Sequence[int]) -> TensorDictModule | None:
    """The mixer of a team by its name, or None.

    A linear one is a module ``state -> (mixer_weight, mixer_bias)``; QMIX, which has no weights, a module
    ``(chosen_action_value of agents, state) -> chosen_action_value``.

    Args:
        spec: sizes of the task.
        name: ``"linear"`` (OMIGA's), ``"vdn"`` (weights one), ``"qmix"`` (monotonic), ``"none"``
            (independent critics), or ``"auto"``: linear for a team, none for one agent.
        hidden_sizes: hidden layers that read the state; VDN has none.

    Raises:
        ValueError: unknown name, or a mixer of one agent.

    Examples:
        >>> make_mixer(TeamSpec(1, 5, 2, 5), "auto", (64,)) is None
        True
        >>> make_mixer(TeamSpec(3, 5, 2, 7), "qmix", (64,)).in_keys
        [('agents', 'chosen_action_value'), 'state']
    """
    if name not in get_args(MixerName):
        raise unknown_name("make_mixer", "mixer", name, get_args(MixerName))
    if name == "none" or (name == "auto" and spec.n_agents == 1):
        return None
    if spec.n_agents == 1:
        raise ValueError(
            f"make_mixer: mixer={name!r} with one agent; expected at least two. Use mixer='auto' or 'none'."
        )
    if name == "vdn":
        return VDNMixer(spec.n_agents).as_weight_module()
    if name == "qmix":
        return QMIXMixer(spec.n_agents, spec.state_size, hyper_hidden=hidden_sizes).as_value_module()
    return LinearMixer(spec.n_agents, spec.state_size, hidden_sizes=hidden_sizes).as_weight_module()


@renamed_arguments(**NETWORK_NAMES)
@rebuildable
def perturbation_network(spec: TeamSpec, limit: float, **network: Any) -> TensorDictModuleBase:
    """Observation and action to an action at most ``limit`` half ranges away, ``[*B, N, A]``.

    Args:
        spec: sizes and action bounds.
        limit: see :class:`omiga_torchrl.modules.PerturbedActions`.
        **network: passed to :func:`omiga_torchrl.modules.agent_network`.

    Examples:
        >>> perturbation_network(TeamSpec(3, 5, 2, 7), 0.05).in_keys
        [('agents', 'observation'), ('agents', 'action')]
    """
    size = spec.action_size
    perturb = partial(PerturbedActions, limit=limit, low=spec.action_low, high=spec.action_high)
    in_units = read_in_units(spec)

    def wrap(network: nn.Module) -> nn.Module:
        return perturb(in_units(network))

    return agent_network(spec, size, keys.ACTION, extra={keys.ACTION: size}, wrap=wrap, **network)
