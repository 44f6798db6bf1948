"""What one test registers the next one does not see, in whatever order they run."""

from __future__ import annotations

import pytest

from omiga_torchrl.algorithms import ALGORITHMS, BCConfig, register_algorithm
from omiga_torchrl.data import LAYOUTS, Layout, register_layout
from omiga_torchrl.envs import available_tasks, make_tabular_env, register_env


# Three runs, so that one of two processes gets two of them.
@pytest.mark.parametrize("run", range(3))
def test_what_a_test_leaves_behind_is_forgotten(run: int) -> None:
    assert "left/xor" not in available_tasks()
    assert "left" not in LAYOUTS and "left" not in ALGORITHMS
    register_env("left", make_tabular_env, tasks=lambda: ["xor"])
    register_layout("left")(type("Left", (Layout,), {"matches": None, "read": None, "summary": ""}))
    register_algorithm("left", BCConfig)(lambda spec, config: None)  # type: ignore[arg-type, return-value]
    assert "left/xor" in available_tasks() and "left" in LAYOUTS and "left" in ALGORITHMS
