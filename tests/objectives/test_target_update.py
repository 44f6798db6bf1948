"""`ForeachSoftUpdate` moves targets as TorchRL's `SoftUpdate`, and by how much it says."""

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


def shares_moved(**share: float) -> list[float]:
    """By how much of the way each target moves in one step, where sources are 1 and targets 0."""
    loss = ToyLoss()
    updater = ForeachSoftUpdate(loss, **share)
    with torch.no_grad():
        for source in loss.parameters():
            source.fill_(1.0)
        for target in updater._flat_targets:
            target.zero_()
    updater.step()
    moved_by = {value for target in updater._flat_targets for value in target.unique().tolist()}
    assert all((source == 1).all() for source in loss.parameters())
    return sorted(moved_by)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ({"tau": 0.25}, 0.25),
        ({"eps": 0.75}, 0.25),
        ({"tau": 0.0}, 0.0),
        ({"eps": 1.0}, 0.0),
    ],
)
def test_a_step_is_that_share_of_the_way(share: dict[str, float], expected: float) -> None:
    assert shares_moved(**share) == [expected]


@pytest.mark.parametrize("share", [{"tau": 1.01}, {"tau": -0.01}, {"eps": 1.01}, {"eps": -0.01}])
def test_shares_are_between_zero_and_one(share: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"ForeachSoftUpdate: {next(iter(share))}.*in \[0, 1\]"):
        ForeachSoftUpdate(ToyLoss(), **share)


def test_integers_are_no_part_of_it() -> None:
    loss = ToyLoss()
    updater = ForeachSoftUpdate(loss, tau=0.5)
    assert len(updater._flat_sources) == len(updater._flat_targets) == 8
    assert {id(one) for one in updater._flat_sources} == {id(one) for one in loss.parameters()}
    key = next(iter(updater._sources.keys(True, True)))
    first, *rest = key
    count = torch.tensor([7])
    updater._sources.unlock_().set(key, count)
    updater._targets.unlock_().set((f"target_{first}", *rest), torch.tensor([0]))
    updater.initialized = False
    updater.init_()
    assert len(updater._flat_sources) == 7
