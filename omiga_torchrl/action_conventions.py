"""Meaning of the numbers of published continuous actions: three conventions, one name each.

The behaviour policies of the published multi-agent MuJoCo data are not squashed, so that
stored actions leave their bounds, [-1, 1]. Three families of results differ in what they do about it:

=========== =========================== ============================== =================
convention  stored action ``a`` becomes action of the policy executes   results of
=========== =========================== ============================== =================
``"raw"``   ``a``                       the action itself              OMIGA
``"clip"``  ``clip(a, -1, 1)``          ``clip(action, -1, 1)``        OG-MARL
``"scale"`` ``a / 4``                   ``4 * action``                 ComaDICE
=========== =========================== ============================== =================

With other bounds ``"clip"`` is to those. They are different experiments: MuJoCo clamps the torque
at the actuators' limits, while the tasks' control cost is paid for the action as it was given.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from omiga_torchrl.action_bounds import ActionBound
from omiga_torchrl.errors import unknown_name

ActionConvention = Literal["raw", "clip", "scale"]
ACTION_CONVENTIONS: Final[tuple[str, ...]] = get_args(ActionConvention)

ACTION_SCALE: Final = 4.0

Values = TypeVar("Values", Tensor, npt.NDArray[Any])


def convert_actions(
    action: Values, convention: ActionConvention, low: ActionBound = -1.0, high: ActionBound = 1.0
) -> Values:
    """Stored actions as the policy's actions.

    Args:
        action: actions of any shape, as published.
        convention: ``"raw"``, ``"clip"`` or ``"scale"``.
        low: lower bound of the policy's actions.
        high: upper bound.

    Returns:
        Actions of the same kind, shape and dtype; for ``"raw"`` the same object.

    Raises:
        ValueError: unknown convention.

    Examples:
        >>> stored = np.array([-6.0, 0.5, 2.0])
        >>> convert_actions(stored, "clip"), convert_actions(stored, "scale")
        (array([-1. ,  0.5,  1. ]), array([-1.5  ,  0.125,  0.5  ]))
    """
    require_convention("convert_actions", convention)
    if convention == "clip":
        return clip_actions(action, low, high)
    return action / ACTION_SCALE if convention == "scale" else action


def require_convention(component: str, convention: str) -> None:
    """Raise ``ValueError`` unless the convention is known.

    Args:
        component: who refuses it, for the message.
        convention: its name.
    """
    if convention not in ACTION_CONVENTIONS:
        raise unknown_name(component, "action convention", convention, ACTION_CONVENTIONS)


def clip_actions(action: Values, low: ActionBound = -1.0, high: ActionBound = 1.0) -> Values:
    """Actions clipped to their bounds.

    Args:
        action: actions `[..., A]`, or `[..., N, A]` where bounds differ between agents.
        low: lower bound.
        high: upper bound.

    Examples:
        >>> clip_actions(np.array([-3.0, 3.0]), low=(-1.0, -2.0), high=(1.0, 2.0))
        array([-1.,  2.])
    """
    if isinstance(action, Tensor):
        bounds = (torch.as_tensor(bound, dtype=action.dtype, device=action.device) for bound in (low, high))
        return torch.clamp(action, *bounds)
    return np.clip(action, *(np.asarray(bound, action.dtype) for bound in (low, high)))
