from __future__ import annotations

import time

from omiga_torchrl.timing import compare


def test_the_ratio_is_of_ours_to_the_other():
    found = compare("naps", lambda: time.sleep(0.02), lambda: time.sleep(0.005), steps=1, blocks=3)
    assert found.ratio > 1.5 and found.ours > found.plain
    assert "plain" in str(found) and "ratio" in str(found)
