"""Rewards of agents and of groups, for independent critics: by hand, and what is refused."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import losses_of, sequences

PLAIN = TeamSpec(3, 5, 2, 7)
GROUPS = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(1, 9, 2, 20)})
INDEPENDENT = sorted(
    name
    for name, known in ALGORITHMS.items()
    if "none" in known.mixers and hasattr(known.config, "reward_of")
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def with_rewards(spec, rewards):
    """Random data with the given reward of every agent, and another one of the team."""
    data = sequences(spec, 6)
    first = 0
    for name, group in spec.groups.items():
        own = torch.tensor(rewards[first : first + group.n_agents]).reshape(-1, 1)
        data["next", name, "reward"] = own.expand(6, 4, -1, 1).clone()
        first += group.n_agents
    return data


def td_errors(spec, rewards, reward_of):
    """TD errors of agents of IQL where all values are 0: the rewards themselves."""
    loss = make_algorithm(
        "iql", spec, mixer="none", reward_of=reward_of, hidden_sizes=[8], reduction="none"
    ).loss
    for parameter in loss.parameters():
        parameter.data.zero_()
    return loss(with_rewards(spec, rewards))["loss_qvalue"][0, 0]


@pytest.mark.parametrize("spec", [PLAIN, GROUPS], ids=["plain", "groups"])
def test_each_agent_learns_its_own_reward(spec):
    squared = td_errors(spec, [1.0, 2.0, 3.0], "agent")
    torch.testing.assert_close(squared, 2 * torch.tensor([1.0, 4.0, 9.0]))  # two critics


def test_each_group_learns_its_mean():
    torch.testing.assert_close(
        td_errors(GROUPS, [1.0, 2.0, 3.0], "group"), 2 * torch.tensor([2.25, 2.25, 9.0])
    )
    torch.testing.assert_close(td_errors(PLAIN, [1.0, 2.0, 3.0], "group"), torch.full((3,), 8.0))


def test_agents_that_take_no_part_are_not_in_the_mean():
    loss = make_algorithm(
        "iql", PLAIN, mixer="none", reward_of="group", hidden_sizes=[8], reduction="none"
    ).loss
    for parameter in loss.parameters():
        parameter.data.zero_()
    data = with_rewards(PLAIN, [1.0, 2.0, 300.0])
    data["agents", "agent_mask"] = torch.tensor([True, True, False]).expand(6, 4, 3)
    torch.testing.assert_close(loss(data)["loss_qvalue"][0, 0], torch.tensor([4.5, 4.5, 0.0]))


@pytest.mark.parametrize("name", INDEPENDENT)
def test_every_independent_algorithm_reads_them(name):
    torch.manual_seed(0)
    loss = make_algorithm(name, PLAIN, reward_of="agent", hidden_sizes=[8]).loss
    assert (
        not loss.has_mixer
        and ("next", "agents", "reward") in loss.in_keys
        and ("next", "reward") not in loss.in_keys
    )
    found = []
    for last in (3.0, 5.0):
        data = with_rewards(PLAIN, [1.0, 2.0, last])
        torch.manual_seed(1)
        found.append(losses_of(loss(data)))
    assert any(not torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_refused_with_a_mixer():
    with pytest.raises(ValueError, match=r"reward_of must be 'team' with a mixer.*got 'agent'.*mixer='none'"):
        make_algorithm("iql", PLAIN, mixer="linear", reward_of="agent")


def test_missing_rewards_are_named():
    loss = make_algorithm("iql", GROUPS, reward_of="agent", hidden_sizes=[8]).loss
    with pytest.raises(KeyError, match="'next', 'cars', 'reward'"):
        loss(GROUPS.fake_batch(4))
