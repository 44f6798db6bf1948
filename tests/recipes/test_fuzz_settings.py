"""Settings of all recipes, changed at random."""

from __future__ import annotations

import os

import pytest

from tests.recipes.fuzz_settings import NAMES, run_cases


@pytest.mark.slow
@pytest.mark.parametrize("recipe", NAMES)
def test_no_setting_ends_in_an_error_of_python_or_torch(recipe: str) -> None:
    cases = run_cases(int(os.environ.get("FUZZ_CASES", "100")), seed=1, recipes=(recipe,))
    raw = [f"{' '.join(case.changes)}: {case.message}" for case in cases if case.outcome == "raw"]
    assert not raw, "\n".join(raw)
    assert any(case.outcome == "refused" for case in cases)
    assert any(case.outcome in ("right", "accepted") for case in cases)
