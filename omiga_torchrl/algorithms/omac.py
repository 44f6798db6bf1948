"""OMAC (AAMAS 2023), a reconstruction: see :class:`omiga_torchrl.objectives.omac.OMACLoss`."""

from __future__ import annotations

from dataclasses import dataclass

from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import MLP

from omiga_torchrl import keys
from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig, LikelihoodConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules.coupled_mixer import CoupledCredit, CreditWeights
from omiga_torchrl.objectives.omac import OMACLoss
from omiga_torchrl.specs import TeamSpec

_WHY = (
    "OMAC couples the weights of V_tot and Q_tot, which are parts of this algorithm; it has no other mixer."
)


@dataclass(frozen=True, kw_only=True)
class OMACConfig(LikelihoodConfig, CriticConfig):
    """Arguments of OMAC, besides those of :class:`CriticConfig`; all are this library's choices.

    Attributes:
        mixer: ``"auto"`` or ``"linear"``, OMAC's own; no other.
        mixer_hidden_sizes: hidden layers of the weights, the shared value and the shared advantage.
        ratio: largest factor between an agent's credit in Q_tot and in V_tot, >= 1.
        expectile: of Q that V follows, in (0, 1): 0.5 is the mean, towards 1 the best action of the data.
        temperature: of the policy's weights, > 0, in units of return.
        max_weight: largest weight of the policy's loss, > 0.
    """

    ratio: float = 2.0
    expectile: float = 0.7
    temperature: float = 1 / 3
    max_weight: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mixer not in ("auto", "linear"):
            raise ValueError(f"OMACConfig: mixer must be 'auto' or 'linear', got {self.mixer!r}. {_WHY}")


@register_algorithm("omac", OMACConfig, mixers=("linear",), why=_WHY)
def make_omac(spec: AnyTeamSpec, config: OMACConfig) -> Algorithm:
    """Assemble OMAC for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> sorted(make_omac(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue', 'state_value', 'value']
    """
    build, hidden = NetworkBuilder(spec, config), config.mixer_hidden_sizes
    actor, qvalue, value = build.actor(), build.qvalue(), build.value()
    state_value = TensorDictModule(
        MLP(spec.state_size, 1, num_cells=list(hidden), activation_class=nn.ReLU),
        in_keys=[keys.STATE],
        out_keys=[keys.MIXER_BIAS],
    )
    credit = TensorDictModule(
        CreditWeights(spec, hidden_sizes=hidden), in_keys=[keys.STATE], out_keys=[keys.MIXER_WEIGHT]
    )
    coupled = TensorDictModule(
        CoupledCredit(_sizes(spec), hidden_sizes=hidden, ratio=config.ratio),
        in_keys=[keys.STATE, keys.ACTION, keys.MIXER_WEIGHT, keys.MIXER_BIAS],
        out_keys=[(keys.GROUP, "qvalue_weight"), "shared_qvalue"],
    )
    networks = (actor, qvalue, value, state_value, credit, coupled)
    loss = OMACLoss(*networks, **config.loss_arguments(OMACLoss))
    critics = {"qvalue": [qvalue, credit, coupled], "value": [value], "state_value": [state_value]}
    return build.algorithm(actor, loss, {"actor": [actor], **critics})


def _sizes(spec: AnyTeamSpec) -> TeamSpec:
    """The sizes of the joint action, whose features are those of the largest group for every agent."""
    if isinstance(spec, TeamSpec):
        return spec
    if spec.is_mixed:
        raise ValueError(
            "omac: all groups must have the same kind of actions, which its coupled weights read, got "
            f"{', '.join(f'{name} {group.kind}' for name, group in spec.groups.items())}. Use omiga or iql."
        )
    size, seen = spec.largest("action_size"), spec.largest("observation_size")
    return TeamSpec(spec.n_agents, seen, size, spec.state_size, discrete=spec.discrete)
