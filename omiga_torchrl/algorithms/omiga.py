"""OMIGA (NeurIPS 2023, arXiv:2307.11620)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule, TensorDictModuleBase

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig, LikelihoodConfig, make_config
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.functional.advantage import ClipMode
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import LinearMixer
from omiga_torchrl.objectives.omiga import OMIGALoss
from omiga_torchrl.objectives.omiga_terms import Variant


@dataclass(frozen=True, kw_only=True)
class OMIGAConfig(LikelihoodConfig, CriticConfig):
    """Arguments of OMIGA, besides those of :class:`CriticConfig`.

    Attributes:
        num_qvalue_nets: critics of every agent: one, as published; of more the smallest value counts.
        alpha: regularization strength > 0 in units of return, 10 as published, or ``"auto"``: large is
            behavior cloning, small is greedy on few samples.
        variant: ``"paper"``, or ``"official"``: the released code.
        max_exponent: scaled advantage, without unit and > 0, where exp ends; 10 in the released code.
        clip_mode: exp beyond it goes on along its tangent, ``"linear"``, or stops, ``"clamp"``; None is the
            variant's.
        target_effective_sample_size: share of the data that an agent's weights of ``alpha="auto"`` rest on,
            in [0, 1]; None: 0.4^(1/N) for N agents.
    """

    num_qvalue_nets: int = 1
    alpha: float | Literal["auto"] = 10.0
    variant: Variant = "paper"
    max_exponent: float = 10.0
    clip_mode: ClipMode | None = None
    target_effective_sample_size: float | None = None


class OMIGANetworks(NamedTuple):
    """The four networks, in the order of :class:`OMIGALoss`'s arguments."""

    actor: ProbabilisticTensorDictSequential
    qvalue: TensorDictModuleBase
    value: TensorDictModuleBase
    mixer: TensorDictModule


def omiga_networks(spec: AnyTeamSpec, **arguments: Any) -> OMIGANetworks:
    """Networks of the published shapes.

    Args:
        spec: sizes of the task.
        **arguments: fields of :class:`OMIGAConfig`, e.g. ``hidden_sizes``.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> networks = omiga_networks(TeamSpec(3, 5, 2, 7), hidden_sizes=(64, 64))
        >>> networks.mixer.in_keys, networks.mixer.out_keys
        (['state'], [('agents', 'mixer_weight'), 'mixer_bias'])
    """
    config = make_config("omiga", OMIGAConfig, arguments)
    return _networks(NetworkBuilder(spec, config), config)


def _networks(build: NetworkBuilder, config: OMIGAConfig) -> OMIGANetworks:
    spec = build.spec
    actor, qvalue, value = build.actor(), build.qvalue(wrap_single=False), build.value()
    if spec.n_agents == 1 and config.mixer in ("auto", "linear"):
        # The released code mixes one agent, too: the weight scales its advantage.
        mixer = LinearMixer(1, spec.state_size, hidden_sizes=config.mixer_hidden_sizes).as_weight_module()
    else:
        mixer = build.mixer()
    return OMIGANetworks(actor, qvalue, value, mixer)


@register_algorithm(
    "omiga",
    OMIGAConfig,
    mixers=("linear", "vdn"),
    why="OMIGA splits the team's problem into local ones by weights of a Q_tot that is linear in Q_i.",
)
def make_omiga(spec: AnyTeamSpec, config: OMIGAConfig) -> Algorithm:
    """Assemble OMIGA for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_omiga(TeamSpec(3, 5, 2, 7), alpha=0.3).parameter_groups)
        ['actor', 'qvalue', 'value']
    """
    build = NetworkBuilder(spec, config)
    actor, qvalue, value, mixer = _networks(build, config)
    loss = OMIGALoss(actor, qvalue, value, mixer, **config.loss_arguments(OMIGALoss))
    groups = {"actor": [actor], "qvalue": [qvalue, mixer], "value": [value]}
    return build.algorithm(actor, loss, groups)
