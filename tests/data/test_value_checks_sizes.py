"""`find_sizes`: entries that are missing, of other sizes, or of groups that nobody knows."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.data import episodes_to_tensordict
from omiga_torchrl.data.value_checks import find_copies, find_ends, find_sizes
from omiga_torchrl.specs import TeamSpec

from .conftest import HUNT, make_episodes, make_hunt

PLAIN = TeamSpec(2, 5, 2, 10)
MASKED = TeamSpec(2, 5, 3, 10, discrete=True, masked=True)


def converted(*args, **options):
    return episodes_to_tensordict(make_episodes(*args, **options))


def test_sound_data_have_no_fault():
    assert list(find_sizes(converted(), PLAIN)) == []
    assert list(find_sizes(converted(masked=True), MASKED)) == []
    assert list(find_sizes(episodes_to_tensordict(make_hunt(absent=True, own_reward=True)), HUNT)) == []


@pytest.mark.parametrize(
    "key",
    [
        ("agents", "observation"), ("next", "agents", "observation"), ("agents", "action"),
        ("agents", "action_mask"), ("next", "agents", "action_mask"), "state", ("next", "state"),
        ("next", "reward"), ("next", "done"), ("next", "terminated"),
    ],
)  # fmt: skip
def test_every_entry_must_be_there(key):
    data = converted(masked=True)
    del data[key]
    assert next(find_sizes(data, MASKED)) == f"{key!r} is missing"


def test_what_is_not_needed_may_be_missing():
    data = converted()
    del data["episode"]
    assert list(find_sizes(data, PLAIN)) == list(find_ends(data)) == find_copies(data) == []
    del data["next", "truncated"]
    assert list(find_sizes(data, PLAIN)) == []


@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        (TeamSpec(3, 5, 2, 10), {"observation", "action"}),
        (TeamSpec(2, 4, 2, 10), {"observation"}),
        (TeamSpec(2, 5, 1, 10), {"action"}),
        (TeamSpec(2, 5, 2, 9), {"state"}),
        (TeamSpec(2, 5, 2, 10, discrete=True), {"action"}),
    ],
)
def test_other_sizes_are_named(spec, keys):
    found = list(find_sizes(converted(), spec))
    assert {word for word in ("observation", "action", "state", "reward") if f"{word}'" in str(found)} == keys
    assert all("has shape ('T', " in one and "expected ('T', " in one for one in found)


def test_masks_and_own_rewards_have_one_value_an_agent():
    data = episodes_to_tensordict(make_hunt(absent=True, own_reward=True))
    data["predators", "agent_mask"] = data["predators", "agent_mask"].unsqueeze(-1)
    del data["next", "predators", "agent_mask"]
    data["next", "prey", "reward"] = torch.zeros(8, 1)
    first, second, third = find_sizes(data, HUNT)
    assert "('predators', 'agent_mask') has shape ('T', 2, 1), expected ('T', 2)" in first
    assert second == "('next', 'predators', 'agent_mask') is missing"
    assert "('next', 'prey', 'reward') has shape ('T', 1), expected ('T', 1, 1)" in third


def test_a_reward_of_every_agent_is_said_to_be_no_teams():
    data = converted()
    data["next", "reward"] = torch.zeros(8, 2)
    [found] = find_sizes(data, PLAIN)
    assert "expected ('T', 1): one reward of the team is expected" in found
    data["next", "done"] = torch.zeros(8, 2, dtype=torch.bool)
    assert "one reward" not in list(find_sizes(data, PLAIN))[1]


def test_groups_that_nobody_knows_are_named():
    data = episodes_to_tensordict(make_hunt())
    only = TeamSpec.from_groups({"predators": HUNT.groups["predators"]}, 14)
    assert list(find_sizes(data, only)) == ["there are the groups prey beside predators"]
