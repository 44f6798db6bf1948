"""Choices among fixed actions: agents with discrete actions in a simulator of continuous ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchrl.data import Categorical, Composite, TensorSpec
from torchrl.envs.transforms import Transform


class DiscretizedActions(Transform):
    """Gives the agents of one group a choice of K fixed actions in place of continuous ones.

    Policies see integers `[*B, N]`; the simulator gets the row of the table that they name.

    Args:
        group: the group.
        choices: table of actions `[K, A]`, e.g. of :func:`directions`.

    Raises:
        ValueError: ``choices`` is no table of one action or more.

    Examples:
        >>> from tensordict import TensorDict
        >>> transform = DiscretizedActions("agents", directions(2))
        >>> data = TensorDict({("agents", "action"): torch.tensor([[0, 1, 2]])}, [1])
        >>> transform.inv(data)["agents", "action"][0].tolist()
        [[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]
    """

    choices: Tensor

    def __init__(self, group: str, choices: Tensor | Sequence[Sequence[float]]) -> None:
        table = torch.as_tensor(choices, dtype=torch.float32)
        if table.ndim != 2 or not len(table):
            raise ValueError(
                f"DiscretizedActions: choices must be a table [K, A] of at least one action, got the shape "
                f"{tuple(table.shape)}. Use e.g. directions(2)."
            )
        action = (group, "action")
        super().__init__(in_keys_inv=[action], out_keys_inv=[action])
        self.register_buffer("choices", table)

    def _inv_apply_transform(self, action: Tensor) -> Tensor:
        return self.choices[action]

    def transform_action_spec(self, action_spec: TensorSpec) -> TensorSpec:
        """The action spec with integers in place of the group's continuous actions.

        Raises:
            ValueError: the group's actions have another number of features than the table.
        """
        key = self.in_keys_inv[0]
        spec: Composite = action_spec
        before = spec[key]
        if before.shape[-1] != self.choices.shape[-1]:
            raise ValueError(
                f"DiscretizedActions: choices must have {before.shape[-1]} features, those of "
                f"{key!r}, got {self.choices.shape[-1]}."
            )
        spec[key] = Categorical(len(self.choices), before.shape[:-1], device=before.device, dtype=torch.int64)
        return spec


def directions(size: int) -> Tensor:
    """The actions "stay" and full force along every axis, forwards and back, `[2 A + 1, A]`.

    Args:
        size: features A of an action.

    Examples:
        >>> directions(1).tolist()
        [[0.0], [1.0], [-1.0]]
    """
    table = torch.zeros(2 * size + 1, size)
    axes = torch.arange(size)
    table[1 + 2 * axes, axes], table[2 + 2 * axes, axes] = 1.0, -1.0
    return table
