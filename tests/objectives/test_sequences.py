"""Sequences for memories: nothing is seen too early, and nothing is left out."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.objectives.sequences import next_step, prev_actions, require_one_episode, with_first_step


def test_a_memory_at_the_next_steps_has_seen_the_first_one():
    now, after = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[1.0, 2.0, 3.0]])
    inputs, following = (TensorDict({"x": one}, [1, 3]) for one in (now, after))
    assert with_first_step(inputs, following, ["x"], 1)["x"].tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_there_is_no_action_before_the_first():
    action = torch.tensor([[[[1.0]], [[2.0]], [[3.0]]]])  # [B, T, N, A]
    assert prev_actions(action, 1).flatten().tolist() == [0.0, 1.0, 2.0]
    assert next_step(torch.tensor([[1, 2, 3]])).tolist() == [[2, 3, 3]]


def test_an_episode_ends_a_sequence():
    done = torch.tensor([[False, False, False, False], [False, True, False, False]])
    ends_there = torch.tensor([[True] * 4, [True, True, False, False]])
    require_one_episode("Loss", done[:1], None)
    require_one_episode("Loss", done, ends_there)
    # Padding may say anything.
    require_one_episode("Loss", done, torch.tensor([[True] * 4, [False, False, True, True]]))
    for mask in (None, torch.ones(2, 4, dtype=torch.bool)):
        with pytest.raises(ValueError, match="Loss: a sequence goes on after a step that is done"):
            require_one_episode("Loss", done, mask)
