"""Batches as losses read them: entries selected, flags made boolean, padding and absent agents zeroed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.utils import unravel_key
from torch import Tensor

from omiga_torchrl.errors import require_key
from omiga_torchrl.flags import as_flag
from omiga_torchrl.functional import action_index
from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.checks import check_batch, needs_check
from omiga_torchrl.objectives.sequences import prev_actions, require_one_episode, require_sequences
from omiga_torchrl.specs import Kind

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss

# Importance weights under TorchRL's older key; the present one is a field of `tensor_keys`.
_OLD_WEIGHT_KEY = "_weight"


@dataclass
class TeamBatch:
    """The entries of a batch that a loss reads; the data themselves are never written to.

    Attributes:
        data: entries of this step and, under ``"next"``, of the next one.
        size: the batch dimensions ``*B``; in a batch of sequences the last one is time.
        mask: rows ``[*B]`` that have loss terms; None for all.
        weight: importance weight of every row ``[*B]``, or None.
        checked: True if values, not only shapes, are to be checked in this call.
        kind: actions of these agents.
        parts: of a mixed team, the batch of the agents of each kind.
    """

    data: TensorDictBase
    size: torch.Size
    mask: Tensor | None
    weight: Tensor | None
    checked: bool
    kind: Kind
    parts: dict[Kind, TeamBatch] = field(default_factory=dict)


def read_team(loss: TeamLoss, tensordict: TensorDictBase) -> TeamBatch:
    """The batch as ``loss`` reads it, with the agents of all groups in one order.

    Args:
        loss: gives keys, networks and burn-in.
        tensordict: the data, of any number of groups.

    Raises:
        KeyError: an entry is missing.
        ValueError: an entry's shape, dtype or value is not what the loss needs.
    """
    groups = loss.groups
    if groups is None:
        return read_batch(loss, tensordict, "discrete" if loss.is_discrete else "continuous")
    batch = read_batch(loss, tensordict, groups.kind, groups)
    for part in loss.parts:
        batch.parts[part.kind] = read_batch(loss, tensordict, part.kind, part)
    return batch


def read_batch(
    loss: TeamLoss, tensordict: TensorDictBase, kind: Kind, groups: GroupedTeamSpec | None = None
) -> TeamBatch:
    """Select, convert, mask and (for a batch of new shapes or dtypes) check the entries that ``loss`` reads.

    Rows outside of the loss mask and whatever an absent agent sees or does are zeroed before any network
    reads them: zeroing their loss alone would leave ``0 * nan`` in the gradients.

    Args:
        loss: gives keys, networks and burn-in.
        tensordict: the data.
        kind: of the actions of these agents.
        groups: the agents' groups; None for a plain team.

    Raises:
        KeyError: an entry is missing.
        ValueError: an entry's shape, dtype or value is not what the loss needs.
    """
    data = _select(loss, tensordict, groups)
    keys = loss.tensor_keys
    observation = data.get(keys.observation)
    size = observation.shape[:-2]
    mask = _row_mask(loss, tensordict)
    checked = needs_check(loss, data, mask, kind)
    if checked:
        check_batch(loss, data, mask, kind, groups)
    if mask is not None:
        for key in data.keys(True, True):
            data.set(key, zero_where_not(mask, data.get(key)))
    if kind == "discrete":
        data.set(keys.action, action_index(data.get(keys.action), observation.shape[:-1]))
    for prefix in ((), ("next",)):
        _apply_agent_mask(loss, data, prefix)
    if loss.is_recurrent and kind != "mixed":
        _fill_in_prev_actions(loss, data, mask, checked=checked)
    weight = _sample_weight(loss, tensordict, size)
    mask = _without_burn_in(loss, size, mask, observation.device)
    return TeamBatch(data, size, mask, weight, checked, kind)


def zero_where_not(mask: Tensor, value: Tensor) -> Tensor:
    """``value`` with zeros where ``mask``, which has its first dimensions, is False."""
    expanded = mask.reshape(*mask.shape, *[1] * (value.ndim - mask.ndim))
    return torch.where(expanded, value, torch.zeros((), dtype=value.dtype, device=value.device))


def _select(loss: TeamLoss, tensordict: TensorDictBase, groups: GroupedTeamSpec | None) -> TensorDictBase:
    try:
        data = tensordict.select(*loss.in_keys)
    except KeyError:
        for key in loss.in_keys:
            hint = "Rename it with set_keys, or add it to the data."
            require_key(type(loss).__name__, tensordict, key, hint)
        raise
    optional = [*loss.tensor_keys.masks, loss.tensor_keys.steps_to_next_obs]
    if loss.groups is not None:
        optional = [found for key in optional for found in loss.groups.expand_key(key, masked_only=False)]
    for key in optional:
        value = tensordict.get(key, None)
        if value is not None:
            data.set(key, value)
    data = data if groups is None else groups.gather(data)
    for key in loss.tensor_keys.flags:
        value = data.get(key, None)
        if value is not None:
            data.set(key, as_flag(value))
    return data


def _row_mask(loss: TeamLoss, tensordict: TensorDictBase) -> Tensor | None:
    """True at the rows ``[*B]`` that are no padding."""
    mask = None
    for key in loss._loss_mask_keys():
        value = tensordict.get(key, None)
        if value is not None:
            mask = as_flag(value) if mask is None else mask & as_flag(value)
    if mask is None:
        return None
    # [B, 1] is a column of rows, or sequences of one step: the batch size tells.
    is_column = mask.shape[-1:] == (1,) and mask.ndim > tensordict.batch_dims
    return mask.squeeze(-1) if is_column else mask


def _apply_agent_mask(loss: TeamLoss, data: TensorDictBase, prefix: tuple[str, ...]) -> None:
    """Store which agents take part, if the data tell, and zero what the others see and do."""
    names = loss.tensor_keys

    def at(key: NestedKey) -> NestedKey:
        return unravel_key((*prefix, key))

    action_mask, agent_mask = data.get(at(names.action_mask), None), data.get(at(names.agent_mask), None)
    if action_mask is not None:
        can_act = action_mask.any(-1)
        agent_mask = can_act if agent_mask is None else agent_mask & can_act
    if agent_mask is None:
        return
    data.set(at(names.agent_mask), agent_mask)
    for key in (names.observation, names.action):
        value = data.get(at(key), None)
        if value is not None:
            data.set(at(key), zero_where_not(agent_mask, value))


def _fill_in_prev_actions(
    loss: TeamLoss, data: TensorDictBase, mask: Tensor | None, *, checked: bool
) -> None:
    """Store the action before every step, which memories read; there is none before the first."""
    names = loss.tensor_keys
    observation, action = data.get(names.observation), data.get(names.action)
    require_sequences(type(loss).__name__, names.observation, observation, trailing=2)
    time = observation.ndim - 3
    next_data = data.get("next", None)
    for key in loss.prev_action_keys:
        data.set(key, prev_actions(action, time))
        if next_data is not None:
            next_data.set(key, action)
    done = data.get(next_key(names.done), None)
    if checked and done is not None:
        require_one_episode(type(loss).__name__, done.squeeze(-1), mask)


def _sample_weight(loss: TeamLoss, tensordict: TensorDictBase, size: torch.Size) -> Tensor | None:
    if not loss.use_prioritized_weights:
        return None
    for key in (loss.tensor_keys.priority_weight, _OLD_WEIGHT_KEY):
        weight = tensordict.get(key, None)
        if weight is not None:
            return weight.reshape(size)
    return None


def _without_burn_in(
    loss: TeamLoss, size: torch.Size, mask: Tensor | None, device: torch.device
) -> Tensor | None:
    if not loss.burn_in:
        return mask
    if len(size) < 2 or size[-1] <= loss.burn_in:
        raise ValueError(
            f"{type(loss).__name__}: burn_in={loss.burn_in} needs sequences [*batch, time] of at least "
            f"{loss.burn_in + 1} steps, got the batch {tuple(size)}. Increase slice_len."
        )
    after_burn_in = torch.arange(size[-1], device=device) >= loss.burn_in
    return after_burn_in.expand(size) if mask is None else mask & after_burn_in
