"""A layout is one short file: what layouts share is a mechanism of its own."""

from __future__ import annotations

import inspect

import pytest

from omiga_torchrl.data.layouts import LAYOUTS

MOST_LINES = 150


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_layout_is_a_short_file(name):
    file = inspect.getsourcefile(type(LAYOUTS[name]))
    with open(file) as source:
        assert sum(1 for _ in source) <= MOST_LINES, file
