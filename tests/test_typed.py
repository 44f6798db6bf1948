"""Values held to the annotations of dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.typed import conforms, require_types, told_type


@dataclass(frozen=True)
class Options:
    whole: int = 1
    number: float = 1.0
    flag: bool = True
    sizes: tuple[int, ...] | Mapping[str, tuple[int, ...]] = (1,)
    mode: Literal["mean", "sum"] | None = None
    alpha: float | Literal["auto"] = 1.0
    anything: Any = None


@pytest.mark.parametrize(
    "right",
    [
        {"whole": np.int64(3), "number": np.float32(3.0), "mode": "sum", "alpha": "auto"},
        {"number": 3, "sizes": [3, 4], "anything": object()},
        {"sizes": {"a": [3]}},
    ],
)
def test_right_values_pass(right: dict[str, Any]) -> None:
    require_types("Options", Options(**right))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"whole": True}, "whole is True; expected a whole number"),
        ({"whole": 2.0}, "whole is 2.0; expected a whole number"),
        ({"number": "3"}, "number is '3'; expected a number"),
        ({"flag": 1}, "flag is 1; expected true or false"),
        ({"sizes": [3, "4"]}, "sizes is .3, '4'.; expected a list .each a whole number. or a mapping"),
        ({"mode": "men"}, "unknown mode 'men'; did you mean 'mean'"),
        ({"mode": 3}, "mode is 3; expected one of 'mean', 'sum' or null"),
        ({"alpha": "aut"}, "alpha is 'aut'; did you mean 'auto'. Expected a number or 'auto'"),
        ({"alpha": "3"}, "alpha is '3'; expected a number or 'auto'"),
        ({"alpha": None}, "alpha is None; expected a number or 'auto'"),
    ],
)
def test_wrong_values_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^Options: {message}"):
        require_types("Options", replace(Options(), **wrong))


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_names_arguments_of_another_type(name: str) -> None:
    config = ALGORITHMS[name].config()
    require_types(name, config)
    for field in vars(config):
        for value in ("nonsense", [None], 1 + 2j):
            with pytest.raises((ValueError, TypeError), match=rf"{field}|argument"):
                make_algorithm(name, TeamSpec(2, 3, 2, 4), **{field: value})


def test_several_are_a_list() -> None:
    with pytest.raises(
        ValueError, match=r"^Options: 2 settings are wrong:\n  - Options: whole .*\n  - Options: f"
    ):
        require_types("Options", Options(whole=1.5, flag=0))


def test_unknown_annotations_hold_everything() -> None:
    assert conforms("x", Any) and told_type(dict[str, int]) == "a mapping (each a whole number)"
