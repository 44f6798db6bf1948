"""What `recipes/evaluate.py` refuses."""

from __future__ import annotations

import pytest

from tests.recipes.in_process import load


def test_a_place_for_a_video_that_nobody_asked_for() -> None:
    evaluate = load("evaluate")
    with pytest.raises(ValueError, match=r"evaluate: video_path=a.mp4 needs video=true"):
        evaluate.run(evaluate.EvaluateConfig(policy="policy.pt", video_path="a.mp4"))
