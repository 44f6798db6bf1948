"""Groups of data and environment: what differs is named, agent by agent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.data import check_dataset, check_dataset_fits, episodes_to_tensordict
from omiga_torchrl.data.spec_checks import find_spec_differences, spec_of, team_reward_of
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

from .conftest import HUNT, make_card, make_episodes, make_hunt, make_hunt_card

WOLVES = HUNT.groups["predators"]


def with_groups(**changes):
    groups = {**HUNT.groups, **changes}
    return TeamSpec.from_groups({name: one for name, one in groups.items() if one is not None}, 14)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (HUNT, []),
        (with_groups(prey=None), ["group 'prey' (agents prey_0) is in the data only"]),
        (
            with_groups(birds=TeamSpec(2, 3, 1, 14)),
            ["group 'birds' (agents birds_0, birds_1) is in the environment only"],
        ),
        (
            with_groups(predators=replace(WOLVES, observation_size=6)),
            ["group 'predators': observation_size is 5 in the data and 6 in the environment"],
        ),
        (
            with_groups(predators=replace(WOLVES, agents=("wolf_0", "fox_0"))),
            [
                "agent 'wolf_1' of group 'predators' is in the data only",
                "agent 'fox_0' of group 'predators' is in the environment only",
            ],
        ),
        (
            with_groups(
                predators=replace(WOLVES, n_agents=1, agents=("wolf_0",)),
                prey=replace(HUNT.groups["prey"], n_agents=2, agents=("hare_0", "wolf_1")),
            ),
            [
                "group 'predators': n_agents is 2 in the data and 1 in the environment",
                "group 'prey': n_agents is 1 in the data and 2 in the environment",
                "agent 'wolf_1' is in group 'predators' in the data and in 'prey' in the environment",
                "agent 'hare_0' of group 'prey' is in the environment only",
            ],
        ),
        (
            TeamSpec.from_groups(dict(reversed(HUNT.groups.items())), 14),
            ["groups come in the order predators, prey in the data and prey, predators in the environment"],
        ),
        (TeamSpec.from_groups(HUNT.groups, 9), ["state_size is 14 in the data and 9 in the environment"]),
    ],
)
def test_differences(given, expected):
    assert find_spec_differences(HUNT, given) == expected


def test_names_of_a_plain_team_are_not_compared():
    team = TeamSpec(2, 5, 2, 10)
    assert find_spec_differences(team, replace(team, agents=("a", "b"))) == []


def test_a_team_and_groups_differ():
    found = find_spec_differences(TeamSpec(3, 5, 2, 14), HUNT)
    assert found[0] == "group 'predators' (agents wolf_0, wolf_1) is in the environment only"
    assert found[2] == "group 'agents' (agents agent_0, agent_1, agent_2) is in the data only"


def test_sizes_of_transitions():
    spec = spec_of(episodes_to_tensordict(make_hunt()))
    assert spec == TeamSpec.from_groups(
        {"predators": WOLVES, "prey": replace(HUNT.groups["prey"], action_low=-1.0, action_high=1.0)}, 14
    )


def checked(episodes, spec=HUNT, change=None):
    data = episodes_to_tensordict(episodes)
    if change is not None:
        change(data)
    check_dataset(data, spec)


def test_groups_that_fit_pass():
    checked(make_hunt())
    checked(make_hunt(absent=True, own_reward=True))


def test_findings_name_the_group():
    def refused(match, change, **options):
        with pytest.raises(DataError, match=match):
            checked(make_hunt(**options), change=change)

    refused(r"\('prey', 'action_mask'\) is missing", lambda data: data["prey"].pop("action_mask"))
    refused("is outside .* in 1 rows", lambda data: data["predators", "action"].__setitem__((3, 1, 0), 2))
    refused(r"\('prey', 'action'\) is outside \[0, 2\]", lambda data: data["prey", "action"].fill_(3))
    refused("there are the groups birds beside predators, prey", lambda data: data.set("birds", data["prey"]))

    def shorten(data):
        data["next", "prey"] = data["next", "prey"].exclude("reward").set("reward", torch.zeros(8, 1))

    refused(r"\('next', 'prey', 'reward'\) has shape \('T', 1\), expected", shorten)


def test_illegal_actions_of_absent_agents_are_nothing():
    episodes = make_hunt(absent=True)
    present = episodes.groups["predators"].agent_mask[episodes.is_step()]
    episodes.groups["predators"].action[~present] = 5
    checked(episodes)
    episodes.groups["predators"].action[present] = 5
    with pytest.raises(DataError, match=r"\('predators', 'action'\) is outside \[-1, 1\]"):
        checked(episodes)


def test_bounds_of_every_feature():
    spec = with_groups(predators=replace(WOLVES, action_low=(-1.0, -0.5), action_high=(1.0, 0.5)))
    episodes = make_hunt()
    episodes.groups["predators"].action[..., 1] *= 0.5
    checked(episodes, spec)
    episodes.groups["predators"].action[2, 0, 1] = 0.6
    with pytest.raises(DataError, match=r"outside \[\(-1, -0.5\), \(1, 0.5\)\] in 1 rows, first in"):
        checked(episodes, spec)


def test_copies_are_found_in_all_groups():
    episodes = make_hunt((3, 3))
    predators, prey = episodes.groups["predators"], episodes.groups["prey"]
    predators.action[3:] = predators.action[:3]
    with pytest.raises(DataError, match="1 of 2 episodes repeat"):
        checked(episodes)
    prey.action[4] = (prey.action[4] + 1) % 3
    prey.action_mask[:] = True
    checked(episodes)


def test_another_rule_of_the_teams_reward_is_found(write):
    env = make_env("vmas/navigation", num_envs=2, shared_rew=False, team_reward="sum")
    assert team_reward_of(env) == "sum"
    episodes = make_episodes((3, 4), n_agents=3)
    recorded = {"recording": {"num_envs": 2}, "team_reward": "mean"}
    with pytest.raises(DataError, match=r"is the mean of .* the sum in the env.*team_reward=mean of"):
        check_dataset_fits(write(episodes, card=make_card(episodes, **recorded)), env)
    # a dataset that does not say how it was made is not held to it
    episodes = make_episodes((3, 4), n_agents=3, seed=1)
    unsaid = write(episodes, card=make_card(episodes), folder="unsaid")
    with pytest.raises(DataError) as error:
        check_dataset_fits(unsaid, env)
    assert "reward" not in str(error.value)


class _Env:
    """Resets of fixed observations, with the sizes of the hunt."""

    def __init__(self, observation):
        self.observation = observation

    def reset(self):
        rows = {name: TensorDict({"observation": one}, [200]) for name, one in self.observation.items()}
        return TensorDict(rows, [200])


def test_first_observations_of_every_group_are_compared(write, monkeypatch):
    monkeypatch.setattr("omiga_torchrl.data.checks.TeamSpec", SimpleNamespace(from_env=lambda env: HUNT))
    episodes = make_hunt((1,) * 300)
    dataset = write(episodes, card=make_hunt_card(episodes))
    rng = np.random.default_rng(1)
    like = {"predators": (200, 2, 5), "prey": (200, 1, 4)}
    fresh = {name: torch.tensor(rng.normal(size=size)).float() for name, size in like.items()}
    check_dataset_fits(dataset, _Env(fresh))
    fresh["prey"][..., 2] += 3
    with pytest.raises(DataError, match=r"of group 'prey' differ .* in 1 of 4 features: agent 0, feature 2"):
        check_dataset_fits(dataset, _Env(fresh))
