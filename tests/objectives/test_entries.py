"""What a term reads of a batch, and how it is reduced: over rows and agents that count, with weights."""

from __future__ import annotations

import pytest
import torch

from tests.objectives.small import batch, continuous, discrete, linear_mixer

ROWS, AGENTS = 3, 2
PER_ROW = torch.tensor([1.0, 2.0, 6.0])
PER_AGENT = torch.tensor([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0]])
SECOND_ROW_OUT = torch.tensor([True, False, True])
ONE_ABSENT = torch.tensor([[True, False], [True, True], [True, True]])


def data(mask=None, weight=None, **more):
    observation = torch.arange(18.0).reshape(ROWS, AGENTS, 3)
    out = batch(observation, torch.tensor([[0, 1], [2, 0], [1, 1]]), **more)
    if mask is not None:
        out["collector", "mask"] = mask
    if weight is not None:
        out["priority_weight"] = torch.as_tensor(weight)
    return out


def view(loss=None, **given):
    return (loss or discrete()).view(data(**given))


def test_a_mean_is_over_all_entries_without_masks():
    assert view().reduce(PER_ROW) == 3.0
    assert view().reduce(PER_AGENT) == 29 / 6


def test_a_mean_leaves_out_rows_and_absent_agents():
    masked = view(mask=SECOND_ROW_OUT, agent_mask=ONE_ABSENT)
    assert masked.reduce(PER_ROW) == 3.5
    assert masked.reduce(PER_AGENT) == pytest.approx(19 / 3)  # 1 + 7 + 11
    # Each mask alone.
    assert view(mask=SECOND_ROW_OUT).reduce(PER_AGENT) == 21 / 4
    assert view(agent_mask=ONE_ABSENT).reduce(PER_AGENT) == 27 / 5
    assert view(agent_mask=ONE_ABSENT).reduce(PER_ROW) == 3.0


def test_what_is_masked_may_be_nan_and_gets_no_gradient():
    x = PER_AGENT.clone()
    x[0, 1] = torch.nan
    x.requires_grad_()
    view(agent_mask=ONE_ABSENT).reduce(x).backward()
    assert torch.equal(x.grad, ONE_ABSENT / 5)


def test_a_mean_over_nothing_is_zero():
    nobody = view(agent_mask=torch.zeros(ROWS, AGENTS, dtype=torch.bool))
    assert nobody.reduce(PER_AGENT) == 0 and nobody.masked_mean(PER_AGENT) == 0
    weighted = view(mask=torch.zeros(ROWS, dtype=torch.bool), weight=[1.0, 2.0, 3.0])
    assert weighted.reduce(PER_ROW) == 0


def test_a_mean_over_one_entry_is_that_entry():
    alone = torch.zeros(ROWS, AGENTS, dtype=torch.bool)
    alone[2, 1] = True
    assert view(agent_mask=alone).reduce(PER_AGENT) == 11
    assert view().reduce(PER_ROW, torch.tensor([False, True, False])) == 2


def test_a_weighted_mean_divides_by_the_weights_that_count():
    assert view(weight=[1.0, 2.0, 0.5]).reduce(PER_ROW) == pytest.approx((1 + 4 + 3) / 3.5)
    masked = view(mask=SECOND_ROW_OUT, weight=[1.0, 2.0, 0.5])
    assert masked.reduce(PER_ROW) == pytest.approx((1 + 3) / 1.5)
    # Every agent has its row's weight.
    absent = view(agent_mask=ONE_ABSENT, weight=[1.0, 2.0, 0.5])
    assert absent.reduce(PER_AGENT) == pytest.approx((1 + 2 * 8 + 0.5 * 18) / (1 + 4 + 1))


def test_a_sum_and_none_keep_weights_and_masks():
    given = {"mask": SECOND_ROW_OUT, "agent_mask": ONE_ABSENT, "weight": [1.0, 2.0, 0.5]}
    assert view(discrete(reduction="sum"), **given).reduce(PER_AGENT) == 1 + 0.5 * 18
    assert view(discrete(reduction="sum")).reduce(PER_AGENT) == 29
    kept = view(discrete(reduction="none"), **given).reduce(PER_AGENT)
    assert kept.tolist() == [[1.0, 0.0], [0.0, 0.0], [3.5, 5.5]]


def test_a_further_restriction_is_of_rows_or_of_entries():
    last_row = torch.tensor([False, False, True])
    first_agent = torch.tensor([[True, False]]).expand(ROWS, AGENTS)
    assert view().reduce(PER_AGENT, last_row) == 9.0
    assert view().reduce(PER_AGENT, first_agent) == pytest.approx(11 / 3)
    masked = view(mask=SECOND_ROW_OUT)
    assert masked.reduce(PER_AGENT, first_agent) == 4.0
    assert masked.restrict(PER_AGENT, first_agent).tolist() == [[True, False], [False, False], [True, False]]
    assert masked.restrict(PER_ROW).tolist() == [True, False, True]
    assert view().restrict(PER_AGENT) is None
    assert view().restrict(PER_AGENT, last_row).tolist() == [[False] * 2, [False] * 2, [True] * 2]


def test_masks_have_the_shape_of_what_they_are_for():
    absent = view(agent_mask=ONE_ABSENT)
    assert absent.mask_for(PER_ROW) is None and torch.equal(absent.mask_for(PER_AGENT), ONE_ABSENT)
    rows = view(mask=SECOND_ROW_OUT)
    assert torch.equal(rows.mask_for(PER_ROW), SECOND_ROW_OUT)
    assert rows.mask_for(PER_AGENT).tolist() == [[True] * 2, [False] * 2, [True] * 2]
    both = view(mask=SECOND_ROW_OUT, agent_mask=ONE_ABSENT)
    assert both.mask_for(PER_AGENT).tolist() == [[True, False], [False, False], [True, True]]


