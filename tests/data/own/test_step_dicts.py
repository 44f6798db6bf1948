"""What counts as steps as dicts."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.own.step_dicts import comes_and_goes, is_step_dicts


@pytest.mark.parametrize(
    "steps",
    [
        [{"a": np.zeros(3)}],
        ({"a": np.zeros(3)}, {"a": np.zeros(3)}),
        [{"a": 0, "b": 1}],
        [{}, {"a": 1.0}],
        [{"a": np.zeros(3)}, {"a": np.zeros((4, 3))}],
    ],
)
def test_lists_of_one_dict_a_step(steps):
    assert is_step_dicts(steps)


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.zeros(3)},
        np.zeros(3),
        [np.zeros(3)],
        [{"a": np.zeros(3)}, np.zeros(3)],
        [{"a": np.zeros((9, 3))}, {"a": np.zeros((4, 3))}],
        [],
        [{}],
    ],
    ids=["dict", "array", "list of arrays", "mixed", "list of episodes", "nothing", "nobody"],
)
def test_other_forms(other):
    assert not is_step_dicts(other)


def test_agents_come_and_go_if_some_steps_lack_them():
    assert not comes_and_goes([{"a": 0, "b": 0}, {"b": 1, "a": 1}])
    assert comes_and_goes([{"a": 0}, {"a": 0, "b": 0}])
    assert comes_and_goes([{"a": 0}, {"b": 0}])
    assert not comes_and_goes([{"a": 0}, {}, {"a": 0}])  # nobody is there: the end
