"""What factorised values can make of the data of games, against numbers worked out by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from omiga_torchrl.behaviors import game_policies
from omiga_torchrl.envs.tabular_factored import factored_values, greedy_joint_policy
from omiga_torchrl.envs.tabular_game import TabularGame
from omiga_torchrl.envs.tabular_games import matrix_game, tabular_game
from omiga_torchrl.envs.tabular_solutions import expected_return, state_visits

ROOT = Path(__file__).parents[2]


def mean_visits(game: TabularGame, tier: str) -> torch.Tensor:
    """Of a tier's policies, each with as many transitions."""
    visits = [state_visits(game, policy) for policy in game_policies(game, tier).values()]
    return sum(one / one.sum() for one in visits) / len(visits)


def reached(name: str, tier: str, mixed: bool) -> float:
    game = tabular_game(name)
    values = factored_values(game, mean_visits(game, tier), mixed=mixed)
    return expected_return(game, greedy_joint_policy(game, values))


def cloned(name: str, tier: str) -> float:
    game = tabular_game(name)
    chosen = F.one_hot(game.joint_actions, game.n_actions).double()
    share = torch.einsum("sj,jnk->snk", mean_visits(game, tier), chosen)
    return expected_return(game, greedy_joint_policy(game, share))


def test_values_by_hand() -> None:
    """Agent 0's good action was played with agent 1's bad one three times in four."""
    game = matrix_game([[5.0, 1.0], [4.0, 0.0]])
    visits = torch.tensor([[1.0, 3.0, 4.0, 0.0]])
    own = factored_values(game, visits, mixed=False)[0]
    assert own[0].tolist() == pytest.approx([(5 + 3 * 1) / 4, 4.0])  # the bad action looks better
    assert own[1].tolist() == pytest.approx([(5 + 4 * 4) / 5, 1.0])
    team = factored_values(game, visits, mixed=True)[0]
    assert (team[:, 0] - team[:, 1]).tolist() == pytest.approx([1.0, 4.0])  # what each action adds


def test_actions_outside_the_data_have_no_value() -> None:
    game = matrix_game([[1.0, 9.0], [9.0, 9.0]])
    for mixed in (False, True):
        q = factored_values(game, torch.tensor([[1.0, 0.0, 0.0, 0.0]]), mixed=mixed)[0]
        assert torch.isinf(q[:, 1]).all() and torch.isfinite(q[:, 0]).all()


def test_the_two_step_game_has_six_and_a_half_for_a_sum() -> None:
    """QMIX, section 5: uniform data of the second matrix are fitted by -1.5, 2.5, 2.5, 6.5."""
    game = tabular_game("two-step")
    uniform = torch.ones_like(game.reward)
    q = factored_values(game, uniform, mixed=True, gamma=0.99)
    steep = q[2, :, 1].sum() - q[2, :, 0].sum()
    assert steep.item() == pytest.approx(6.5 + 1.5)
    first = q[0, 0] - q[0, 0, 0]  # 0.99 times 7 and 6.5
    assert first.tolist() == pytest.approx([0.0, -0.99 * 0.5])


def documented() -> list[list[str]]:
    """Rows of the table in docs/concepts/values.md: game, data, cloned, none, linear and vdn, optimum."""
    text = (ROOT / "docs" / "concepts" / "values.md").read_text(encoding="utf-8")
    table = text.partition("| game, data |")[2].partition("\n\n")[0]
    return [re.split(r", | \| ", line.strip("| ")) for line in table.splitlines()[2:]]


@pytest.mark.parametrize("row", documented(), ids=lambda row: "-".join(row[:2]))
def test_the_worth_of_mixing_is_as_documented(row: list[str]) -> None:
    name, tier, clone, alone, mixed, optimum = row
    game = tabular_game(name)
    best = [expected_return(game, policy) for policy in game_policies(game, "experts").values()]
    found = (cloned(name, tier), reached(name, tier, mixed=False), reached(name, tier, mixed=True), max(best))
    told = (clone, alone, mixed, optimum)
    for value, text in zip(found, told, strict=True):
        assert text == "by chance" or value == pytest.approx(float(text)), row


def test_agents_that_have_to_agree_have_equal_values_and_a_sum_may_prefer_the_wrong_pair() -> None:
    game = tabular_game("xor")
    visits = mean_visits(game, "experts")
    for mixed in (False, True):
        q = factored_values(game, visits, mixed=mixed)
        assert (q[0, :, 0] - q[0, :, 1]).abs().max().item() < 1e-9
    # Both agents may value action 0 higher: no joint action of the data gets another value.
    q = q + torch.tensor([0.3, -0.3])
    joint = q[0, torch.arange(2), game.joint_actions].sum(-1)
    assert joint[visits[0] > 0].tolist() == pytest.approx([joint[1].item()] * 2)
    assert expected_return(game, greedy_joint_policy(game, q)) == 0


def test_an_iteration_that_does_not_settle_is_said() -> None:
    game = tabular_game("bridge-ends")
    with pytest.raises(ArithmeticError, match="no fixed point within 3000 iterations"):
        factored_values(game, mean_visits(game, "lone-experts"), mixed=True)


def test_returns_are_those_of_the_time_limit() -> None:
    game = tabular_game("bridge")
    stay = torch.zeros_like(game.reward)
    stay[:, 0] = 1  # both stay where they are: 20 times the same distance
    assert expected_return(game, stay) == pytest.approx(20 * game.reward[game.start, 0].item(), rel=1e-6)
    visits = state_visits(game, stay)
    assert visits.sum().item() == 20 and visits[game.start, 0].item() == 20
