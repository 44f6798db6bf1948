"""Small recorded datasets for the tests of `omiga_torchrl.data`."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import AgentArrays, DatasetCard, Episodes, OfflineDataset, write_recording
from omiga_torchrl.specs import TeamSpec


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", str(tmp_path / "cache"))


def make_episodes(lengths=(3, 1, 4), *, n_agents=2, seed=0, masked=False, stored_state=False):
    """Random episodes; odd ones terminate, even ones run out of time."""
    rng = np.random.default_rng(seed)
    lengths = np.array(lengths)
    steps, rows = lengths.sum(), lengths.sum() + len(lengths)
    last = np.cumsum(lengths) - 1
    terminated, truncated = np.zeros(steps, bool), np.zeros(steps, bool)
    terminated[last[1::2]], truncated[last[::2]] = True, True
    action = rng.uniform(-1, 1, (steps, n_agents, 2)).astype(np.float32)
    mask = None
    if masked:
        action = rng.integers(3, size=(steps, n_agents))
        mask = np.ones((rows, n_agents, 3), bool)
    return Episodes(
        observation=rng.normal(size=(rows, n_agents, 5)).astype(np.float32),
        action=action,
        reward=rng.normal(size=steps).astype(np.float32),
        terminated=terminated,
        truncated=truncated,
        length=lengths,
        action_mask=mask,
        state=rng.normal(size=(rows, 4)).astype(np.float32) if stored_state else None,
    )


def make_card(episodes, **changes):
    discrete = episodes.action_mask is not None
    state_size = 4 if episodes.state is not None else episodes.observation[0].size
    spec = TeamSpec(
        *episodes.observation.shape[1:], 3 if discrete else 2, state_size, discrete=discrete, masked=discrete
    )
    fields = {
        "name": "toy/one",
        "task": "vmas/navigation",
        "tier": "mixed",
        "transitions": episodes.steps,
        "episodes": len(episodes),
        "sizes": spec.to_dict(),
        "data_sha256": "0" * 64,
        "reward_std": 1.0,
        "behaviour_return": {"mean": 0.0, "std": 0.0},
    }
    return DatasetCard(**{**fields, **changes})


@pytest.fixture
def write(tmp_path):
    """Write episodes as a dataset and open it."""

    def write(episodes, *, folder="data", card=None, **options):
        write_recording(tmp_path / folder, episodes, card or make_card(episodes))
        return OfflineDataset(tmp_path / folder, **options)

    return write


@pytest.fixture
def episodes():
    return make_episodes()


def make_hunt(lengths=(3, 1, 4), *, seed=0, absent=False, own_reward=False, stored_state=False):
    """Random episodes of two predators with continuous actions, and of one prey with three discrete ones.

    With ``absent`` the second predator takes part in even rows only.
    """
    rng = np.random.default_rng(seed)
    team = make_episodes(lengths, seed=seed)
    steps, rows = team.steps, team.steps + len(team)
    mask = np.ones((rows, 2), bool)
    mask[1::2, 1] = False
    predators = AgentArrays(
        rng.normal(size=(rows, 2, 5)).astype(np.float32),
        rng.uniform(-1, 1, (steps, 2, 2)).astype(np.float32),
        agent_mask=mask if absent else None,
        reward=rng.normal(size=(steps, 2)).astype(np.float32) if own_reward else None,
    )
    legal = rng.random((rows, 1, 3)) < 0.7
    legal[..., 0] = True
    prey = AgentArrays(
        rng.normal(size=(rows, 1, 4)).astype(np.float32),
        np.zeros((steps, 1), np.int64),
        legal,
        reward=rng.normal(size=(steps, 1)).astype(np.float32) if own_reward else None,
    )
    state = rng.normal(size=(rows, 6)).astype(np.float32) if stored_state else None
    return team.replaced(groups={"predators": predators, "prey": prey}, state=state)


HUNT = TeamSpec.from_groups(
    {
        "predators": TeamSpec(2, 5, 2, 14, agents=("wolf_0", "wolf_1")),
        "prey": TeamSpec(1, 4, 3, 14, discrete=True, masked=True, action_low=0.0, action_high=0.0),
    }
)


def make_hunt_card(episodes, **changes):
    spec = HUNT if episodes.state is None else TeamSpec.from_groups(HUNT.groups, 6)
    return make_card(make_episodes(), **{"sizes": spec.to_dict(), "task": "", **changes})
