"""AWR for teams: cloning by how much better a return was than expected."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.diagnostics import WEIGHT_METRICS
from omiga_torchrl.objectives.view import TeamView


class AWRLoss(TeamLoss):
    """Multi-agent advantage-weighted regression (arXiv:1910.00177) along sequences ``[*B, T]``.

    There is no action value. With ``V_tot = sum_i w_i(s) V_i + b(s)`` (no mixer: every V_i by itself)
    and a bar for target parameters::

        y_t = r_t + gamma (1 - terminated_t) (Vbar_{t+1} + lambda (y_{t+1} - Vbar_{t+1}))
        loss_value = mean (V_tot(s_t) - y_t)^2
        loss_actor = - mean min(exp(A / temperature), max_weight) log pi_i(a_i | o_i)
        A = y_t - V_tot(s_t), standardized over the batch

    The returns are those of the behavior policy: AWR is one step of policy improvement on it. Where
    an episode, or its slice, ends without being terminated, the return goes on with Vbar. With a mixer
    the advantage is the team's and the same for all agents: returns do not say whose action it was.

    The publication takes the advantages as they are, its released code standardizes them: set
    ``normalize_advantage=False`` for the former, and a temperature in units of return. The released code
    computes returns once for many updates; here the target parameters follow slowly. Its penalty on
    actions beyond their bounds has nothing to do for a policy that cannot leave them.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, T, N]``.
        value_network: observation to ``local_value [*B, T, N, 1]``.
        mixer_network: ``state`` to (``mixer_weight [*B, T, N, 1]``, ``mixer_bias [*B, T, 1]``), or local
            values and state to the team's value; None learns independent values, or one agent's.

    Keyword Args:
        temperature: of the policy's weights (published: beta), > 0; in standard deviations of the
            advantage, or with ``normalize_advantage=False`` in units of return (published: 0.05). Default 1.
        max_weight: the largest weight, > 0. Default 20.
        normalize_advantage: standardize advantages over the batch. Default True.
        td_lambda: lambda of the returns, in [0, 1]. Default 0.95.
        **kwargs: ``gamma``, ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of range, the batch is no sequences, or an entry's shape is
            not the expected one, e.g. a reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("awr", spec).loss
        >>> out = loss(spec.fake_batch(8, 4))  # 8 sequences of 4 steps
        >>> sorted(key for key in out.keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_value']
    """

    terms = ("value", "actor")
    metrics = ("td_error", *WEIGHT_METRICS)
    default_value_estimator = ValueEstimators.TDLambda
    _schedulable_buffers = frozenset({"temperature"})

    temperature: Tensor

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        temperature: float = 1.0,
        max_weight: float = 20.0,
        normalize_advantage: bool = True,
        td_lambda: float = 0.95,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("AWRLoss", "> 0", max_weight=max_weight)
        require_number("AWRLoss", "in [0, 1]", td_lambda=td_lambda)
        self.max_weight, self.normalize_advantage = max_weight, normalize_advantage
        self.lmbda.fill_(td_lambda)
        self.add_coefficient("temperature", temperature, "> 0")
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network)
        self.add_network("value_network", value_network, target=True, at_next=True)

    def value_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(V_tot(s_t) - y_t)^2``; trains value network and mixer."""
        batch = self.view(data)
        return batch.td_loss(batch.v_tot.unsqueeze(-1), lambda_return(batch))

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- min(exp(A / temperature), max_weight) log pi_i(a_i | o_i)``; trains the policy."""
        batch = self.view(data)
        advantage = lambda_return(batch) - batch.v_tot
        if self.has_mixer:
            advantage = advantage.unsqueeze(-1).expand(batch.agents)
        if self.normalize_advantage:
            advantage = F.standardise(advantage, batch.mask_for(advantage))
        return batch.advantage_weighted_loss(advantage, self.temperature, self.max_weight)


def lambda_return(batch: TeamView) -> Tensor:
    """y_t of the team ``[*B, T]``, or without a mixer of every agent ``[*B, T, N]``, detached.

    Args:
        batch: sequences.
    """
    return batch.once("lambda_return", lambda: batch.td_target(batch.next.target.v_tot))
