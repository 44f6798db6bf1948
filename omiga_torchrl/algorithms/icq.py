"""ICQ (NeurIPS 2021, arXiv:2106.03400): networks, loss and parameter groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule, TensorDictModuleBase
from torchrl.objectives.utils import HardUpdate

from omiga_torchrl.algorithms.common import Algorithm, network_arguments, parameters, qvalue_network
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.errors import require_count
from omiga_torchrl.modules import LinearMixer, NormalisedMixer, behaviour_model, make_actor
from omiga_torchrl.objectives import ForeachSoftUpdate, ICQLoss
from omiga_torchrl.objectives.icq_variants import ICQVariant, Weighting
from omiga_torchrl.specs import TeamSpec

Variant = Literal["paper", "official"] | ICQVariant


class ICQNetworks(NamedTuple):
    """The networks of :class:`ICQLoss`; None where there is none."""

    actor: ProbabilisticTensorDictSequential
    qvalue: TensorDictModuleBase
    mixer: TensorDictModule | None
    behaviour: TensorDictModuleBase | None


def icq_networks(
    spec: TeamSpec,
    *,
    hidden: Sequence[int] = (256, 256),
    mixer_hidden: Sequence[int] = (64,),
    behaviour_hidden: Sequence[int] = (256, 256),
    share_parameters: bool = True,
    recurrent: int | None = None,
    weighting: Weighting = "softmax",
    variant: Variant = "paper",
) -> ICQNetworks:
    """The networks for a team, or for one agent (no mixer).

    Args:
        spec: sizes of the task.

    Keyword Args:
        hidden: hidden layers of policy and Q.
        mixer_hidden: hidden layers of the mixer; the released one has none.
        behaviour_hidden: hidden layers of the behaviour model.
        share_parameters: one set of weights for all agents, or one each.
        recurrent: features of GRUs in front of policy, Q and discrete behaviour model; None has none.
        weighting: ``"behaviour"`` adds a model of the behaviour policy.
        variant: ``"official"`` takes the released mixer (weights of sum 1, no bias) and samples
            the behaviour model as the released code does (latents within +-0.5, no noise).

    Examples:
        >>> icq_networks(TeamSpec(3, 5, 2, 7)).mixer.in_keys
        ['state']
        >>> icq_networks(TeamSpec(1, 5, 2, 5)).mixer is None
        True
    """
    network = network_arguments(hidden, share_parameters, recurrent)
    official = variant == "official"
    mixer: LinearMixer | NormalisedMixer | None = None
    if spec.n_agents > 1:
        sizes = (spec.n_agents, spec.state_size)
        mixer = NormalisedMixer(*sizes) if official else LinearMixer(*sizes, hidden_sizes=mixer_hidden)
    behaviour = None
    if weighting == "behaviour":
        sampling: dict[str, Any] = {"max_latent": 0.5} if official and not spec.discrete else {}
        behaviour = behaviour_model(
            spec, **network_arguments(behaviour_hidden, share_parameters, recurrent), **sampling
        )
    return ICQNetworks(
        actor=make_actor(spec, **network),
        qvalue=qvalue_network(spec, **network),
        mixer=None if mixer is None else mixer.as_weight_module(),
        behaviour=behaviour,
    )


@register_algorithm("icq", sequences=True)
def make_icq(
    spec: TeamSpec,
    *,
    hidden: Sequence[int] = (256, 256),
    mixer_hidden: Sequence[int] = (64,),
    behaviour_hidden: Sequence[int] = (256, 256),
    share_parameters: bool = True,
    recurrent: int | None = None,
    weighting: Weighting = "softmax",
    variant: Variant = "paper",
    tau: float = 0.005,
    target_interval: int | None = None,
    **loss: Any,
) -> Algorithm:
    """Assemble ICQ for a task; its loss takes sequences ``[*B, T]``, see :class:`ICQLoss`.

    Args:
        spec: sizes of the task; with one agent there is no mixer.

    Keyword Args:
        hidden: hidden layers of policy and Q.
        mixer_hidden: hidden layers of the mixer.
        behaviour_hidden: hidden layers of the behaviour model.
        share_parameters: one set of weights for all agents, or one each.
        recurrent: features of GRUs in front of policy, Q and discrete behaviour model; None has none.
        weighting: ``"softmax"`` or ``"behaviour"``.
        variant: ``"paper"`` or ``"official"``.
        tau: rate of the soft target update per training step, in (0, 1].
        target_interval: copy the targets every so many steps instead (released multi-agent code:
            600); None updates softly.
        **loss: passed to :class:`ICQLoss`.

    Examples:
        >>> sorted(make_icq(TeamSpec(3, 5, 2, 7), weighting="behaviour").parameter_groups)
        ['actor', 'behaviour', 'qvalue']
    """
    networks = icq_networks(
        spec,
        hidden=hidden,
        mixer_hidden=mixer_hidden,
        behaviour_hidden=behaviour_hidden,
        share_parameters=share_parameters,
        recurrent=recurrent,
        weighting=weighting,
        variant=variant,
    )
    actor, qvalue, mixer, behaviour = networks
    module = ICQLoss(
        actor, qvalue, mixer, behaviour_network=behaviour, weighting=weighting, variant=variant, **loss
    )
    groups = {
        "actor": parameters(actor),
        "qvalue": parameters(qvalue) if mixer is None else parameters(qvalue, mixer),
    }
    if behaviour is not None:
        groups["behaviour"] = parameters(behaviour)
    return Algorithm(actor, module, groups, _updater(module, tau, target_interval))


def _updater(loss: ICQLoss, tau: float, interval: int | None) -> Any:
    if interval is None:
        return ForeachSoftUpdate(loss, tau=tau)
    require_count("make_icq", 1, target_interval=interval)
    # TorchRL's counter runs from 0 to the interval, so that its period is one longer.
    return HardUpdate(loss, value_network_update_interval=interval - 1)
