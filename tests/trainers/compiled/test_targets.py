"""Pairs of sources and targets, found by their memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torchrl.objectives import HardUpdate, SoftUpdate
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.trainers.compiled.targets import target_pairs
from omiga_torchrl.trainers.compiled.tensors import LossTensors
from tests.trainers.toy import ToyLoss


@pytest.mark.parametrize(
    "make",
    [
        partial(SoftUpdate, tau=0.25),
        partial(ForeachSoftUpdate, tau=0.25),
        partial(HardUpdate, value_network_update_interval=1),
    ],
)
def test_moving_the_pairs_is_what_the_updater_does(make: Any) -> None:
    torch.manual_seed(0)
    loss = ToyLoss()
    updater = make(loss)
    known = LossTensors(loss)
    pairs = target_pairs(updater, known)
    assert len(pairs) == len({source for source, _ in pairs}) == len({target for _, target in pairs}) == 8
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.add_(torch.randn_like(parameter))
    share = 1.0 if isinstance(updater, HardUpdate) else 0.25
    expected = {
        target: known.tensors[target].lerp(known.tensors[source].detach(), share) for source, target in pairs
    }
    updater.step()
    if share == 1:
        updater.step()  # its first one only counts
    for target, value in expected.items():
        torch.testing.assert_close(known.tensors[target].data, value)
    live = dict(loss.named_parameters())
    assert {id(known.tensors[source]) for source, _ in pairs} == {id(value) for value in live.values()}


def test_integers_are_no_targets() -> None:
    loss = ToyLoss()
    updater = ForeachSoftUpdate(loss, tau=0.5)
    known = LossTensors(loss)
    key = next(iter(updater._sources.keys(True, True)))
    updater._sources.unlock_().set(key, torch.zeros(1, dtype=torch.long))
    assert len(target_pairs(updater, known)) == 7


def test_other_updaters() -> None:
    known = LossTensors(ToyLoss())
    assert target_pairs(None, known) == []

    class Own(TargetNetUpdater):
        def __init__(self) -> None: ...

    with pytest.raises(ValueError, match=r"must have a SoftUpdate or a HardUpdate.*got Own"):
        target_pairs(Own(), known)
