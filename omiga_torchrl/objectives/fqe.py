"""Fitted-Q evaluation for teams: the value of a given policy from data of others."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.view import TeamView


class FQELoss(TeamLoss):
    """Fitted-Q evaluation (FQE: arXiv:1903.08738) of a given team policy, continuous or discrete actions.

    With ``Q_tot = M(Q_1, .., Q_N; s)`` of any mixer (none: every Q_i by itself), a bar for target
    parameters, and ``a'`` the evaluated policy's joint action in the next state::

        loss_qvalue = mean (Q_tot(s, a) - r - gamma (1 - terminated) Qbar_tot(s', a'))^2

    The policy is given by its actions: the data's entry ``("next", action)`` is ``a'``. A policy that does
    not change acts once on all data, a recurrent one along whole episodes, and not at every step; where
    the entry is the action that the behaviour took next, its own value is fitted.
    :func:`omiga_torchrl.selection.policy_actions` makes the entry from a policy, and
    :class:`omiga_torchrl.selection.StackedFQE` fits many policies and seeds at once.

    A mixer can only hold values that are mixed from local ones: where the true Q of the policy is not, the
    estimate is biased. A joint critic, :func:`omiga_torchrl.selection.as_one_agent`, has no such limit.

    Args:
        qvalue_network: local action values, ``[*B, N, 1]`` or, discrete, ``[*B, N, K]``, with a last
            dimension more for an ensemble, whose mean is bootstrapped from.
        mixer_network: as of :class:`omiga_torchrl.objectives.TD3BCLoss`; None learns critics of every agent.

    Keyword Args:
        value_range: least and largest value that targets may have, in units of the reward, e.g. those of
            the rewards over ``1 - gamma`` as in DOPE (arXiv:2103.16596); None (default) has no bounds.
        **kwargs: of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of its range, or an entry's shape is not the expected one.

    Examples:
        >>> from omiga_torchrl.modules import make_mixer, qvalue_network
        >>> from omiga_torchrl.objectives import ForeachSoftUpdate
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = FQELoss(qvalue_network(spec), make_mixer(spec, "linear", (32,)))
        >>> updater = ForeachSoftUpdate(loss, tau=0.005)
        >>> data = spec.fake_batch(8)
        >>> data["next", "agents", "action"] = data["agents", "action"].neg()  # the evaluated policy's
        >>> sorted(key for key in loss(data).keys() if key.startswith("loss_"))
        ['loss_qvalue']
    """

    terms = ("qvalue",)
    reads = ("action", "next_action", "reward", "terminated", "done")

    def __init__(
        self,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        value_range: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if value_range is not None and not value_range[0] < value_range[1]:
            raise ValueError(f"FQELoss: value_range is {value_range}; expected (low, high) with low < high.")
        self.value_range = value_range
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot(s, a) - r - gamma (1 - terminated) Qbar_tot(s', a'))^2``; trains Q network and mixer."""
        batch = self.view(data)
        target = batch.td_target(batch.next.target.q_tot.mean(-1))
        if self.value_range is not None:
            target = target.clamp(*self.value_range)
        return batch.td_loss(batch.q_tot, target)
