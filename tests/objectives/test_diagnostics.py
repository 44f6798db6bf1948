"""Diagnostics that all losses share: which there are, and over what they are means."""

from __future__ import annotations

import math

import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.objectives.diagnostics import WEIGHT_METRICS, collect_metrics, common_metrics, masked_mean
from omiga_torchrl.specs import TeamSpec
from tests.objectives.small import (
    SmallLoss,
    batch,
    continuous,
    discrete,
    discrete_qvalue,
    linear_mixer,
    monotonic_mixer,
    policy,
    value,
)

X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 6.0, 8.0]])
MASK = torch.tensor([[True, False, True], [False, False, True]])


def with_terms(loss, *terms):
    loss.terms = terms
    return loss


def test_means_over_what_counts():
    assert masked_mean(X, None) == 4.0
    assert masked_mean(X, MASK) == 4.0 and masked_mean(X[:, 0], MASK[:, 1]) == 0.0
    assert masked_mean(X[0], MASK[0]) == 2.0
    assert masked_mean(X, torch.zeros_like(MASK)) == 0.0
    assert masked_mean(torch.where(MASK, X, torch.nan), MASK) == 4.0


def test_means_of_every_agent():
    assert masked_mean(X, None, keep_agents=True).tolist() == [2.5, 4.0, 5.5]
    assert masked_mean(X, MASK, keep_agents=True).tolist() == [1.0, 0.0, 5.5]
    longer = torch.stack([X, 2 * X])  # [B, T, N]
    assert masked_mean(longer, None, keep_agents=True).tolist() == [3.75, 6.0, 8.25]
    both = torch.stack([MASK, ~MASK])
    expected = [(1 + 8) / 2, (4 + 12) / 2, (3 + 8) / 2]
    assert masked_mean(longer, both, keep_agents=True).tolist() == expected


def test_which_there_are():
    assert common_metrics(continuous()) == ["td_error", "global_qvalue"]
    assert common_metrics(with_terms(continuous(), "qvalue", "value")) == [
        "td_error",
        "global_qvalue",
        "global_value",
    ]
    assert common_metrics(with_terms(SmallLoss(value_network=value()), "value")) == ["global_value"]
    assert common_metrics(with_terms(SmallLoss(qvalue_network=discrete_qvalue()), "value")) == []
    assert common_metrics(continuous(linear_mixer())) == ["td_error", "global_qvalue", "mixer_weight"]
    assert "mixer_weight" not in common_metrics(discrete(monotonic_mixer()))
    assert common_metrics(with_terms(discrete(), "actor")) == ["global_value", "entropy"]
    assert "entropy" not in common_metrics(discrete())
    assert "entropy" not in common_metrics(with_terms(continuous(), "actor"))
    assert len(WEIGHT_METRICS) == len(set(WEIGHT_METRICS)) == 3


def test_entropy_is_of_teams_of_one_kind():
    groups = {"a": TeamSpec(1, 4, 3, 5, discrete=True), "b": TeamSpec(2, 4, 2, 5, discrete=True)}
    for kind, expected in ((True, ["entropy"]), (False, [])):
        groups["b"] = TeamSpec(2, 4, 2, 5, discrete=kind)
        loss = make_algorithm("bc", TeamSpec.from_groups(groups), hidden_sizes=[4]).loss
        assert common_metrics(loss) == expected


OBSERVATION = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0], [5.0, 6.0, 7.0]]])
STATE = torch.tensor([[1.0, 2.0, 0.0], [3.0, 6.0, 10.0]])


def collected(loss, recorded=None, **more):
    data = batch(OBSERVATION, torch.tensor([[0, 2], [1, 1]]), state=STATE, **more)
    view = loss.view(data)
    view.record_td_error(torch.tensor([1.0, 3.0]))
    view.metrics.update(recorded or {})
    return collect_metrics(view)


def test_values_are_means_of_the_team_over_critics_and_rows():
    loss = with_terms(discrete(linear_mixer()), "qvalue", "value", "actor")
    found = collected(loss)
    # Q of 0 and 3, 0 and 6, each one more for the second critic; V of 0 and 3, 0 and 7.
    team = [(2 * 3.0 + 1 + 2 * 4.0) / 2, ((6 * 6.0 + 10) + (3 + 6 * 7.0 + 10)) / 2]
    assert found["global_qvalue"] == sum(team) / 2
    assert found["global_value"] == (2 * 3 + 6 * 7 + 10) / 2
    assert found["mixer_weight"].tolist() == [2.0, 4.0] and found["td_error"] == 2.0
    assert not any(value.requires_grad for value in found.values())


def test_entropy_is_over_agents_that_take_part_and_legal_actions():
    loss = with_terms(discrete(), "actor")
    p = OBSERVATION[0, 1].softmax(-1)
    second = -(p * p.log()).sum()
    torch.testing.assert_close(collected(loss)["entropy"], (math.log(3) + second) / 2)
    alone = collected(loss, agent_mask=[[True, False], [True, False]])
    torch.testing.assert_close(alone["entropy"], torch.tensor(math.log(3)))
    # An action that the policy rules out adds nothing.
    given = OBSERVATION.clone()
    given[..., 2] = -torch.inf
    view = with_terms(SmallLoss(actor_network=policy()), "actor").view(batch(given, torch.zeros(2, 2).long()))
    q = torch.tensor([1.0, 2.0]).softmax(-1)
    torch.testing.assert_close(collect_metrics(view)["entropy"], (math.log(2) - (q * q.log()).sum()) / 2)


def test_weights_of_a_mixer_are_means_over_rows_where_the_agent_takes_part():
    loss = with_terms(discrete(linear_mixer()), "qvalue")
    found = collected(loss, agent_mask=[[True, True], [False, True]])
    assert found["mixer_weight"].tolist() == [1.0, 4.0]


def test_what_a_term_has_recorded_is_taken_as_it_is():
    loss = with_terms(discrete(), "qvalue")
    loss.metrics = ("own",)
    found = collected(
        loss, {"global_qvalue": torch.tensor(-1.0), "own": torch.tensor(7.0), "else": torch.ones(())}
    )
    assert found["global_qvalue"] == -1.0 and found["own"] == 7.0
    assert list(found) == ["td_error", "global_qvalue", "own"]
