"""The action that an environment executes, under each convention of published actions."""

from __future__ import annotations

from tensordict import NestedKey
from torch import Tensor
from torchrl.envs.transforms import Transform

from omiga_torchrl import keys
from omiga_torchrl.action_bounds import ActionBound
from omiga_torchrl.action_conventions import ACTION_SCALE, ActionConvention, clip_actions, require_convention


class ExecutedAction(Transform):
    """Turns the policy's action into the one that the environment executes.

    The policy's action stays in the TensorDict; only the wrapped environment meets the
    other. The action spec, e.g. [-1, 1], stays as well: it is the range of the policy.

    Args:
        convention: ``"raw"``, ``"clip"`` or ``"scale"``.
        action_key: the action, or a list of one for each group.
        low: lower bound that ``"clip"`` clips to, as of :class:`omiga_torchrl.specs.TeamSpec`.
        high: upper bound.

    Raises:
        ValueError: unknown convention.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> data = TensorDict({("agents", "action"): torch.tensor([[[0.5], [-1.0]]])}, [1])
        >>> ExecutedAction("scale").inv(data)["agents", "action"].flatten().tolist()
        [2.0, -4.0]
    """

    def __init__(
        self,
        convention: ActionConvention,
        *,
        action_key: NestedKey | list[NestedKey] = keys.ACTION,
        low: ActionBound = -1.0,
        high: ActionBound = 1.0,
    ) -> None:
        require_convention("ExecutedAction", convention)
        found = action_key if isinstance(action_key, list) else [action_key]
        super().__init__(in_keys_inv=found, out_keys_inv=list(found))
        self.convention, self.low, self.high = convention, low, high

    def _inv_apply_transform(self, action: Tensor) -> Tensor:
        if self.convention == "clip":
            return clip_actions(action, self.low, self.high)
        return action * ACTION_SCALE if self.convention == "scale" else action
