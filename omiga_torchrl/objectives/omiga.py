"""OMIGA: implicit global-to-local value regularization (NeurIPS 2023, arXiv:2307.11620)."""

from __future__ import annotations

from typing import Any

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase

from omiga_torchrl.objectives.omiga_terms import OMIGAPolicyLoss, OMIGAQValueLoss, OMIGATerms, OMIGAValueLoss


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
        ``max_exponent`` exp goes on linearly, because a clamp cuts exp's gradient
        and leaves only the linear term, which pushes V the wrong way.

        ``"official"``: the released code. Target parameters for Q, V and mixer: V_tot(s')
        comes from target V and target mixer, the weight in z from the target mixer; z is
        clamped to ``+-max_exponent``; the value loss is multiplied by
        ``exp(-max(-1, max z))`` over the batch, so that it depends on batch mates.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: writes ``local_qvalue``: ``[*B, N, 1]`` of observation and action, or for
            discrete actions ``[*B, N, K]`` of the observation. Of an ensemble (a last dimension more)
            z reads the smallest member, and every member has the same target.
        value_network: observation to ``local_value [*B, N, 1]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``): linear, also for
            one agent, because the local problems are parts of the team's only if Q_tot is (section 3.2).

    Keyword Args:
        alpha: regularization strength > 0, or ``"auto"``. **It has the unit of value**: large
            against the differences of w Q it is behavior cloning, small it is greedy on few
            samples. In a one-step game with rewards 0 and 1 and 90 % of the data at the bad
            joint action, the learned policy plays the good one with probability 0.105 at
            alpha = 10 (the published constant), 0.155 at 1 and 0.943 at 0.1. Watch
            ``effective_sample_size``. ``"auto"`` starts at 1; ``forward`` gives ``next_alpha``, which moves
            alpha towards ``target_effective_sample_size`` and which :meth:`advance` stores; rewards far
            smaller than 1 still need normalization. Default 10.
        variant: see above. Default ``"paper"``.
        max_exponent: where exp ends, > 0. Default 10.
        clip_mode: ``"linear"``, ``"clamp"`` or None, which follows the variant.
        target_effective_sample_size: of ``alpha="auto"``, in [0, 1]: the share of a batch that the weights
            of one agent are to rest on. Default None: 0.4^(1/N) for N agents, 0.63 for two and 0.86 for six,
            with which the product of their weights, if they are independent, rests on 0.4.
        **kwargs: ``gamma``, ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of its range, the mixer is not linear, or an entry's shape is not
            the expected one, e.g. a reward per agent.

    .. note:: Policies that factorize over agents cannot represent two equally good joint
        actions that must not be mixed (XOR): all weights are then equal and the policy is
        behavior cloning.

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

    terms = ("value", "qvalue", "actor")

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, value_network, mixer_network, **kwargs)
        self.add_network("actor_network", actor_network)

    value_loss = OMIGAValueLoss.value_loss
    qvalue_loss = OMIGAQValueLoss.qvalue_loss
    actor_loss = OMIGAPolicyLoss.actor_loss
