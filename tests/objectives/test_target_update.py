from __future__ import annotations

import copy

import pytest
import torch
from torchrl.objectives import SoftUpdate

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from tests.trainers.toy import ToyLoss


def moved(cls: type[SoftUpdate], *, convert: bool = False) -> ToyLoss:
    torch.manual_seed(0)
    loss = ToyLoss()
    updater = cls(loss, tau=0.1)
    for step in range(5):
        if convert and step == 2:
            loss.to(torch.float64)
            loss.load_state_dict(copy.deepcopy(loss.state_dict()))
        with torch.no_grad():
            for parameter in loss.parameters():
                parameter.add_(torch.randn_like(parameter, dtype=torch.float32))
        updater.step()
    return loss


@pytest.mark.parametrize("convert", [False, True])
def test_equals_soft_update(convert: bool) -> None:
    ours, stock = moved(ForeachSoftUpdate, convert=convert), moved(SoftUpdate, convert=convert)
    assert ours.target_a_network_params.dtype == (torch.float64 if convert else torch.float32)
    for name, value in stock.state_dict().items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, ours.state_dict()[name]), name


def test_state_and_errors() -> None:
    loss = ToyLoss()
    updater = ForeachSoftUpdate(loss, eps=0.9)
    assert updater.state_dict() == SoftUpdate(loss, eps=0.9).state_dict()
    updater.initialized = False
    with pytest.raises(RuntimeError, match="Call init_"):
        updater.step()
    updater.init_()
    updater.step()
    assert all(not target.requires_grad for target in updater._flat_targets)
    with pytest.raises(ValueError, match="tau or eps"):
        ForeachSoftUpdate(loss, eps=0.9, tau=0.1)
