"""OMIGA: implicit global-to-local value regularisation (NeurIPS 2023, arXiv:2307.11620)."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl.objectives.omiga_terms import OMIGATerms


class _CriticTerms(OMIGATerms):
    """Terms that need no policy."""

    def __init__(
        self,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase,
        **kwargs: Any,
    ) -> None:
        super().__init__(None, qvalue_network, value_network, mixer_network, **kwargs)


class OMIGAValueLoss(_CriticTerms):
    """OMIGA's local value loss, ``mean exp(z_i) + w_i V_i / alpha`` with ``z_i = w_i (Q_i - V_i) / alpha``.

    Trains ``value_network`` only. Q is the target Q network's; see :class:`OMIGALoss`
    for the arguments and the variants.

    Args:
        qvalue_network: Q_i of observation and action.
        value_network: V_i of observation.
        mixer_network: state to (mixer_weight, mixer_bias).

    Keyword Args:
        alpha, gamma, variant, max_scaled_advantage, overflow, target_sample_size, burn_in, reduction:
            as in :class:`OMIGALoss`.

    Examples:
        >>> from omiga_torchrl.algorithms import omiga_networks
        >>> from omiga_torchrl.objectives import ForeachSoftUpdate
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> networks = omiga_networks(spec)
        >>> loss = OMIGAValueLoss(networks.qvalue, networks.value, networks.mixer, alpha=0.3)
        >>> updater = ForeachSoftUpdate(loss, tau=0.005)
        >>> loss(spec.fake_batch(8))["loss_value"].shape
        torch.Size([])
    """

    terms = ("loss_value",)

    def value_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_value``, whose gradient reaches the value network only."""
        return self._term(tensordict, "loss_value")


class OMIGAQValueLoss(_CriticTerms):
    """OMIGA's Q loss, ``mean (Q_tot - r - gamma (1 - terminated) V_tot(s'))^2``.

    Trains ``qvalue_network`` and ``mixer_network``. See :class:`OMIGALoss` for the
    arguments and the variants.

    Args:
        qvalue_network: Q_i of observation and action.
        value_network: V_i of observation.
        mixer_network: state to (mixer_weight, mixer_bias).

    Keyword Args:
        gamma, variant, burn_in, reduction: as in :class:`OMIGALoss`.

    Examples:
        >>> from omiga_torchrl.algorithms import omiga_networks
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> networks = omiga_networks(spec)
        >>> loss = OMIGAQValueLoss(networks.qvalue, networks.value, networks.mixer)
        >>> loss(spec.fake_batch(8))["loss_qvalue"].shape
        torch.Size([])
    """

    terms = ("loss_qvalue",)

    def qvalue_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_qvalue``, whose gradient reaches the Q network and the mixer only."""
        return self._term(tensordict, "loss_qvalue")


class OMIGAPolicyLoss(OMIGATerms):
    """OMIGA's policy loss, ``- mean exp(z_i) log pi_i(a_i | o_i)``.

    Trains ``actor_network`` only. See :class:`OMIGALoss` for the arguments and the variants.

    Args:
        actor_network: policy with a distribution over the agents' actions.
        qvalue_network: Q_i of observation and action.
        value_network: V_i of observation.
        mixer_network: state to (mixer_weight, mixer_bias).

    Keyword Args:
        alpha, variant, max_scaled_advantage, overflow, target_sample_size, burn_in, reduction:
            as in :class:`OMIGALoss`.

    Examples:
        >>> from omiga_torchrl.algorithms import omiga_networks
        >>> from omiga_torchrl.objectives import ForeachSoftUpdate
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = OMIGAPolicyLoss(*omiga_networks(spec), alpha=0.3)
        >>> updater = ForeachSoftUpdate(loss, tau=0.005)
        >>> loss(spec.fake_batch(8))["loss_actor"].shape
        torch.Size([])
    """

    terms = ("loss_actor",)

    def actor_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_actor``, whose gradient reaches the policy only."""
        return self._term(tensordict, "loss_actor")


