"""Every loss still gives the numbers that it gave when they were recorded.

Guards against unintended changes of the mathematics: of loss terms, of which network each term's gradient
reaches, of target updates, of what padding and absent agents count for, of every published variant, and of
what a policy does. An intended change is recorded anew with ``python -m tests.objectives.golden --record``.
"""

from __future__ import annotations

from functools import cache

import pytest

from omiga_torchrl.algorithms import ALGORITHMS
from tests.objectives import golden
from tests.objectives.golden_cases import CASES

ALL = [pytest.param(name, case, id=f"{name}/{case}") for name, cases in CASES.items() for case in cases]
read = cache(golden.read)


@pytest.mark.parametrize(("algorithm", "case"), ALL)
def test_numbers_are_those_of_the_record(algorithm, case):
    found = golden.differences(read(algorithm)[case], golden.measure(CASES[algorithm][case]))
    assert {name: by for name, by in found.items() if by > golden.RTOL} == {}


def test_every_algorithm_and_nothing_else_is_recorded():
    files = {file.stem for file in golden.FOLDER.iterdir()}
    assert files == set(ALGORITHMS.registered) == set(CASES)
    assert all(read(name).keys() == cases.keys() for name, cases in CASES.items())
    assert sum(file.stat().st_size for file in golden.FOLDER.iterdir()) < 1_000_000
