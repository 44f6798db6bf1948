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
from tensordict import NestedKey
from torch import Tensor
from torchrl.envs.transforms import Transform

from omiga_torchrl import keys
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
        return _clip(action)
    return action / ACTION_SCALE if convention == "scale" else action


class ExecutedAction(Transform):
    """Turns the policy's action into the one that the environment executes.

    The policy's action stays in the TensorDict; only the wrapped environment meets the
    other. The action spec, [-1, 1], stays as well: it is the range of the policy.

    Args:
        convention: ``"raw"``, ``"clip"`` or ``"scale"``.
        action_key: the action.

    Raises:
        ValueError: unknown convention.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> data = TensorDict({("agents", "action"): torch.tensor([[[0.5], [-1.0]]])}, [1])
        >>> ExecutedAction("scale").inv(data)["agents", "action"].flatten().tolist()
        [2.0, -4.0]
    """

    def __init__(self, convention: ActionConvention, *, action_key: NestedKey = keys.ACTION) -> None:
        require_convention("ExecutedAction", convention)
        super().__init__(in_keys_inv=[action_key], out_keys_inv=[action_key])
        self.convention = convention

    def _inv_apply_transform(self, action: Tensor) -> Tensor:
        if self.convention == "clip":
            return _clip(action)
        return action * ACTION_SCALE if self.convention == "scale" else action


def require_convention(component: str, convention: str) -> None:
    """Raise ``ValueError`` unless the convention is known.

    Args:
        component: who refuses it, for the message.
        convention: its name.
    """
    if convention not in ACTION_CONVENTIONS:
        raise unknown_name(component, "action convention", convention, ACTION_CONVENTIONS)


def _clip(action: Values) -> Values:
    return action.clamp(-1, 1) if isinstance(action, Tensor) else np.clip(action, -1, 1)
