"""Faults of entries, one kind at a time, with rows counted by hand."""

from __future__ import annotations

import numpy as np
import torch

from omiga_torchrl.data import episodes_to_tensordict, value_checks
from omiga_torchrl.data.value_checks import (
    find_actions,
    find_copies,
    find_ends,
    find_not_finite,
    in_blocks,
)
from omiga_torchrl.specs import TeamSpec

from .conftest import make_episodes, make_hunt

PLAIN = TeamSpec(2, 5, 2, 10)
MASKED = TeamSpec(2, 5, 3, 10, discrete=True, masked=True)


def converted(*args, **options):
    return episodes_to_tensordict(make_episodes(*args, **options))


def test_sound_data_have_no_fault():
    hunt = episodes_to_tensordict(make_hunt(absent=True, own_reward=True))
    for data in (converted(), hunt):
        assert list(find_not_finite(data)) == list(find_ends(data)) == find_copies(data) == []


def test_rows_that_are_not_finite_are_counted():
    data = converted()
    data["agents", "observation"][2, 0, 1] = float("inf")
    data["agents", "observation"][2, 1, 3] = data["agents", "observation"][5, 1, 0] = float("nan")
    data["next", "reward"][7] = float("-inf")
    assert list(find_not_finite(data)) == [
        "('agents', 'observation') is NaN or infinite in 2 rows, first in row 2",
        "('next', 'reward') is NaN or infinite in 1 rows, first in row 7",
    ]


def actions(data, spec, bounded=True):
    return list(find_actions(data, "agents", spec, bounded))


def test_actions_may_be_on_their_bounds_and_a_rounding_error_beyond():
    data = converted()
    data["agents", "action"][:] = 1 + 1e-6
    data["agents", "action"][::2] = -1 - 1e-6
    assert actions(data, PLAIN) == []
    for value in (1.001, -1.001):
        data["agents", "action"][3, 1, 1] = value
        assert "is outside [-1, 1] in 1 rows, first in row 3" in actions(data, PLAIN)[0]
    assert actions(data, PLAIN, bounded=False) == []


def test_actions_of_absent_agents_and_nan_are_not_outside():
    data = episodes_to_tensordict(make_episodes().replaced())
    data["agents", "agent_mask"] = torch.ones(8, 2, dtype=torch.bool)
    data["agents", "action"][4, 1, 0] = 5
    data["agents", "action"][2, 0, 0] = float("nan")
    assert "in 1 rows, first in row 4" in actions(data, PLAIN)[0]
    data["agents", "agent_mask"][4, 1] = False
    assert actions(data, PLAIN) == []
    data["agents", "agent_mask"][4] = torch.tensor([False, True])
    assert len(actions(data, PLAIN)) == 1


def test_bounds_are_those_of_every_feature_and_agent():
    data = converted()
    data["agents", "action"][:, 0, 1] = 5
    assert len(actions(data, PLAIN)) == 1
    assert actions(data, TeamSpec(2, 5, 2, 10, action_low=-1.0, action_high=(1.0, 5.0))) == []
    high = ((1.0, 1.0), (1.0, 5.0))
    assert len(actions(data, TeamSpec(2, 5, 2, 10, action_low=-1.0, action_high=high))) == 1


def test_numbers_of_actions_are_from_zero_to_the_last():
    data = converted(masked=True)
    data["agents", "action"][0], data["agents", "action"][1] = 0, 2
    for bounded in (True, False):
        assert actions(data, MASKED, bounded) == []
        for value in (3, -1):
            data["agents", "action"][6, 1] = value
            assert "is outside [0, 2] in 1 rows, first in row 6" in actions(data, MASKED, bounded)[0]
        data["agents", "action"][6, 1] = 0


def test_illegal_actions_of_agents_that_live_and_take_part():
    data = converted(masked=True)
    data["agents", "action"][:] = 1
    mask = data["agents", "action_mask"]
    mask[3, 0, 1] = mask[5, 1, 1] = False
    [found] = actions(data, MASKED)
    assert "is illegal under the mask in 2 rows, first in row 3" in found
    mask[3, 0] = False  # dead: no action is legal
    assert "in 1 rows, first in row 5" in actions(data, MASKED)[0]
    data["agents", "agent_mask"] = torch.ones(8, 2, dtype=torch.bool)
    assert len(actions(data, MASKED)) == 1
    data["agents", "agent_mask"][5, 1] = False
    assert actions(data, MASKED) == []
    assert actions(data, TeamSpec(2, 5, 3, 10, discrete=True)) == []
    data["agents", "action"][5, 1] = 7  # of an absent agent
    assert actions(data, MASKED) == []


