"""What the numbers of published continuous actions mean: three conventions, one name each.

The behaviour policies of the published multi-agent MuJoCo data are not squashed, so that
stored actions leave [-1, 1]. Three families of results differ in what they do about it:

=========== =========================== ============================== =================
convention  stored action ``a`` becomes action of the policy executes   results of
=========== =========================== ============================== =================
``"raw"``   ``a``                       the action itself              OMIGA
``"clip"``  ``clip(a, -1, 1)``          ``clip(action, -1, 1)``        OG-MARL
``"scale"`` ``a / 4``                   ``4 * action``                 ComaDICE
=========== =========================== ============================== =================

They are different experiments: MuJoCo clamps the torque at the actuators' limits, while the
tasks' control cost is paid for the action as it was given.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from torch import Tensor

from omiga_torchrl.errors import unknown_name

ActionConvention = Literal["raw", "clip", "scale"]
ACTION_CONVENTIONS: Final[tuple[str, ...]] = get_args(ActionConvention)

ACTION_SCALE: Final = 4.0

Values = TypeVar("Values", Tensor, npt.NDArray[Any])


def convert_actions(action: Values, convention: ActionConvention) -> Values:
    """Stored actions as the policy's actions.

    Args:
        action: actions of any shape, as published.
        convention: ``"raw"``, ``"clip"`` or ``"scale"``.

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
        return clip_actions(action)
    return action / ACTION_SCALE if convention == "scale" else action


def require_convention(component: str, convention: str) -> None:
    """Raise ``ValueError`` unless the convention is known.

    Args:
        component: who refuses it, for the message.
        convention: its name.
    """
    if convention not in ACTION_CONVENTIONS:
        raise unknown_name(component, "action convention", convention, ACTION_CONVENTIONS)


def clip_actions(action: Values) -> Values:
    """Actions clipped to [-1, 1].

    Args:
        action: actions of any shape.
    """
    return action.clamp(-1, 1) if isinstance(action, Tensor) else np.clip(action, -1, 1)
