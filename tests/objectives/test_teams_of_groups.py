"""Losses of teams whose agents differ, for every algorithm: equal to one team where the groups are alike."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import losses_of
from omiga_torchrl.testing.helpers import keyword_arguments, sequences, without_shape_checks

# Sizes, bounds, numbers of agents and kinds of actions differ; the order is not that of the kinds.
TEAMS = {
    "continuous": TeamSpec.from_groups(
        {
            "cars": TeamSpec(2, 6, 3, 20),
            "drones": TeamSpec(1, 9, 2, 20, action_low=(-1.0, -2.0), action_high=(1.0, 3.0)),
        }
    ),
    "discrete": TeamSpec.from_groups(
        {
            "scouts": TeamSpec(2, 6, 3, 20, discrete=True),
            "guards": TeamSpec(1, 9, 5, 20, discrete=True, masked=True),
        }
    ),
    "mixed": TeamSpec.from_groups(
        {
            "guards": TeamSpec(2, 6, 5, 20, discrete=True, masked=True),
            "cars": TeamSpec(1, 9, 2, 20),
            "scouts": TeamSpec(1, 4, 3, 20, discrete=True),
        }
    ),
}


def kinds(spec):
    return {"discrete" if group.discrete else "continuous" for group in spec.groups.values()}


def is_defined(name, team):
    return kinds(TEAMS[team]) <= set(ALGORITHMS[name].actions) and (name, team) != ("omac", "mixed")


CASES = [pair for pair in product(sorted(ALGORITHMS), TEAMS) if is_defined(*pair)]
ALL = pytest.mark.parametrize(("name", "team"), CASES)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make(name, team, **arguments):
    return make_algorithm(name, TEAMS[team], hidden_sizes=[8], **arguments)


def data_of(name, team, *batch):
    return sequences(TEAMS[team], *batch) if ALGORITHMS[name].sequences else TEAMS[team].fake_batch(*batch)


def repeatable(loss, data):
    torch.manual_seed(1)
    return losses_of(loss(data))


@ALL
@pytest.mark.parametrize("memory", [None, 4], ids=["forward", "recurrent"])
def test_every_parameter_group_learns(name, team, memory):
    algorithm = make(name, team, rnn_hidden_size=memory)
    torch.stack(
        [x.mean() for x in losses_of(algorithm.loss(sequences(TEAMS[team], 6))).values()]
    ).sum().backward()
    for group, parameters in algorithm.parameter_groups.items():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters), group


@ALL
def test_every_group_has_its_own_parameters(name, team):
    algorithm = make(name, team)
    torch.stack(
        [x.mean() for x in losses_of(algorithm.loss(data_of(name, team, 6))).values()]
    ).sum().backward()
    learned = {
        key for key, p in algorithm.loss.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }
    for group in TEAMS[team].groups:
        assert any(f".{group}." in key for key in learned), group


@ALL
def test_the_policy_acts_on_the_keys_of_an_environment(name, team):
    spec, algorithm = TEAMS[team], make(name, team)
    seen = spec.fake_batch(6).exclude("next", *((group, "action") for group in spec.groups))
    acted = algorithm.policy(seen.clone())
    for group, sizes in spec.groups.items():
        action = acted[group, "action"]
        assert action.shape == (
            (6, sizes.n_agents) if sizes.discrete else (6, sizes.n_agents, sizes.action_size)
        )
        if sizes.masked:
            assert seen[group, "action_mask"].gather(-1, action.unsqueeze(-1)).all()
        if not sizes.discrete:
            low, high = torch.tensor(sizes.action_low), torch.tensor(sizes.action_high)
            assert (action >= low - 1e-5).all() and (action <= high + 1e-5).all()


@ALL
def test_keyword_call_and_input(name, team):
    loss, data = make(name, team).loss, data_of(name, team, 6)
    before = data.clone()
    expected = repeatable(loss, data)
    assert (data.exclude(loss.tensor_keys.priority) == before).all()
    torch.manual_seed(1)
    found = loss(**keyword_arguments(loss, data))
    for key, value in zip(loss.out_keys, found if isinstance(found, tuple) else (found,), strict=True):
        if key in expected:
            torch.testing.assert_close(value, expected[key])


@ALL
def test_an_absent_group_changes_nothing(name, team):
    """Whatever agents see and do that take no part, losses and gradients stay as they are."""
    loss, data = make(name, team).loss, data_of(name, team, 6)
    last = list(TEAMS[team].groups)[-1]
    for part in (data, data["next"]):
        part[last, "agent_mask"] = torch.zeros(part[last, "observation"].shape[:-1], dtype=torch.bool)
    found = []
    for value in (0.0, torch.nan):
        data[last, "observation"][:] = data["next", last, "observation"][:] = value
        losses = repeatable(loss, data)
        loss.zero_grad()
        torch.stack([x.mean() for x in losses.values()]).sum().backward()
        found.append({**losses, **{k: p.grad for k, p in loss.named_parameters() if p.grad is not None}})
    for key, expected in found[0].items():
        assert expected.isfinite().all()
        torch.testing.assert_close(found[1][key], expected, msg=str(key))


@ALL
def test_vmaps_over_batches_and_parameters(name, team):
    loss, batches = make(name, team).loss, [data_of(name, team, 4) for _ in range(2)]
    stacked = torch.stack(batches)
    torch.manual_seed(1)
    found = torch.func.vmap(lambda data: losses_of(loss(data)), randomness="same")(stacked)
    for key, value in found.items():
        torch.testing.assert_close(value[1], repeatable(loss, batches[1])[key], msg=str(key))
    params = TensorDict.from_module(loss).data
    both = torch.stack([params.clone(), params.apply(lambda x: 1.1 * x if x.is_floating_point() else x)])

    def evaluate(parameters):
        with parameters.to_module(loss):
            return losses_of(loss(batches[0]))

    torch.manual_seed(1)
    found = torch.func.vmap(evaluate, randomness="same")(both)
    for index in range(2):
        torch.manual_seed(1)
        for key, value in evaluate(both[index]).items():
            torch.testing.assert_close(found[key][index], value, msg=str(key))


@pytest.mark.slow
@ALL
def test_compiles_whole(name, team):
    torch._dynamo.reset()
    loss = make(name, team).loss
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    with without_shape_checks():
        for size in (6, 4):
            data = data_of(name, team, size)
            expected = repeatable(loss, data)
            torch.manual_seed(1)
            for key, value in losses_of(compiled(data)).items():
                torch.testing.assert_close(value, expected[key], msg=str(key))


def halves(data, agents=2):
    """The data of one team as those of two groups of its first and its other agents."""
    split = data.exclude("agents", ("next", "agents"))
    for prefix in ((), ("next",)):
        for name, value in data.get((*prefix, "agents")).items():
            dim = data.batch_dims
            split.set((*prefix, "front", name), value.narrow(dim, 0, agents))
            split.set((*prefix, "back", name), value.narrow(dim, agents, value.shape[dim] - agents))
    return split


def pairs_of_parameters(whole, split):
    """Parameters of one team with those of its two groups that they are made of."""
    for name in whole.networks:
        for prefix in ("", "target_"):
            if not hasattr(whole, f"{prefix}{name}_params"):
                continue
            one = list(getattr(whole, f"{prefix}{name}_params").items(True, True))
            of_groups = list(getattr(split, f"{prefix}{name}_params").items(True, True))
            parts = [[p for key, p in of_groups if group in key] for group in ("front", "back")]
            rest = [[p for key, p in of_groups if "front" not in key and "back" not in key]]
            yield from zip((p for _, p in one), *(parts if parts[0] else rest), strict=True)


def joined(parts, like):
    """Both groups' parameters, or gradients, as one team's: side by side if each agent has its own."""
    if len(parts) == 1 or parts[0].shape == like.shape:
        return sum(parts) if len(parts) == 2 else parts[0]
    return torch.cat(parts)


@pytest.mark.parametrize("mixer", ["auto", "qmix", "none"])
@pytest.mark.parametrize("discrete", [False, True], ids=["continuous", "discrete"])
@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_team_split_into_equal_groups_has_equal_losses(name, discrete, mixer):
    sizes = {"discrete": discrete, "masked": discrete}
    one, half = TeamSpec(4, 5, 3, 7, **sizes), TeamSpec(2, 5, 3, 7, **sizes)
    arguments = {"hidden_sizes": [6], "share_params": False, **({} if name == "bc" else {"mixer": mixer})}
    try:
        whole = make_algorithm(name, one, **arguments).loss.double()
        split = make_algorithm(
            name, TeamSpec.from_groups({"front": half, "back": half}), **arguments
        ).loss.double()
    except ValueError:
        pytest.skip("not defined")
    for all_agents, *parts in pairs_of_parameters(whole, split):
        chunks = [all_agents, all_agents] if parts[0].shape == all_agents.shape else all_agents.data.chunk(2)
        for part, chunk in zip(parts, chunks, strict=False):
            part.data.copy_(chunk.data)
    data = sequences(one, 6).apply(lambda x: x.double() if x.is_floating_point() else x)
    expected, found = repeatable(whole, data), repeatable(split, halves(data))
    for key, value in expected.items():
        assert torch.equal(found[key], value), key
    for losses in (expected, found):
        torch.stack([x.mean() for x in losses.values()]).sum().backward()
    for all_agents, *parts in pairs_of_parameters(whole, split):
        if all_agents.grad is not None:
            grad = joined([part.grad for part in parts], all_agents)
            torch.testing.assert_close(grad, all_agents.grad, rtol=1e-10, atol=1e-14)
