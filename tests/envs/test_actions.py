"""Conventions of published actions: the same for the data and for the environment."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import TensorDict
from torchrl.envs import check_env_specs

from omiga_torchrl.envs import ExecutedAction, convert_actions, make_env

STORED = [-6.0, -1.0, 0.5, 2.0]
CONVERTED = {
    "raw": STORED,
    "clip": [-1.0, -1.0, 0.5, 1.0],
    "scale": [-1.5, -0.25, 0.125, 0.5],
}
EXECUTED = {"raw": STORED, "clip": [-1.0, -1.0, 0.5, 1.0], "scale": [-24.0, -4.0, 2.0, 8.0]}

finite = arrays.arrays(np.float32, arrays.array_shapes(), elements=st.floats(-8, 8, width=16))


@pytest.mark.parametrize("convention", CONVERTED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stored_actions(convention, dtype):
    stored = np.array(STORED, dtype)
    found = convert_actions(stored, convention)
    assert found.dtype == dtype and found.tolist() == CONVERTED[convention]
    tensor = convert_actions(torch.from_numpy(stored), convention)
    assert torch.equal(tensor, torch.tensor(CONVERTED[convention], dtype=tensor.dtype))
    assert stored.tolist() == STORED


@pytest.mark.parametrize("convention", EXECUTED)
def test_executed_actions(convention):
    data = TensorDict({("agents", "action"): torch.tensor(STORED).reshape(1, 4, 1)}, [1])
    executed = ExecutedAction(convention).inv(data)
    assert executed["agents", "action"].flatten().tolist() == EXECUTED[convention]
    assert data["agents", "action"].flatten().tolist() == STORED


@given(finite)
def test_scaled_data_are_executed_as_they_were_recorded(stored):
    policy = TensorDict({("agents", "action"): torch.from_numpy(convert_actions(stored, "scale"))}, [])
    executed = ExecutedAction("scale").inv(policy)["agents", "action"]
    assert np.array_equal(executed.numpy(), stored)


@given(finite)
def test_clipped_data_lie_in_the_range_and_clipping_again_changes_nothing(stored):
    once = convert_actions(stored, "clip")
    assert np.abs(once).max() <= 1
    assert np.array_equal(convert_actions(once, "clip"), once)


def test_on_any_environment():
    env = make_env("vmas/navigation", num_envs=2, seed=0).append_transform(ExecutedAction("clip"))
    check_env_specs(env)
    # VMAS refuses actions outside its range.
    env.step(env.reset().set(("agents", "action"), torch.full((2, 3, 2), 7.0)))
    assert env.full_action_spec["agents", "action"].space.high.max() == 1


@pytest.mark.parametrize("use", [lambda name: convert_actions(np.zeros(1), name), ExecutedAction])
def test_unknown_convention(use):
    with pytest.raises(ValueError, match=r"unknown action convention 'clipp'; did you mean 'clip'"):
        use("clipp")