def test_every_action_has_its_own_place_in_the_mask():
    data = converted((3,), masked=True)
    data["agents", "action"][:] = torch.arange(3)[:, None]
    for action in range(3):
        mask = data["agents", "action_mask"]
        mask[:] = True
        mask[..., action] = False
        assert f"in 1 rows, first in row {action}" in actions(data, MASKED)[0]


def test_the_flags_agree_with_each_other_and_with_the_episodes():
    data = converted((2, 3))  # ends in rows 1 and 4
    assert list(find_ends(data)) == []
    data["next", "done"][1] = False
    assert list(find_ends(data)) == [
        "('next', 'done') is not terminated or truncated in 1 rows, first in row 1",
        "an episode stops without done in 1 rows, first in row 1",
    ]
    data["next", "done"][1] = data["next", "done"][3] = data["next", "truncated"][3] = True
    assert list(find_ends(data)) == [
        "('next', 'done') is true before the end of its episode in 1 rows, first in row 3"
    ]


def test_without_truncations_done_is_terminated():
    data = converted((2, 3))
    del data["next", "truncated"]
    [found] = find_ends(data)  # the first episode is truncated
    assert "not terminated or truncated in 1 rows, first in row 1" in found
    data["next", "terminated"][1] = True
    assert list(find_ends(data)) == []


def test_the_last_row_is_the_end_of_an_episode():
    data = converted((2, 3))
    data["next", "done"][4] = data["next", "terminated"][4] = False
    assert list(find_ends(data)) == ["an episode stops without done in 1 rows, first in row 4"]


def test_only_the_first_block_with_a_fault_is_told(monkeypatch):
    monkeypatch.setattr(value_checks, "ROWS_AT_ONCE", 3)
    data = converted()
    data["next", "reward"][4] = data["next", "reward"][7] = float("nan")
    assert in_blocks(data, find_not_finite) == [
        "('next', 'reward') is NaN or infinite in 1 rows, first in row 1 (counted from row 3)"
    ]
    data["next", "reward"][2] = float("nan")
    assert in_blocks(data, find_not_finite) == [
        "('next', 'reward') is NaN or infinite in 1 rows, first in row 2"
    ]
    assert in_blocks(converted(), find_not_finite) == []


def test_episodes_that_repeat_others_are_counted():
    data = torch.cat([converted((3, 2)), converted((4,), seed=1), converted((3, 2))])
    data["episode"] = torch.tensor([0] * 3 + [1] * 2 + [2] * 4 + [3] * 3 + [4] * 2)
    [found] = find_copies(data)
    assert found.startswith("2 of 5 episodes repeat the actions of another one (first: 3 repeats 0)")
    data["agents", "action"][9, 0, 0] += 0.1
    assert find_copies(data)[0].startswith("1 of 5") and "(first: 4 repeats 1)" in find_copies(data)[0]
    data["agents", "action"][-1, 1, 1] += 0.1
    assert find_copies(data) == []


def test_single_steps_and_equal_discrete_actions_are_chance():
    data = torch.cat([converted((1, 2)), converted((1,))])
    data["episode"] = torch.tensor([0, 1, 1, 2])
    assert find_copies(data) == []
    masked = converted((3, 3), masked=True)
    masked["agents", "action"][:] = 0
    assert find_copies(masked) == []
    masked["agents", "observation"][3:] = masked["agents", "observation"][:3]
    assert find_copies(masked)[0].startswith("1 of 2")


def test_teams_with_some_continuous_actions_are_compared_by_actions():
    hunt = make_hunt((3, 3))
    for group in hunt.groups.values():
        group.action[3:] = group.action[:3]
    assert find_copies(episodes_to_tensordict(hunt))[0].startswith("1 of 2")
    hunt.groups["predators"].action[4] = np.float32(0.123)
    assert find_copies(episodes_to_tensordict(hunt)) == []
