"""Advice after a step that is not finite: what stood out most is named."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.trainers.diagnosis import BatchEntry, advise


@pytest.mark.parametrize(
    ("healthy", "expected"),
    [
        ({"global_qvalue": -3e8, "global_value": 2e7}, r"had reached 3e\+08 \(global_qvalue\): divide"),
        ({"global_qvalue": 2e7, "global_value": -3e8}, r"had reached 3e\+08 \(global_value\): divide"),
        ({"global_qvalue": 3.0, "global_value": 2.0}, "^Lower the learning rate"),
    ],
)
def test_the_largest_value_is_named(healthy: dict[str, float], expected: str) -> None:
    scalars = {name: torch.tensor(value) for name, value in healthy.items()}
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(advise(None, scalars))


def test_an_entry_of_the_batch_comes_first() -> None:
    values = {"global_qvalue": torch.tensor(3e8)}
    missing = BatchEntry(("agents", "observation"), 3, float("nan"), {})
    assert advise(missing, values) == "Repair the data: check_dataset lists all such entries."
    large = BatchEntry(("next", "reward"), 3, 1e12, {})
    assert "divide the rewards" in advise(large, values)
    assert "scale the observations" in advise(BatchEntry(missing.key, 3, -1e12, {}), values)
