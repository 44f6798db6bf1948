"""Parameter groups split a loss's parameters, and one optimizer steps them at their rates."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from omiga_torchrl.trainers.parameter_groups import check_parameter_groups, make_optimizer


def loss_of() -> nn.ModuleDict:
    return nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.Linear(3, 1)})


def groups_of(loss: nn.ModuleDict) -> dict[str, list[nn.Parameter]]:
    return {name: list(module.parameters()) for name, module in loss.items()}


def test_groups_keep_names_order_and_parameters() -> None:
    groups = groups_of(loss_of())
    optimizer = make_optimizer(groups, {"b": 0.25, "a": 0.5})
    assert [(one["name"], one["lr"], len(one["params"])) for one in optimizer.param_groups] == [
        ("a", 0.5, 2),
        ("b", 0.25, 2),
    ]
    assert optimizer.param_groups[1]["params"][0] is groups["b"][0]
    assert type(optimizer) is torch.optim.Adam and optimizer.defaults["fused"] is True
    assert [one["lr"] for one in make_optimizer(groups, 0.125).param_groups] == [0.125, 0.125]


def test_a_factory_gets_the_groups() -> None:
    optimizer = make_optimizer(groups_of(loss_of()), 0.5, partial(torch.optim.SGD, momentum=0.9))
    assert type(optimizer) is torch.optim.SGD and optimizer.param_groups[1]["momentum"] == 0.9
    assert optimizer.param_groups[1]["lr"] == 0.5
    wrong: Any = lambda groups: "sgd"  # noqa: E731
    with pytest.raises(TypeError, match=r"OfflineTrainer: optimizer must build.*got str"):
        make_optimizer(groups_of(loss_of()), 0.5, wrong)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_rates_are_positive_and_finite(rate: float) -> None:
    for lr in (rate, {"a": 0.5, "b": rate}):
        with pytest.raises(ValueError, match=rf"lr of group '[ab]' must be positive and finite, got {rate}"):
            make_optimizer(groups_of(loss_of()), lr)
    make_optimizer(groups_of(loss_of()), 1e-12)


def test_every_group_has_a_rate_and_every_rate_a_group() -> None:
    groups = groups_of(loss_of())
    with pytest.raises(ValueError, match=r"unknown parameter group in lr 'aa'; did you mean 'a'"):
        make_optimizer(groups, {"a": 0.5, "b": 0.5, "aa": 0.5})
    with pytest.raises(ValueError, match=r"lr must have an entry for each.*none for \['b'\]"):
        make_optimizer(groups, {"a": 0.5})


def test_groups_that_split_the_loss() -> None:
    loss = loss_of()
    check_parameter_groups(groups_of(loss), loss)
    check_parameter_groups({"all": list(loss.parameters())}, loss)
    loss["b"].requires_grad_(False)
    check_parameter_groups({"a": list(loss["a"].parameters())}, loss)


def test_groups_that_do_not() -> None:
    loss = loss_of()
    a, b = groups_of(loss).values()
    cases: list[tuple[dict[str, list[nn.Parameter]], str]] = [
        ({}, r"parameter_groups is empty"),
        ({"a": a, "none": [], "b": b}, r"group 'none' is empty"),
        ({"a": a, "b": [*b, a[1]]}, r"'a.bias' is in the groups 'a' and 'b'"),
        ({"a": [*a, a[0]], "b": b}, r"'a.weight' is in the groups 'a' and 'a'"),
        (
            {"a": a, "b": [*b, nn.Parameter(torch.ones(5))]},
            r"'b' holds.*shape \(5,\).*no trainable.*ModuleDict",
        ),
        ({"a": a}, r"2 trainable parameters are in no group, the first is 'b.weight'"),
        ({"a": a, "b": b[:1]}, r"1 trainable parameters are in no group, the first is 'b.bias'"),
    ]
    for groups, text in cases:
        with pytest.raises(ValueError, match=rf"OfflineTrainer: .*{text}"):
            check_parameter_groups(groups, loss)
    loss["b"].requires_grad_(False)
    with pytest.raises(ValueError, match=r"'b' holds.*no trainable"):
        check_parameter_groups({"a": a, "b": b}, loss)
