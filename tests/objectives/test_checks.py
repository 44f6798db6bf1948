"""What a batch is refused for, and exactly when: dtypes, shapes, ranges, of entries that count only."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl import keys
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.objectives.batch import read_team
from omiga_torchrl.objectives.checks import check_batch, check_index, inside_transform, needs_check, unchecked
from omiga_torchrl.specs import TeamSpec
from tests.objectives.small import SmallLoss, batch, continuous, continuous_qvalue, discrete

LOW, HIGH = (-1.0, -2.0), (1.0, 3.0)


def of_discrete(**more):
    return batch(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long), **more)


def of_continuous(**more):
    return batch(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1), **more)


def check(loss, data, mask=None, kind=None):
    check_batch(loss, data, mask, kind or ("discrete" if loss.is_discrete else "continuous"), None)


def bounded(low=-1.0, high=1.0, size=1):
    """A policy of three agents that tells its bounds."""
    spec = TeamSpec(3, 1, size, 4, action_low=low, action_high=high)
    return SmallLoss(
        actor_network=deterministic_actor(spec, hidden_sizes=(4,)), qvalue_network=continuous_qvalue()
    )


# Dtypes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [keys.OBSERVATION, ("next", *keys.OBSERVATION)])
def test_what_networks_read_has_their_dtype_at_both_steps(key):
    data = of_discrete()
    check(discrete(), data)
    data[key] = data[key].double()
    with pytest.raises(
        ValueError, match=r"SmallLoss: .*observation.*must be torch.float32.*got torch.float64"
    ):
        check(discrete(), data)
    # What they do not read may have any, and flags are no numbers.
    data = of_discrete()
    data["next", "reward"] = data["next", "reward"].double()
    data[key] = data[key].bool()
    check(discrete(), data)


def test_half_precision_mixes_with_single_but_not_with_double():
    data = of_discrete()
    for half in (torch.float16, torch.bfloat16):
        for key in (keys.OBSERVATION, ("next", *keys.OBSERVATION)):
            data[key] = data[key].to(half)
        check(discrete(), data)
        check(discrete().to(torch.float16), data)
        with pytest.raises(ValueError, match=r"observation.*must be torch.float64"):
            check(discrete().double(), data)
    with pytest.raises(ValueError, match=r"observation.*must be torch.bfloat16.*got torch.float32"):
        check(discrete().bfloat16(), of_discrete())


def test_kinds_of_actions_are_told_by_their_dtype():
    floats = of_discrete()
    floats["agents", "action"] = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"action.*integers or one-hot.*got torch.float32"):
        check(discrete(), floats)
    for kind in (torch.int32, torch.bool):
        floats["agents", "action"] = torch.zeros(2, 3, 4).to(kind)
        check(discrete(), floats)
    data = of_continuous()
    data["agents", "action"] = torch.zeros(2, 3, 1, dtype=torch.long)
    with pytest.raises(ValueError, match=r"action.*must be floats.*got torch.int64"):
        check(continuous(), data)
    data["agents", "action"] = torch.zeros(2, 3, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"action.*torch.float32.*got float64"):
        check(continuous(), data)
    for key in ("observation", "action"):
        data["agents", key] = data["agents", key].double()
    data["next", "agents", "observation"] = data["next", "agents", "observation"].double()
    check(continuous().double(), data)


# Shapes -------------------------------------------------------------------------------------


def test_observations_have_an_agent_dimension():
    flat = TensorDict({"agents": {"observation": torch.zeros(2, 4)}, "next": {}}, [2])
    with pytest.raises(ValueError, match=r"observation.*agents, features.*got \(2, 4\)"):
        check(discrete(), flat)


def test_networks_that_know_their_number_of_agents_compare_it():
    loss, data = bounded(), of_continuous()
    check(loss, data)
    two = batch(torch.zeros(2, 2, 1), torch.zeros(2, 2, 1))
    with pytest.raises(ValueError, match=r"observation.*agents=3.*\(2, 2, 1\).*n_agents=2"):
        check(loss, two)
    groups = TeamSpec.from_groups(
        {"a": TeamSpec(1, 4, 3, 4, discrete=True), "b": TeamSpec(1, 4, 3, 4, discrete=True)}
    )
    with pytest.raises(ValueError, match=r"agents=2"):
        check_batch(discrete(), of_discrete(), None, "discrete", groups)


@pytest.mark.parametrize("prefix", ["", "next_"])
def test_masks_are_one_flag_an_agent_or_an_action(prefix):
    flags = {
        "agent_mask": torch.ones(2, 3, dtype=torch.bool),
        "action_mask": torch.ones(2, 3, 4, dtype=torch.bool),
    }
    for name, flag in flags.items():
        check(discrete(), of_discrete(**{prefix + name: flag}))
        with pytest.raises(ValueError, match=rf"{name}.*must have the shape.*got.*One flag"):
            check(discrete(), of_discrete(**{prefix + name: flag[:, :2]}))
    with pytest.raises(ValueError, match=r"agent_mask.*\(2, 3\), got \(2, 3, 1\)"):
        check(discrete(), of_discrete(**{f"{prefix}agent_mask": torch.ones(2, 3, 1, dtype=torch.bool)}))


def test_the_loss_mask_is_one_flag_a_row():
    check(discrete(), of_discrete(), torch.ones(2, dtype=torch.bool))
    for shape in ((3,), (2, 3)):
        with pytest.raises(ValueError, match=r"loss mask.*one flag a row, \(2,\)"):
            check(discrete(), of_discrete(), torch.ones(shape, dtype=torch.bool))


def test_actions_are_of_the_agents_of_the_observations():
    data = of_discrete()
    data["agents", "action"] = torch.zeros(2, 2, dtype=torch.long)
    with pytest.raises(ValueError, match=r"action.*agents of.*\(2, 3\).*got the shape \(2, 2\)"):
        check(discrete(), data)
    # Of a team of both kinds, its parts' actions are checked, not its own.
    check(discrete(), data, kind="mixed")


# Ranges -------------------------------------------------------------------------------------


def test_an_index_is_in_its_range():
    action = torch.tensor([[0, 3], [2, 1]])
    check_index("bc", "action", action, 4, None)
    with pytest.raises(ValueError, match=r"bc: 'action' must be in \[0, 3\), got 3"):
        check_index("bc", "action", action, 3, None)
    with pytest.raises(ValueError, match=r"bc: .*got -1"):
        check_index("bc", "action", action - 1, 4, None)
    present = torch.tensor([[True, False], [True, True]])
    check_index("bc", "action", action, 3, present)
    with pytest.raises(ValueError, match=r"got 3"):
        check_index("bc", "action", action, 3, ~present)


def action_of(loss, *features, row=1, agent=2, **masks):
    """Checks a batch where one agent alone does something."""
    data = batch(torch.zeros(2, 3, 1), torch.zeros(2, 3, len(features)))
    data["agents", "action"][row, agent] = torch.tensor(features)
    mask = masks.pop("mask", None)
    for name, flag in masks.items():
        data["agents", name] = flag
    check(loss, data, mask)


@pytest.mark.parametrize("feature", [-1.001, 1.001])
def test_one_action_beyond_the_bounds_is_enough(feature):
    with pytest.raises(ValueError, match=rf"SmallLoss: .*action.*must be in \[-1.0, 1.0\].*got {feature}"):
        action_of(bounded(), feature)
    action_of(bounded(), feature / 1.001)
    loss = bounded()
    loss.checks_bounds = False
    action_of(loss, feature)


def test_bounds_may_be_of_each_feature():
    loss = bounded(LOW, HIGH, size=2)
    action_of(loss, 1.0, 3.0)
    action_of(loss, -1.0, -2.0)
    for beyond in ((1.1, 0.0), (0.0, -2.1), (0.0, 3.1)):
        with pytest.raises(ValueError, match=r"action.*\[-1.0, -2.0\], \[1.0, 3.0\]"):
            action_of(loss, *beyond)
    action_of(loss, 9.0)  # the networks tell of another number of features


def test_the_margin_is_a_share_of_the_range():
    loss = bounded(0.0, 10_000.0)  # the margin is 1
    action_of(loss, 10_001.0)
    action_of(loss, -1.0)
    for beyond in (10_001.01, -1.01):
        with pytest.raises(ValueError, match=r"action.*\[0.0, 10000.0\]"):
            action_of(loss, beyond)


def test_actions_that_do_not_count_may_be_anything():
    rows, agents = torch.tensor([True, False]), torch.ones(2, 3, dtype=torch.bool)
    agents[1, 2] = False
    loss = bounded()
    action_of(loss, 7.0, mask=rows)
    action_of(loss, 7.0, agent_mask=agents)
    action_of(loss, 7.0, mask=~rows, agent_mask=agents)
    action_of(loss, 7.0, mask=rows, agent_mask=~agents)
    for mask, agent_mask in ((~rows, None), (None, ~agents), (~rows, ~agents)):
        flags = {} if agent_mask is None else {"agent_mask": agent_mask}
        with pytest.raises(ValueError, match=r"got 7"):
            action_of(loss, 7.0, mask=mask, **flags)


def test_networks_without_bounds_take_any_action():
    action_of(continuous(), 1e6)


# When ---------------------------------------------------------------------------------------


def test_a_kind_of_batch_is_checked_once():
    loss, data = discrete(), of_discrete()
    assert needs_check(loss, data, None, "discrete") and not needs_check(loss, data, None, "discrete")
    assert needs_check(loss, data, torch.ones(2, dtype=torch.bool), "discrete")
    assert needs_check(loss, data, None, "mixed")
    other = data.clone().set(keys.ACTION, data[keys.ACTION].int())
    assert needs_check(loss, other, None, "discrete")
    assert needs_check(loss, batch(torch.zeros(3, 3, 4), torch.zeros(3, 3).long()), None, "discrete")
    assert not needs_check(loss, other, None, "discrete")


def test_nothing_is_checked_inside_of_a_transform_or_on_demand():
    loss, data = discrete(), of_discrete()
    assert not inside_transform()
    with unchecked():
        assert inside_transform() and not needs_check(loss, data, None, "discrete")
    assert not inside_transform() and needs_check(loss, data, None, "discrete")
    seen = []
    torch.func.vmap(lambda x: (seen.append(inside_transform()), x)[1])(torch.zeros(2))
    assert seen == [True]
    with pytest.raises(RuntimeError), unchecked():
        raise RuntimeError
    assert not inside_transform()


def test_reading_a_batch_checks_it():
    data = of_discrete()
    data["agents", "action"] = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"integers or one-hot"):
        read_team(discrete(), data)
    assert read_team(discrete(), of_discrete()).checked
