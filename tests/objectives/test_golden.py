"""Every loss still gives the numbers that it gave when they were recorded, to ten digits.

Guards against unintended changes of the mathematics: of loss terms, of which network each term's gradient
reaches, of target updates, of what padding and absent agents count for, and of every published variant. An
intended change is recorded anew with ``python -m tests.objectives.golden --record``.
"""

from __future__ import annotations

import json

import pytest

from tests.objectives.golden import RECORD, RTOL, differences, measure
from tests.objectives.golden_cases import CASES

GOLDEN = json.loads(RECORD.read_text())


@pytest.mark.parametrize("name", GOLDEN)
def test_numbers_are_those_of_the_record(name):
    found = differences(GOLDEN[name], measure(CASES[name]))
    assert {entry: by for entry, by in found.items() if by > RTOL} == {}


def test_every_case_is_recorded():
    assert set(GOLDEN) == set(CASES)
