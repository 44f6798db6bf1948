"""`policy_actions`: what a policy does on data, also with a memory, of groups, sampled, and normalised."""

from __future__ import annotations

import torch
from tensordict import TensorDict

from omiga_torchrl import keys
from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.normalisation import Normalisation
from omiga_torchrl.selection import policy_actions, scaled
from omiga_torchrl.specs import TeamSpec

DISCRETE = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)


def episodes(spec, *lengths):
    """Transitions of whole episodes: what follows a step is what the next one begins with."""
    torch.manual_seed(0)
    data = spec.fake_batch(sum(lengths))
    data[keys.EPISODE] = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    inner = torch.ones(len(data), dtype=torch.bool)
    inner[torch.tensor(lengths).cumsum(0) - 1] = False
    (rows,) = inner.nonzero(as_tuple=True)
    for name in spec.groups:
        for entry in ("observation", "action_mask"):
            if (name, entry) in data.keys(True):
                data["next", name, entry][rows] = data[name, entry][rows + 1]
    return data


def test_a_memory_reads_each_episode_from_its_begin():
    """As in an environment: one step after the other, with the actions that were taken in the data."""
    data = episodes(DISCRETE, 4, 3)
    policy = make_algorithm("bc", DISCRETE, hidden_sizes=[8], rnn_hidden_size=6).policy
    found = policy_actions(policy, data)
    for first, last in ((0, 4), (4, 7)):
        memory, acted = torch.zeros(3, 6), torch.full((3,), -1)
        for row in range(first, last + 1):
            state = data[row] if row < last else data["next"][row - 1]
            seen = {name: state["agents", name] for name in ("observation", "action_mask")}
            step = TensorDict({"agents": {**seen, "last_action": acted}, "policy_memory": memory}, [])
            step["is_init"] = torch.tensor([row == first])
            with torch.no_grad():
                out = policy(step)
            action = out["agents", "action"]
            if row < last:
                assert torch.equal(found.now["agents", "action"][row], action)
                acted = data["agents", "action"][row]
            if row > first:
                assert torch.equal(found.following["agents", "action"][row - 1], action)
            memory = out["next", "policy_memory"]


def test_illegal_actions_are_never_taken():
    data = episodes(DISCRETE, 40)
    policy = make_algorithm("cql", DISCRETE, hidden_sizes=[8]).policy
    found = policy_actions(policy, data)
    for action, state in ((found.now, data), (found.following, data["next"])):
        mask = state["agents", "action_mask"]
        assert mask.gather(-1, action["agents", "action"].unsqueeze(-1)).all()


def test_samples_differ_by_seed_and_modes_do_not():
    spec = TeamSpec(2, 4, 2, 5)
    data, policy = episodes(spec, 6), make_algorithm("bc", spec, hidden_sizes=[8]).policy
    before = torch.get_rng_state()

    def acted(**how):
        return policy_actions(policy, data, **how).now["agents", "action"]

    assert torch.equal(acted(seed=0), acted(seed=1))
    assert torch.equal(acted(deterministic=False, seed=1), acted(deterministic=False, seed=1))
    assert not torch.equal(acted(deterministic=False, seed=0), acted(deterministic=False, seed=1))
    assert torch.equal(before, torch.get_rng_state())


def test_groups_act_under_their_names():
    spec = TeamSpec.from_groups(
        {"cars": TeamSpec(2, 6, 3, 20), "lamps": TeamSpec(1, 4, 5, 20, discrete=True)}
    )
    data, policy = episodes(spec, 5, 2), make_algorithm("bc", spec, hidden_sizes=[8]).policy
    found = policy_actions(policy, data)
    assert found.now["cars", "action"].shape == (7, 2, 3)
    assert (
        found.following["lamps", "action"].shape == (7, 1)
        and not found.now["lamps", "action"].is_floating_point()
    )


def test_scaled_data_are_those_of_a_normalised_dataset():
    raw = OfflineDataset("vmas/navigation/mixed")
    expected = OfflineDataset("vmas/navigation/mixed", normalise_observations=True).data[:50]
    found = scaled(raw.data[:50], Normalisation.of(raw.card))
    for key in (keys.OBSERVATION, ("next", *keys.OBSERVATION), keys.STATE, ("next", keys.STATE)):
        torch.testing.assert_close(found[key], expected[key].as_subclass(torch.Tensor), atol=1e-4, rtol=1e-4)
    assert scaled(raw.data, None) is raw.data
