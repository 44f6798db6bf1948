"""States of trainers of former versions under the names of the present loss and its parameter groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from omiga_torchrl.errors import DataError
from omiga_torchrl.renames import ADDED, rename_entries
from omiga_torchrl.trainers.step import GRAD_NORM_PREFIX


def present_loss_state(state: Mapping[str, Any], loss: nn.Module) -> dict[str, Any]:
    """A loss's state with the entries of the loss that it is loaded into.

    Coefficients, which former losses kept in single precision, are read as the decimal number that was given.

    Args:
        state: ``state_dict`` of a loss of this or a former version.
        loss: the loss.

    Raises:
        DataError: an entry is missing, or has another shape, or the loss does not know it.

    Examples:
        >>> from omiga_torchrl.algorithms import make_bc
        >>> from omiga_torchrl.specs import TeamSpec
        >>> loss = make_bc(TeamSpec(3, 5, 2, 7)).loss
        >>> present_loss_state({**loss.state_dict(), "gamma": torch.tensor(0.9)}, loss)["gamma"]
        tensor(0.9000, dtype=torch.float64)
    """
    own = loss.state_dict()
    found = rename_entries({name: _as_given(value) for name, value in state.items()}, own)
    for name in ADDED:
        if name in own:
            found.setdefault(name, own[name])
    _check_entries(found, own, type(loss).__name__)
    for name, value in own.items():
        if isinstance(value, Tensor) and value.ndim == 0:
            found[name] = torch.as_tensor(found[name], dtype=value.dtype)
    return found


def present_trainer_state(
    state: Mapping[str, Any], loss: nn.Module, parameter_groups: list[str]
) -> dict[str, Any]:
    """A trainer's state under the names of its present loss and parameter groups.

    Args:
        state: ``state_dict`` of a trainer of this or a former version.
        loss: the trainer's loss.
        parameter_groups: names of its parameter groups.

    Raises:
        DataError: the loss's part is not of this loss.
    """
    metrics = {*getattr(loss, "out_keys", ()), *(f"{GRAD_NORM_PREFIX}_{name}" for name in parameter_groups)}
    groups = [rename_entries({g["name"]: g}, parameter_groups) for g in state["optimizer"]["param_groups"]]
    named = [{**group, "name": name} for one in groups for name, group in one.items()]
    window = [
        (list(rename_entries(dict.fromkeys(names), metrics)), *sums)
        for names, *sums in state["metrics"]["families"]
    ]
    return {
        **state,
        "loss_module": present_loss_state(state["loss_module"], loss),
        "optimizer": {**state["optimizer"], "param_groups": named},
        "state": {**state["state"], "_last_log": rename_entries(state["state"]["_last_log"], metrics)},
        "metrics": {"families": window},
    }


def _as_given(value: Any) -> Any:
    if isinstance(value, Tensor) and value.ndim == 0 and value.dtype == torch.float32:
        # The shortest decimal that rounds to the value: 0.99, not 0.9900000095.
        return torch.tensor(float(str(value.cpu().numpy())), dtype=torch.float64)
    return value


def _check_entries(found: Mapping[str, Any], own: Mapping[str, Any], loss: str) -> None:
    shapes = {name: tuple(value.shape) for name, value in own.items() if isinstance(value, Tensor)}
    wrong = [f"no {name!r}" for name in own if name not in found]
    wrong += [f"{name!r}, which it does not have" for name in found if name not in own]
    wrong += [
        f"{name!r} of shape {tuple(found[name].shape)} instead of {shape}"
        for name, shape in shapes.items()
        if isinstance(found.get(name), Tensor) and tuple(found[name].shape) != shape
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise DataError(
            f"OfflineTrainer: the checkpoint must have the entries of this {loss}, got {wrong[0]}{more}. "
            "Build the loss with the algorithm and the arguments of the saved run."
        )