def test_a_diagnostic_is_detached_and_knows_no_importance_weights():
    weighted = view(mask=SECOND_ROW_OUT, weight=[1.0, 2.0, 0.5])
    x = PER_ROW.clone().requires_grad_()
    assert weighted.masked_mean(x) == 3.5 and not weighted.masked_mean(x).requires_grad
    assert weighted.masked_mean(x, torch.tensor([False, True, True])) == 6.0
    weighted.record("of rows", x)
    weighted.record("of some", x, torch.tensor([True, True, False]))
    weighted.record("scalar", x.sum())
    assert weighted.metrics == {"of rows": 3.5, "of some": 1.0, "scalar": 9.0}
    assert not any(one.requires_grad for one in weighted.metrics.values())


def test_weights_tell_their_advantage_their_clipped_share_and_their_sample_size():
    masked = view(agent_mask=ONE_ABSENT)
    weight = torch.tensor([[1.0, 100.0], [1.0, 2.0], [0.0, 0.0]])
    masked.record_weights(weight, PER_AGENT, PER_AGENT > 4)
    assert masked.metrics["advantage"] == 27 / 5
    assert masked.metrics["clip_fraction"] == pytest.approx(3 / 5)
    assert masked.metrics["effective_sample_size"] == pytest.approx(16 / (5 * 6))
    masked.record_weights(weight, PER_AGENT, PER_AGENT > 4, torch.tensor([True, True, False]))
    assert masked.metrics["advantage"] == 3.0
    assert masked.metrics["clip_fraction"] == pytest.approx(1 / 3)
    assert masked.metrics["effective_sample_size"] == pytest.approx(16 / (3 * 6))


def test_the_priority_of_a_row_is_the_mean_error_of_its_agents_that_count():
    plain = view()
    plain.record_td_error(PER_AGENT)
    assert plain.priority.tolist() == [1.5, 4.0, 9.0] and plain.metrics["td_error"] == 29 / 6
    absent = view(agent_mask=ONE_ABSENT, mask=SECOND_ROW_OUT)
    absent.record_td_error(PER_AGENT)
    assert absent.priority.tolist() == [1.0, 0.0, 9.0]
    assert absent.metrics["td_error"] == pytest.approx(19 / 3)
    absent.record_td_error(PER_AGENT, torch.tensor([True, True, False]))
    assert absent.priority.tolist() == [1.0, 0.0, 0.0] and absent.metrics["td_error"] == 1.0


def test_the_priority_of_a_team_is_its_error():
    plain = view()
    assert plain.priority is None
    plain.record_td_error(PER_ROW)
    assert torch.equal(plain.priority, PER_ROW)
    masked = view(mask=SECOND_ROW_OUT)
    masked.record_td_error(PER_ROW)
    assert masked.priority.tolist() == [1.0, 0.0, 6.0]


def test_entries_are_of_the_view_s_step():
    given = {
        "agent_mask": ONE_ABSENT,
        "next_agent_mask": ~ONE_ABSENT,
        "action_mask": torch.ones(ROWS, AGENTS, 3, dtype=torch.bool),
    }
    now = view(**given)
    assert torch.equal(now.agent_mask, ONE_ABSENT) and torch.equal(now.next.agent_mask, ~ONE_ABSENT)
    assert now.action_mask is not None and now.next.action_mask is None and view().action_mask is None
    assert now.agents == (ROWS, AGENTS) and now.mask is None and view().agent_mask is None
    assert now.data["agents", "observation"][1, 0, 0] == 6
    assert now.next.data["agents", "observation"][0, 1, 0] == 13


def test_the_team_s_entries_lose_their_last_dimension():
    loss = continuous(linear_mixer())
    given = batch(
        torch.zeros(2, AGENTS, 1), torch.zeros(2, AGENTS, 1), reward=[3.0, 4.0], ended=[True, False]
    )
    given["next", "done"] = torch.ones(2, 1, dtype=torch.bool)
    seen = loss.view(given)
    assert seen.reward.tolist() == [3.0, 4.0] and seen.terminated.tolist() == [True, False]
    assert seen.done.tolist() == [True, True] and seen.steps_to_next_obs is None
    given["steps_to_next_obs"] = torch.tensor([[2], [5]])
    assert loss.view(given).steps_to_next_obs.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("shape", "hint"), [((3, 2), "per agent"), ((3,), "unsqueeze"), ((3, 1, 1), "per agent")]
)
def test_a_team_s_entry_of_another_shape_is_refused(shape, hint):
    given = data()
    given["next", "reward"] = torch.zeros(shape)
    with pytest.raises(ValueError, match=rf"SmallLoss: .*reward.*{hint}"):
        _ = discrete().view(given).reward


def test_only_sequences_have_steps():
    with pytest.raises(ValueError, match=r"done.*sequences"):
        _ = view().steps
    given = batch(torch.zeros(2, 3, AGENTS, 2), torch.zeros(2, 3, AGENTS, dtype=torch.long))
    steps = discrete().view(given).steps
    assert steps.bootstraps.tolist() == [[True, True, False]] * 2


def test_the_kind_of_actions_is_read_off_the_networks():
    assert view().is_discrete
    assert not continuous().view(batch(torch.zeros(2, 2, 1), torch.zeros(2, 2, 1))).is_discrete
