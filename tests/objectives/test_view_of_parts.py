"""A team with both kinds of actions: each part's quantities, joined in the order of the agents."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.specs import TeamSpec

# The agents are discrete, continuous, continuous, discrete.
SPEC = TeamSpec.from_groups(
    {
        "guards": TeamSpec(1, 6, 5, 20, discrete=True, masked=True),
        "cars": TeamSpec(2, 9, 2, 20),
        "scouts": TeamSpec(1, 4, 3, 20, discrete=True),
    }
)
ROWS = 3


@pytest.fixture(scope="module")
def view():
    torch.manual_seed(0)
    parts = make_algorithm("cql", SPEC, hidden_sizes=[8], num_action_samples=2)
    return parts.loss.view(SPEC.fake_batch(ROWS))


def test_each_part_has_its_own_agents_and_kind(view):
    continuous, discrete = view.parts
    assert view.continuous is continuous and not continuous.is_discrete and discrete.is_discrete
    assert continuous.agents == discrete.agents == (ROWS, 2) and view.agents == (ROWS, 4)
    with pytest.raises(ValueError, match=r"CQLLoss: .*continuous and discrete.*batch.parts"):
        _ = view.is_discrete


def test_places_of_parts_are_parts_of_places(view):
    for place in ("next", "target", "next_with_grad", "online"):
        expected = tuple(getattr(part, place) for part in view.parts)
        assert getattr(view, place).parts == expected
        assert getattr(view, place).continuous is expected[0]


def test_quantities_of_parts_are_joined_in_the_order_of_agents(view):
    continuous, discrete = view.parts
    for name in ("q", "q_min"):
        joined = getattr(view, name)
        assert torch.equal(joined[:, 1:3], getattr(continuous, name)), name
        assert torch.equal(joined[:, [0, 3]], getattr(discrete, name)), name
    ones = view.gather(lambda part: torch.full((ROWS, 2, 5), float(part.is_discrete)))
    assert ones.shape == (ROWS, 4, 5) and ones[0, :, 0].tolist() == [1.0, 0.0, 0.0, 1.0]
    first, second = view.gather_all(lambda part: (part.q_min, -part.q_min))
    assert torch.equal(first, view.q_min) and torch.equal(second, -first)


def test_a_part_s_weights_are_those_that_the_whole_team_gives_its_agents(view):
    continuous, discrete = view.parts
    weight = view.agent_weight
    assert weight.shape == (ROWS, 4) and len(weight.unique()) > 4
    assert torch.equal(continuous.agent_weight, weight[:, 1:3])
    assert torch.equal(discrete.agent_weight, weight[:, [0, 3]])
    assert torch.equal(continuous.next.agent_weight, view.next.agent_weight[:, 1:3])
    assert torch.equal(discrete.target.agent_weight, view.target.agent_weight[:, [0, 3]])


def test_diagnostics_of_parts_are_the_team_s(view):
    view.parts[1].record("own", torch.tensor(3.0))
    assert view.metrics["own"] == 3.0
