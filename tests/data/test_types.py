"""Types of the arrays of episodes: what is no number or flag is named."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes


def test_flags_are_zeros_and_ones_of_any_type():
    arrays = make_episodes().arrays()
    for dtype in (np.float32, np.int64, np.uint8):
        changed = {**arrays, "terminated": arrays["terminated"].astype(dtype)}
        assert Episodes(**changed).terminated.tolist() == arrays["terminated"].tolist()
    with pytest.raises(DataError, match="'terminated' has type int64"):
        Episodes(**{**arrays, "terminated": arrays["terminated"] * 2})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("reward", lambda a: a.astype("S3"), r"'reward' has type \|S3"),
        ("length", lambda a: a.astype(float), "'length' has type float64"),
        ("observation", lambda a: a[:, 0], r"'observation' has shape \(11, 5\), expected 3 dimensions"),
        ("action", lambda a: a.astype(complex), "'action' has type complex128"),
        ("action_mask", lambda a: a.astype(np.int8), "'action_mask' has type int8"),
        ("truncated", lambda a: a[:, None], r"'truncated' has shape \(8, 1\)"),
    ],
)
def test_others_are_named(name, change, message):
    arrays = make_episodes(masked=True).arrays()
    with pytest.raises(DataError, match=message):
        Episodes(**{**arrays, name: change(arrays[name])})
