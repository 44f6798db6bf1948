"""Small blocks are joined in order, up to a size."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes
from omiga_torchrl.data.joining import gathered, joined_blocks
from omiga_torchrl.errors import DataError
from omiga_torchrl.testing.layout_contract import assert_equal

from .conftest import make_episodes, make_hunt


def size(block):
    return sum(values.nbytes for values in block.arrays().values())


def test_blocks_are_complete_from_a_size_on():
    parts = [make_episodes((2,), seed=seed) for seed in range(5)]
    one = size(parts[0])
    assert [len(block) for block in joined_blocks(parts, 2 * one)] == [2, 2, 1]
    assert [len(block) for block in joined_blocks([*parts, *parts], 2 * one + 1)] == [3, 3, 3, 1]
    assert [len(block) for block in joined_blocks(parts, one)] == [1] * 5
    assert [len(block) for block in joined_blocks(parts)] == [5]
    assert_equal(Episodes.concatenate(list(joined_blocks(parts, 2 * one))), Episodes.concatenate(parts))


def test_parts_without_a_step_are_left_out():
    none, one = make_episodes((2,)).part(0, 0), make_episodes((2,))
    assert [len(block) for block in joined_blocks([none, one, none, one], 1)] == [1, 1]
    assert list(joined_blocks([none])) == [] and list(joined_blocks([])) == []


def test_parts_of_one_kind_are_gathered_whatever_their_precision():
    one = make_episodes()
    other = one.replaced(reward=one.reward.astype(np.float64), length=one.length.astype(np.int32))
    [block] = gathered([one, other, make_episodes((7,))], "here")
    assert len(block) == 7 and block.steps == 8 + 8 + 7
    assert len(list(gathered([one, other], "here", 1))) == 2


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (make_hunt(), "'action' is None, was floats of"),
        (make_episodes(stored_state=True), r"'state' is floats of \(4,\), was None"),
        (make_episodes(n_agents=3), r"'observation' is floats of \(3, 5\), was floats of \(2, 5\)"),
        (make_episodes(masked=True), r"'action' is whole numbers of \(2,\), was floats of \(2, 2\)"),
    ],
    ids=["groups", "state", "agents", "discrete"],
)
def test_parts_of_another_kind_are_named(other, told):
    with pytest.raises(DataError, match=rf"here: part 2 of the data differs.*{told}"):
        list(gathered([make_episodes(), make_episodes(), other], "here"))
