"""Policies that act with the best action of a critic."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from tensordict import NestedKey
from tensordict.nn import TensorDictModule, TensorDictModuleBase, TensorDictSequential
from torch import Tensor, nn

from omiga_torchrl import keys
from omiga_torchrl.blueprints import rebuildable
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.flags import as_flag
from omiga_torchrl.functional import best_value, ensemble_minimum

Reduction = Literal["minimum", "mean"]


class GreedyActions(nn.Module):
    """The legal action of largest value of every agent; 0 for an agent without any.

    Args:
        reduction: of the values of an ensemble: ``"minimum"`` or ``"mean"``.

    Shapes: value ``[*B, N, K, E]``, action mask ``[*B, N, K]`` -> action ``[*B, N]``.

    Raises:
        ValueError: unknown reduction.

    Examples:
        >>> value = torch.tensor([[[1.0, 1.0], [0.0, 3.0]]])  # one agent, 2 actions, 2 critics
        >>> GreedyActions("minimum")(value), GreedyActions("mean")(value)
        (tensor([0]), tensor([1]))
        >>> GreedyActions("minimum")(value, torch.tensor([[False, True]]))
        tensor([1])
    """

    def __init__(self, reduction: Reduction = "minimum") -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise unknown_name("GreedyActions", "reduction", reduction, get_args(Reduction))
        self.reduction = reduction

    def forward(self, value: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Actions ``[*B, N]``."""
        single = ensemble_minimum(value) if self.reduction == "minimum" else value.mean(-1)
        legal = torch.ones_like(single, dtype=torch.bool) if action_mask is None else as_flag(action_mask)
        return best_value(single, legal).action


@rebuildable
def greedy_policy(
    qvalue_network: TensorDictModuleBase,
    *,
    masked: bool = False,
    reduction: Reduction = "minimum",
    action: NestedKey = keys.ACTION,
    action_mask: NestedKey = keys.ACTION_MASK,
    local_qvalue: NestedKey = keys.LOCAL_QVALUE,
) -> TensorDictSequential:
    """A decentralised policy for integer actions ``[*B, N]``: each agent's best, by its own critics.

    It shares its parameters with ``qvalue_network``, and its memory if it has one. Exploration types
    change nothing. With a linear mixer the joint action is the best one of Q_tot, too.

    Args:
        qvalue_network: observation to ``local_qvalue [*B, N, K, E]``.

    Keyword Args:
        masked: whether the task gives an action mask.
        reduction: of the ensemble, ``"minimum"`` or ``"mean"``.
        action: key written.
        action_mask: key of the mask, ``[*B, N, K]``, True = legal.
        local_qvalue: key that the Q network writes.

    Examples:
        >>> from omiga_torchrl.modules import qvalue_ensemble
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
        >>> policy = greedy_policy(qvalue_ensemble(spec, 2, hidden_sizes=(16,)), masked=True)
        >>> policy(spec.fake_batch(8).exclude(("agents", "action")))["agents", "action"].shape
        torch.Size([8, 3])
    """
    mask = [action_mask] if masked else []
    choice = TensorDictModule(GreedyActions(reduction), in_keys=[local_qvalue, *mask], out_keys=[action])
    return TensorDictSequential(qvalue_network, choice)
