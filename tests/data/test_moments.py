"""`RunningMoments`: the same in any blocks, types and ranges."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.moments import RunningMoments


def moments(*blocks):
    found = RunningMoments()
    for block in blocks:
        found.add(np.asarray(block))
    return found


def test_by_hand():
    found = moments([[1.0, 10.0], [3.0, 10.0]], [[8.0, 40.0]])
    assert found.count == 3
    assert found.mean.tolist() == [4.0, 20.0]
    np.testing.assert_allclose(found.std, [np.sqrt(26 / 3), np.sqrt(200)])


def test_all_dimensions_but_the_last_are_counted_together():
    values = np.arange(24.0).reshape(4, 2, 3)
    found = moments(values)
    assert found.count == 8 and found.mean.shape == found.std.shape == (3,)
    np.testing.assert_allclose(found.mean, values.reshape(-1, 3).mean(0))
    np.testing.assert_allclose(found.std, values.reshape(-1, 3).std(0))


@pytest.mark.parametrize("rows", [1, 1023, 1024, 1025, 2500])
def test_blocks_and_chunks_of_any_size_give_the_same(rows):
    values = np.random.default_rng(0).normal(5, 2, (rows, 2, 3))
    for cut in (0, 1, rows // 3, rows):
        found = moments(values[:cut], values[cut:])
        assert found.count == 2 * rows
        np.testing.assert_allclose(found.mean, values.mean((0, 1)))
        np.testing.assert_allclose(found.std, values.std((0, 1)), atol=1e-12)


def test_an_empty_first_block_says_nothing():
    found = moments(np.zeros((0, 2)), np.array([[1e8, 1.0], [1e8 + 1, 1.0]]))
    np.testing.assert_allclose(found.std, [0.5, 0.0])
    assert found.count == 2


def test_features_far_from_zero_keep_their_spread():
    values = np.array([[1e9, -1e9], [1e9 + 2, -1e9 + 4]])
    np.testing.assert_allclose(moments(values).std, [1, 2])
    np.testing.assert_allclose(moments(values[:1], values[1:]).std, [1, 2])
    np.testing.assert_allclose(moments(np.array([[1e6], [1e6 + 1]], np.float32)).std, [0.5])


def test_agents_share_the_first_agents_shift():
    values = np.array([[[1e9], [1e9 + 2]], [[1e9 + 4], [1e9 + 6]]])
    found = moments(values)
    np.testing.assert_allclose(found.mean, [1e9 + 3])
    np.testing.assert_allclose(found.std, [np.sqrt(5)])


def test_constant_features_have_no_spread():
    assert moments(np.full((7, 1), 0.1)).std.item() == 0
    assert moments(np.full((5, 1), 0.1), np.full((5, 1), 0.1)).std.item() == pytest.approx(0, abs=1e-12)


def test_half_precision_does_not_overflow():
    found = moments(np.array([[-300.0], [300.0]], np.float16))
    assert found.mean.item() == 0 and found.std.item() == 300


def test_what_is_not_finite_is_seen_in_the_mean():
    assert not np.isfinite(moments([[1.0], [np.inf]]).mean).any()
    assert np.isnan(moments([[1.0, np.nan]]).mean).tolist() == [False, True]
