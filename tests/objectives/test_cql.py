"""`CQLLoss` and CFCQL refuse what does not fit, and leave out who takes no part."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.objectives import CQLLoss, ForeachSoftUpdate
from omiga_torchrl.specs import TeamSpec
from tests.objectives.contract import CONTINUOUS, DISCRETE, SPECS, losses_of
from tests.objectives.cql_cases import cql_networks, make_cql_loss, one_agent


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cql_alpha": -1.0}, "cql_alpha is -1.0"),
        ({"num_action_samples": 0}, "num_action_samples is 0"),
        ({"entropy_coeff": -0.1}, "entropy_coeff is -0.1"),
        ({"penalty": "joined"}, "unknown penalty 'joined'; did you mean 'joint'"),
        ({"actor_objective": "maxq"}, "unknown actor_objective 'maxq'; did you mean 'max_q'"),
        ({"variant": "oficial"}, "unknown variant 'oficial'; did you mean 'official'"),
        (
            {"penalty_inverse_temperature": 1.0, "penalty": "joint"},
            "penalty_inverse_temperature must be 0 .*got 1.0",
        ),
        (
            {"penalty_inverse_temperature": 1.0, "mixer": "none"},
            "penalty_inverse_temperature must be 0 .*got 1.0",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_algorithm("cql", CONTINUOUS, hidden_sizes=[8], **options)


@SPECS
def test_a_temperature_and_a_behavior_network_come_together(spec):
    *networks, behavior = cql_networks(spec, inverse_temperature=1.0)
    with pytest.raises(ValueError, match=r"a model for penalty_inverse_temperature=1\.0, got None"):
        CQLLoss(*networks, penalty_inverse_temperature=1.0)
    with pytest.raises(ValueError, match=r"None for penalty_inverse_temperature=0\.0, got one"):
        CQLLoss(*networks, behavior_network=behavior)


def test_there_is_no_released_code_for_discrete_actions():
    with pytest.raises(ValueError, match=r"variant must be 'paper' for discrete actions"):
        make_algorithm("cql", DISCRETE, variant="official")


@pytest.mark.parametrize("options", [{"penalty": "summed"}, {"variant": "official"}])
def test_sums_of_log_sums_need_a_linear_mixer(options):
    with pytest.raises(ValueError, match=r"mixer_network must be linear for penalty='summed'.*monotonic"):
        make_algorithm("cql", CONTINUOUS, mixer="qmix", hidden_sizes=[8], **options)
    make_algorithm("cql", CONTINUOUS, mixer="vdn", hidden_sizes=[8], **options)


def test_an_actor_comes_with_critics_of_its_action_and_only_then():
    actor, qvalue, mixer, _ = cql_networks(CONTINUOUS)
    with pytest.raises(ValueError, match="must be a policy where qvalue_network reads an action, got None"):
        CQLLoss(None, qvalue, mixer)
    with pytest.raises(ValueError, match="must be None where qvalue_network reads no action, got one"):
        CQLLoss(actor, *cql_networks(DISCRETE)[1:3])


def test_a_policy_without_bounds_is_refused():
    actor, qvalue, mixer, _ = cql_networks(CONTINUOUS)
    actor[-1].distribution_kwargs.clear()
    with pytest.raises(ValueError, match="must tell the bounds of its actions"):
        CQLLoss(actor, qvalue, mixer)


@pytest.mark.parametrize(("spec", "other"), [(CONTINUOUS, DISCRETE), (DISCRETE, CONTINUOUS)])
def test_other_kinds_of_actions_are_refused(spec, other):
    loss = make_cql_loss(spec, mixer="none")
    ForeachSoftUpdate(loss, tau=0.5)
    data = spec.fake_batch(8)
    data["agents", "action"] = other.fake_batch(8)["agents", "action"]
    with pytest.raises(ValueError, match=r"must be (floats|integers).* for networks of"):
        loss(data)


def test_cfcql_is_cql_with_weights_and_for_one_agent_cql():
    team = make_algorithm("cfcql", DISCRETE, hidden_sizes=[8])
    assert team.loss.penalty == "counterfactual" and team.loss.penalty_inverse_temperature == 0.5
    assert sorted(team.parameter_groups) == ["behavior", "qvalue"]
    alone = make_algorithm("cfcql", one_agent(DISCRETE), hidden_sizes=[8])
    assert sorted(alone.parameter_groups) == ["qvalue"]
    with pytest.raises(ValueError, match=r"cfcql: mixer must be one of .*got 'none'.*Use cql"):
        make_algorithm("cfcql", DISCRETE, mixer="none")


def test_unmasked_discrete_team():
    spec = TeamSpec(3, 5, 4, 7, discrete=True)
    parts = make_algorithm("cql", spec, hidden_sizes=[8])
    torch.stack(list(losses_of(parts.loss(spec.fake_batch(8))).values())).sum().backward()
    assert parts.policy(spec.fake_batch(8))["agents", "action"].shape == (8, 3)


def test_saturated_policies_leave_the_penalty_finite_and_small():
    """Actions that tanh rounds to 1 have a density that only their value before tanh tells."""
    torch.manual_seed(0)
    actor, qvalue, mixer, _ = cql_networks(CONTINUOUS)
    with torch.no_grad():
        actor[0].module.network.body[-1].bias.copy_(torch.tensor([9.0, 9.0, -4.0, -4.0]))
    loss = CQLLoss(actor, qvalue, mixer)
    ForeachSoftUpdate(loss, tau=0.5)
    assert loss(CONTINUOUS.fake_batch(8))["cql_penalty"].abs() < 20


@SPECS
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"inverse_temperature": 2.0},
        {"inverse_temperature": -2.0},
        {"penalty": "joint"},
        {"penalty": "summed"},
    ],
)
def test_absent_agents_have_no_part_in_any_penalty(spec, options):
    torch.manual_seed(0)
    loss = make_cql_loss(spec, reduction="none", **options)
    ForeachSoftUpdate(loss, tau=0.5)
    data = spec.fake_batch(8)
    present = torch.ones(8, 3, dtype=torch.bool)
    present[::2, 2] = False
    present[0] = False  # nobody is left
    found = []
    for _ in range(2):
        data["agents", "agent_mask"] = present
        torch.manual_seed(1)
        found.append(loss(data)["loss_cql"])
        data["agents", "observation"][~present] = float("nan")
        data["agents", "action"][~present] = 1
    torch.testing.assert_close(*found)
    assert found[0][0].abs() < 1e-6 and found[0].isfinite().all() and (found[0][1:].abs() > 1e-3).all()
    found[1].sum().backward()
    assert all(p.grad.isfinite().all() for p in loss.parameters() if p.grad is not None)