class OMIGALoss(OMIGATerms):
    """The three losses of OMIGA from one evaluation of each network.

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)``, ``V_tot = sum_i w_i(s) V_i + b(s)``, ``w_i >= 0``
    and ``z_i = w_i (Q_i - V_i) / alpha``::

        loss_value  = mean exp(z_i) + w_i V_i / alpha
        loss_qvalue = mean (Q_tot - r - gamma (1 - terminated) V_tot(s'))^2
        loss_actor  = - mean exp(z_i) log pi_i(a_i | o_i)

    Each term's gradient reaches its own networks only: V; Q and mixer; policy. Only
    ``terminated`` cuts bootstrapping: a time-out does not.

    Variants
        ``"paper"`` (default): target parameters for Q only, used in V's and the policy's
        losses; the mixer weight there and V_tot(s') are the online ones, detached; beyond
        ``max_scaled_advantage`` exp goes on linearly, because a clamp cuts exp's gradient
        and leaves only the linear term, which pushes V the wrong way.

        ``"official"``: the released code. Target parameters for Q, V and mixer: V_tot(s')
        comes from target V and target mixer, the weight in z from the target mixer; z is
        clamped to ``+-max_scaled_advantage``; the value loss is multiplied by
        ``exp(-max(-1, max z))`` over the batch, so that it depends on batch mates.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: writes ``local_qvalue``: ``[*B, N, 1]`` of observation and action, or for
            discrete actions ``[*B, N, K]`` of the observation.
        value_network: observation to ``local_value [*B, N, 1]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``).

    Keyword Args:
        alpha: regularisation strength > 0, or ``"auto"``. **It has the unit of value**: large
            against the differences of w Q it is behaviour cloning, small it is greedy on few
            samples. In a one-step game with rewards 0 and 1 and 90 % of the data at the bad
            joint action, the learned policy plays the good one with probability 0.105 at
            alpha = 10 (the published constant), 0.155 at 1 and 0.943 at 0.1. Watch
            ``effective_sample_size``. ``"auto"`` starts at 1 and moves alpha, in training mode,
            until that size is ``target_sample_size``; rewards far smaller than 1 still need
            normalisation. Default 10.
        gamma: discount in [0, 1]. Default 0.99.
        variant: see above. Default ``"paper"``.
        max_scaled_advantage: where exp ends. Default 10.
        overflow: ``"linear"``, ``"clamp"`` or None, which follows the variant.
        target_sample_size: of ``alpha="auto"``, in (0, 1). Default 0.4.
        burn_in: for recurrent networks: first steps of every sequence ``[*B, T]`` that only fill
            memories and have no terms. Default 0.
        reduction: ``"mean"`` (default), ``"sum"`` or ``"none"``: ``[*B, N]`` (Q: ``[*B]``).

    Raises:
        KeyError: if an entry is missing.
        ValueError: if an entry's shape is not the expected one, e.g. a reward per agent.

    .. note:: Policies that factorise over agents cannot represent two equally good joint
        actions that must not be mixed (XOR): all weights are then equal and the policy is
        behaviour cloning.

    Examples:
        >>> from omiga_torchrl.algorithms import omiga_networks
        >>> from omiga_torchrl.objectives import ForeachSoftUpdate
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = OMIGALoss(*omiga_networks(spec), alpha=0.3)
        >>> updater = ForeachSoftUpdate(loss, tau=0.005)
        >>> out = loss(spec.fake_batch(8))
        >>> sum(value for key, value in out.items() if key.startswith("loss_")).backward()
        >>> updater.step()
        >>> out["mixer_weight"].shape
        torch.Size([3])
    """

    terms = ("loss_value", "loss_qvalue", "loss_actor")

    def value_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_value``, whose gradient reaches the value network only."""
        return self._term(tensordict, "loss_value")

    def qvalue_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_qvalue``, whose gradient reaches the Q network and the mixer only."""
        return self._term(tensordict, "loss_qvalue")

    def actor_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_actor``, whose gradient reaches the policy only."""
        return self._term(tensordict, "loss_actor")
