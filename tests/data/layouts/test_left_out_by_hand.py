"""Last steps that are left out: what they add to the returns, and how they are kept."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.errors import DataError


def flags(text):
    return np.array([one == "1" for one in text], bool)


def make():
    """Two blocks: rewards of 1 to 6 in episodes of 2, 1, 1 and 2 rows, and 10 to 12 in one."""
    left_out = LeftOut()
    left_out.add(np.arange(1.0, 7), np.array([2, 1, 1, 2]), flags("1010"))
    left_out.add(np.arange(10, 13), np.array([3]), flags("1"))
    return left_out


def test_steps_and_returns():
    left_out = make()
    assert left_out.steps == 3
    returns = left_out.whole_returns(np.array([1.0, 3.0, 11.0, 21.0]))
    assert returns.tolist() == [3, 3, 11, 33, 4]  # episodes of a single row come last
    assert [one.dtype for one in left_out.rewards] == [np.float64, np.float64]


def test_the_last_rows_alone_say_the_same():
    left_out = LeftOut()
    left_out.add_last(np.array([2.0, 3.0, 4.0, 6.0]), np.array([2, 1, 1, 2]), flags("1010"))
    expected = make()
    for name in ("rewards", "dropped", "single"):
        assert getattr(left_out, name)[0].tolist() == getattr(expected, name)[0].tolist()


def test_nothing_is_left_out():
    left_out, returns = LeftOut(), np.array([1.0, 2.0])
    assert left_out.steps == 0 and left_out.whole_returns(returns) is returns
    left_out.add(np.ones(3), np.array([2, 1]), flags("00"))
    assert left_out.steps == 0 and left_out.whole_returns(returns) is returns


def test_it_is_kept_beside_a_dataset(tmp_path):
    LeftOut().save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    none = LeftOut.load(tmp_path, 4)
    assert none.steps == 0 and none.rewards[0].tolist() == [0] * 4 and none.dropped[0].tolist() == [False] * 4
    make().save(tmp_path)
    found = LeftOut.load(tmp_path, 4)
    assert found.steps == 3 and found.dropped[0].tolist() == [True, False, False, True]
    assert found.whole_returns(np.zeros(4)).tolist() == [2, 0, 0, 12, 4]
    only_long = LeftOut()
    only_long.add(np.ones(2), np.array([2]), flags("1"))
    only_long.save(tmp_path)
    assert LeftOut.load(tmp_path, 1).whole_returns(np.zeros(1)).tolist() == [1]
    (tmp_path / "left_out.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match="it is converted again"):
        LeftOut.load(tmp_path, 1)
