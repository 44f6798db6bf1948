"""Episodes as the rows of a vault, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import AgentArrays, Episodes
from omiga_torchrl.data.layouts.vault_rows import to_rows
from omiga_torchrl.errors import DataError

# Three episodes of 2, 1 and 2 steps, of which the second one terminates: the rows 0 to 2, 3, and 5 to 7 of
# eight observations are kept.
LENGTH = np.array([2, 1, 2])
NUMBER, STEPS = np.arange(8.0), np.arange(1, 6)
KEPT, IS_STEP = [0, 1, 2, 3, 5, 6, 7], np.array([1, 1, 0, 1, 1, 1, 0], bool)


def make(*, discrete=False, own=False, **masks):
    action = np.stack([STEPS, -STEPS], 1)
    agents = AgentArrays(
        np.stack([NUMBER, 10 + NUMBER], 1)[..., None] * [1.0, 2.0, 3.0],
        np.abs(action) % 4 if discrete else action[..., None] / 2,
        reward=np.stack([STEPS, 2 * STEPS], 1) if own else None,
        **masks,
    )
    last = np.isin(STEPS, [2, 3, 5])
    ends = {"terminated": STEPS == 3, "truncated": last & (STEPS != 3)}
    return Episodes(groups={"agents": agents}, reward=STEPS / 4, length=LENGTH, **ends)


def test_rows_of_continuous_actions():
    block = make()
    rows = to_rows(block)
    assert list(rows) == ["observations", "actions", "rewards", "terminals", "truncations", "infos.state"]
    np.testing.assert_array_equal(
        rows["observations"], block.observation[KEPT].astype(np.float32), strict=True
    )
    np.testing.assert_array_equal(rows["infos.state"], rows["observations"].reshape(7, 6), strict=True)
    steps = np.array([1, 2, 0, 3, 4, 5, 0])
    action = np.stack([steps, -steps], 1)[..., None] / 2
    np.testing.assert_array_equal(rows["actions"], action.astype(np.float32), strict=True)
    rewards = np.stack([steps, steps], 1) / 4
    np.testing.assert_array_equal(rows["rewards"], rewards.astype(np.float32), strict=True)
    np.testing.assert_array_equal(rows["terminals"], np.stack([steps == 3] * 2, 1), strict=True)
    np.testing.assert_array_equal(rows["truncations"], np.stack([~IS_STEP] * 2, 1), strict=True)


def test_masks_and_a_legal_action_where_there_is_none():
    legal = np.zeros((8, 2, 4), bool)
    legal[:, 0, 1:], legal[:, 1, 2:] = True, True
    legal[7, 0] = [False, False, False, True]
    present = np.stack([NUMBER != 4, NUMBER != 6], 1)
    rows = to_rows(make(discrete=True, action_mask=legal, agent_mask=present))
    np.testing.assert_array_equal(rows["infos.legals"], legal[KEPT])
    np.testing.assert_array_equal(rows["infos.agent_mask"], present[KEPT])
    assert rows["actions"].dtype == np.int32
    assert rows["actions"].tolist() == [[1, 1], [2, 2], [1, 2], [3, 3], [0, 0], [1, 1], [3, 2]]
    assert to_rows(make(discrete=True))["actions"].tolist()[2] == [0, 0]


def test_own_rewards_and_states():
    rewards = to_rows(make(own=True))["rewards"]
    assert rewards.dtype == np.float32
    assert rewards.tolist() == [[1, 2], [2, 4], [0, 0], [3, 6], [4, 8], [5, 10], [0, 0]]
    block = make().replaced(state=NUMBER[:, None] * [1, 100])
    np.testing.assert_array_equal(
        to_rows(block)["infos.state"], block.state[KEPT].astype(np.float32), strict=True
    )


def test_groups_have_no_place():
    one = make()
    with pytest.raises(DataError, match="VaultLayout: this layout has no place for the groups a, b"):
        to_rows(one.replaced(groups=dict.fromkeys("ab", one.groups["agents"])))
