"""CQL for teams, MA-CQL and CFCQL (arXiv:2006.04779, arXiv:2309.12696)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from tensordict.nn import TensorDictModuleBase

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import behavior_model
from omiga_torchrl.modules.greedy import greedy_policy
from omiga_torchrl.objectives.conservative import Penalty
from omiga_torchrl.objectives.cql import CQLLoss, Variant
from omiga_torchrl.objectives.cql_arguments import ActorObjective
from omiga_torchrl.specs import TeamSpec


@dataclass(frozen=True, kw_only=True)
class CQLConfig(CriticConfig):
    """Arguments of conservative Q-learning, besides those of :class:`CriticConfig`.

    Attributes:
        behavior_hidden_sizes: hidden layers of the behavior model, if there is one.
        cql_alpha: weight of the penalty, >= 0, in units of return. Released, on raw rewards: CQL 5 or 10;
            CFCQL on SMAC 0.1 to 50; MA-CQL there 5; ComaDICE 1.
        num_action_samples: of each of three kinds of candidates, continuous teams; of joint actions,
            ``penalty="joint"``; >= 1. Released 10; joint ones of discrete teams 100 or 20.
        penalty_inverse_temperature: of the agents' weights in the counterfactual penalty, without unit. > 0:
            the agent furthest from the data is penalised most; < 0: the nearest; 0: all alike. Another value
            than 0 adds a model of the behavior policy.
        entropy_coeff: weight of the policy's entropy, >= 0, in units of return. Continuous actions.
        variant: ``"paper"``, or ``"official"``: ComaDICE's CQL for continuous actions, see
            :class:`CQLLoss`; names the defaults of the next three.
        penalty: ``"counterfactual"`` (CFCQL), ``"joint"`` (MA-CQL) or ``"summed"`` (ComaDICE, linear mixers);
            None is the variant's.
        importance_sampling: divide sampled candidates by their densities; None is the variant's.
        actor_objective: continuous: ``"max_q"`` or ``"weighted_bc"`` (ComaDICE); None is the variant's. The
            policy is a tanh-Gaussian: ``"max_q"`` asks for no likelihood of the data's actions, and does not
            mind if they are on a bound; ``"weighted_bc"`` clones such actions badly, and warns.
    """

    behavior_hidden_sizes: tuple[int, ...] = (256, 256)
    cql_alpha: float = 1.0
    num_action_samples: int = 10
    penalty_inverse_temperature: float = 0.0
    entropy_coeff: float = 0.1
    variant: Variant = "paper"
    penalty: Penalty | None = None
    importance_sampling: bool | None = None
    actor_objective: ActorObjective | None = None


@dataclass(frozen=True, kw_only=True)
class CFCQLConfig(CQLConfig):
    """Arguments of CFCQL: those of :class:`CQLConfig`, with two other defaults.

    Attributes:
        penalty: of :class:`CQLConfig`; CFCQL's own.
        penalty_inverse_temperature: of :class:`CQLConfig`. Released on SMAC 0 to 1 by map and quality of the
            data; 100 there penalises the furthest agent only.
    """

    penalty: Penalty | None = "counterfactual"
    penalty_inverse_temperature: float = 0.5


@register_algorithm("cql", CQLConfig)
def make_cql(spec: AnyTeamSpec, config: CQLConfig) -> Algorithm:
    """Assemble CQL for a task; for discrete actions the policy is greedy in the critics.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> sorted(make_cql(TeamSpec(3, 5, 2, 7), penalty_inverse_temperature=0.5).parameter_groups)
        ['actor', 'behavior', 'qvalue']
        >>> sorted(make_cql(TeamSpec(3, 5, 4, 7, discrete=True)).parameter_groups)
        ['qvalue']
    """
    return _assemble(spec, config)


@register_algorithm(
    "cfcql",
    CFCQLConfig,
    mixers=("linear", "vdn", "qmix"),
    why="Its penalty is the team's, weighted between agents. Use cql for independent critics.",
)
def make_cfcql(spec: AnyTeamSpec, config: CFCQLConfig) -> Algorithm:
    """Assemble CFCQL for a task; with one agent, who has all of the penalty, it is CQL.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> sorted(make_cfcql(TeamSpec(3, 5, 4, 7, discrete=True)).parameter_groups)
        ['behavior', 'qvalue']
    """
    return _assemble(spec, config)


def _assemble(spec: AnyTeamSpec, config: CQLConfig) -> Algorithm:
    build, arguments = NetworkBuilder(spec, config), config.loss_arguments(CQLLoss)
    _warn_of_clipped_actions(spec, config)
    actor = None if spec.kind == "discrete" else build.actor(kind="continuous")
    qvalue, mixer, behavior = build.qvalue(), build.mixer(), None
    if spec.n_agents == 1:
        arguments["penalty_inverse_temperature"] = 0.0
    elif config.penalty_inverse_temperature:
        sizes = config.behavior_hidden_sizes
        behavior = build.network(
            lambda group: behavior_model(group, **build.arguments(group, hidden_sizes=sizes))
        )
    masked = any(group.masked for group in spec.groups.values())
    arguments |= {"behavior_network": behavior, "has_action_mask": masked}
    loss = CQLLoss(actor, qvalue, mixer, **arguments)
    groups = {"qvalue": [qvalue, mixer], "actor": [actor], "behavior": [behavior]}
    return build.algorithm(build.policy(_policy, actor, qvalue), loss, groups)


def _warn_of_clipped_actions(spec: AnyTeamSpec, config: CQLConfig) -> None:
    clipped = [name for name, group in spec.groups.items() if group.clipped and not group.discrete]
    if clipped and config.variant == "paper" and config.actor_objective == "weighted_bc":
        warnings.warn(
            f"cql: many actions of {', '.join(clipped)} are exactly on a bound, where the density of a "
            "tanh-Gaussian, which actor_objective='weighted_bc' clones by, grows without bound. Use 'max_q', "
            "or an algorithm with distribution='censored', such as awac.",
            stacklevel=4,
        )


def _policy(
    spec: TeamSpec, actor: TensorDictModuleBase | None, qvalue: TensorDictModuleBase
) -> TensorDictModuleBase:
    return greedy_policy(qvalue, masked=spec.masked) if actor is None else actor
