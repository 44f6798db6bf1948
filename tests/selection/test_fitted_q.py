"""`StackedFQE`: equal to fits made alone, right where the truth is known, joint critics, bad input."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.selection import FQEConfig, StackedFQE, as_one_agent, joint_action, one_agent_spec
from omiga_torchrl.specs import TeamSpec

TEAM = TeamSpec(n_agents=2, observation_size=4, action_size=2, state_size=5)
MIXED = TeamSpec.from_groups(
    {"cars": TeamSpec(2, 6, 3, 20), "lamps": TeamSpec(1, 4, 5, 20, discrete=True, masked=True)}
)
SMALL = {"hidden_sizes": (8,), "mixer_hidden_sizes": (8,), "batch_size": 16}


def actions_of(spec, policies, data, seed=0):
    torch.manual_seed(seed)
    drawn = [spec.fake_batch(*data.batch_size) for _ in range(policies)]
    return {(name, "action"): torch.stack([one[name, "action"] for one in drawn]) for name in spec.groups}


def pick(actions, *policies):
    return {key: value[list(policies)] for key, value in actions.items()}


@pytest.mark.parametrize("critic", ["linear", "qmix", "none"])
def test_each_fit_equals_one_made_alone(critic):
    torch.manual_seed(0)
    data = TEAM.fake_batch(40)
    actions = actions_of(TEAM, 3, data)
    together = StackedFQE(TEAM, FQEConfig(critic=critic, seeds=2, **SMALL)).for_policies(3)
    together.fit(data, actions, steps=5)
    value = together.values(data, actions)
    alone = StackedFQE(TEAM, FQEConfig(critic=critic, seeds=1, **SMALL), seed=1)
    alone.fit(data, pick(actions, 2), steps=5)
    torch.testing.assert_close(value[2, 1], alone.values(data, pick(actions, 2))[0, 0])
    assert not torch.allclose(value[0, 1], value[2, 1]) and not torch.allclose(value[2, 0], value[2, 1])


def two_states():
    """State 0 leads to state 1, which lasts; both agents must act +1 there for a reward of 1, else 0."""
    torch.manual_seed(0)
    action = torch.randint(2, (512, 2, 1)) * 2.0 - 1
    state = torch.randint(2, (512,))
    seen = torch.nn.functional.one_hot(state, 2).float()
    after = torch.nn.functional.one_hot(torch.ones_like(state), 2).float()
    agents = {"observation": seen.unsqueeze(1).expand(-1, 2, -1), "action": action}
    following = {"observation": after.unsqueeze(1).expand(-1, 2, -1)}
    reward = ((action == 1).all(1).squeeze(-1) & (state == 1)).float()
    over = torch.zeros(512, 1, dtype=torch.bool)
    outcome = {"agents": following, "state": after, "reward": reward.unsqueeze(-1), "done": over}
    outcome["terminated"] = over.clone()
    return TensorDict({"agents": agents, "state": seen, "next": outcome}, [512])


@pytest.mark.parametrize("critic", ["qmix", "joint"])
def test_values_are_those_on_paper(critic):
    """Of the policy that always acts (+1, +1): Q(s0) = 0.8 / 0.2 = 4; of (+1, -1): 0. gamma = 0.8."""
    spec, data = TeamSpec(2, 2, 1, 2), two_states()
    good = torch.ones(512, 2, 1)
    bad = torch.stack([torch.ones(512, 1), -torch.ones(512, 1)], 1)
    actions = {("agents", "action"): torch.stack([good, bad])}
    if critic == "joint":
        actions = {("agents", "action"): joint_action(spec, actions)}
        spec, data = one_agent_spec(spec), as_one_agent(spec, data)
    config = FQEConfig(
        critic=critic, hidden_sizes=(32,), mixer_hidden_sizes=(16,), gamma=0.8, lr=5e-3, tau=0.1,
        batch_size=64, seeds=2,
    )  # fmt: skip
    fits = StackedFQE(spec, config, value_range=(0.0, 5.0)).for_policies(2)
    fits.fit(data, actions, steps=400)
    first = data["state"][:, 0] == 1
    value = fits.values(data[first], {key: one[:, first] for key, one in actions.items()}).mean(-1)
    torch.testing.assert_close(value, torch.tensor([[4.0, 4.0], [0.0, 0.0]]), atol=0.4, rtol=0)


def test_a_team_of_groups_as_one_agent():
    torch.manual_seed(0)
    data = MIXED.fake_batch(6)
    for name in MIXED.groups:
        data["next", name, "action"] = data[name, "action"]
    joint, spec = as_one_agent(MIXED, data), one_agent_spec(MIXED)
    assert joint["agents", "observation"].shape == (6, 1, spec.observation_size) == (6, 1, 20 + 12 + 4)
    assert joint["next", "agents", "action"].shape == (6, 1, spec.action_size) == (6, 1, 2 * 3 + 5)
    assert torch.equal(joint["agents", "action"][:, 0, :6], data["cars", "action"].flatten(1))
    lamps = torch.nn.functional.one_hot(data["lamps", "action"], 5).float()
    assert torch.equal(joint["agents", "action"][:, 0, 6:], lamps.flatten(1))


def test_absent_agents_and_wide_bounds_in_the_joint_action():
    spec = TeamSpec(2, 3, 1, 4, action_low=0.0, action_high=10.0)
    data = spec.fake_batch(3)
    data["agents", "action"] = torch.full((3, 2, 1), 10.0)
    data["agents", "agent_mask"] = torch.tensor([[True, False]]).expand(3, 2)
    joint = as_one_agent(spec, data)
    assert joint["agents", "action"].tolist() == [[[1.0, 0.0]]] * 3
    assert (joint["agents", "observation"][..., -3:] == 0).all()


def test_mixed_groups_fit():
    torch.manual_seed(0)
    data = MIXED.fake_batch(40)
    fits = StackedFQE(MIXED, FQEConfig(seeds=2, **SMALL)).for_policies(2)
    actions = actions_of(MIXED, 2, data)
    fits.fit(data, [actions, actions_of(MIXED, 2, data, seed=1)], steps=3)
    assert fits.values(data[:7], {k: v[:, :7] for k, v in actions.items()}).isfinite().all()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="gamma is 1; expected a number below 1"):
        FQEConfig(gamma=1.0)
    with pytest.raises(ValueError, match="FQEConfig: seeds"):
        FQEConfig(seeds=0)
    with pytest.raises(ValueError, match="unknown mixer 'lienar'; did you mean 'linear'"):
        FQEConfig(critic="lienar").loss(TEAM)
    data = TEAM.fake_batch(8)
    fits = StackedFQE(TEAM, FQEConfig(**SMALL))
    with pytest.raises(ValueError, match=r"AgentMLP: inputs have shape .* 6 features in all"):
        fits.fit(data, {("agents", "action"): torch.rand(1, 8, 2, 3)}, steps=1)
