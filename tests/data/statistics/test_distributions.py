"""Spreads and histograms by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omiga_torchrl.data.statistics.distributions import BINS, Histogram, Spread, even_edges, whole_edges


def test_spread_is_taken_in_double_precision():
    values = np.array([1e8, 1e8 + 8, 1e8 + 16], np.float32)
    assert Spread.of(values) == Spread(1e8, 1e8 + 16, 1e8 + 8, pytest.approx((128 / 3) ** 0.5))


def test_even_edges():
    edges = even_edges(-1.0, 3.0)
    assert len(edges) == BINS + 1
    found = Histogram.of(np.array([-1.0, -0.95, 3.0]), edges)
    assert (found.counts[0], found.counts[-1], sum(found.counts)) == (2, 1, 3)
    assert even_edges(2.0, 2.0)[[0, -1]].tolist() == [1.5, 2.5]


@given(low=st.integers(-50, 50), span=st.integers(0, 500), bins=st.integers(1, 60))
def test_whole_edges_hold_every_number_in_few_bins(low, span, bins):
    edges = whole_edges(low, low + span, bins)
    assert len(edges) - 1 <= bins and len(set(np.diff(edges))) == 1
    assert edges[0] == low - 0.5 and low + span < edges[-1] < low + span + np.diff(edges)[0] + 0.5
    assert sum(Histogram.of(np.arange(low, low + span + 1), edges).counts) == span + 1
