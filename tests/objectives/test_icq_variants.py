"""ICQ's choices by name, what replaces them, and what fits together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omiga_torchrl.objectives.icq_variants import (
    OFFICIAL_BATCH,
    OFFICIAL_BEHAVIOR,
    OFFICIAL_TEAM,
    PAPER,
    ICQVariant,
    check_behavior_network,
    resolve_variant,
)


def resolve(variant="official", *, has_mixer=True, partition_estimate="batch", **overrides):
    return resolve_variant(variant, has_mixer=has_mixer, partition_estimate=partition_estimate, **overrides)


def test_the_paper_is_one_for_all():
    for has_mixer in (True, False):
        for estimate in ("batch", "behavior"):
            assert resolve("paper", has_mixer=has_mixer, partition_estimate=estimate) == PAPER == ICQVariant()


def test_the_paper_s_numbers():
    assert (PAPER.advantage, PAPER.weight_in_exponent, PAPER.target_in_actor) == ("qvalue", True, False)
    assert not (PAPER.normalized_mixer or PAPER.softmax_per_step or PAPER.clamp_critic_weight)
    assert not PAPER.weighted_trace and PAPER.critic_weight_divisor == 1.0
    assert (PAPER.policy_temperature, PAPER.critic_temperature, PAPER.td_lambda) == (1.0, 1000.0, 0.0)
    assert (PAPER.data_copies, PAPER.num_behavior_samples) == (0, 10)


def test_released_codes_are_three():
    assert resolve() == OFFICIAL_TEAM
    assert resolve(has_mixer=False) == OFFICIAL_BATCH
    assert resolve(has_mixer=False, partition_estimate="behavior") == OFFICIAL_BEHAVIOR
    with pytest.raises(ValueError, match=r"ICQLoss: partition_estimate must be 'batch'.*got 'behavior'"):
        resolve(partition_estimate="behavior")


def test_their_numbers():
    team, single, behavior = OFFICIAL_TEAM, OFFICIAL_BATCH, OFFICIAL_BEHAVIOR
    assert (team.policy_temperature, team.critic_temperature, team.td_lambda) == (0.1, 1000.0, 0.75)
    assert (team.advantage, team.weight_in_exponent) == ("counterfactual", False)
    assert team.normalized_mixer and team.softmax_per_step and team.weighted_trace
    assert not team.clamp_critic_weight
    assert (single.advantage, single.critic_weight_divisor, single.clamp_critic_weight) == ("td", 2.0, True)
    assert behavior.advantage == "qvalue" and behavior.clamp_critic_weight and behavior.target_in_actor
    assert (behavior.data_copies, behavior.num_behavior_samples) == (10, 100)
    for one in (single, behavior):
        assert (one.policy_temperature, one.critic_temperature, one.td_lambda) == (600.0, 600.0, 0.0)


def test_what_is_given_replaces_what_is_named():
    assert resolve(td_lambda=0.0, policy_temperature=None) == replace(OFFICIAL_TEAM, td_lambda=0.0)
    own = ICQVariant(advantage="td", data_copies=3)
    assert resolve(own, has_mixer=False) == own and resolve(own, data_copies=0).data_copies == 0
    # Choices themselves need no released code.
    assert resolve(own, partition_estimate="behavior") == own


def test_unknown_names():
    with pytest.raises(ValueError, match=r"ICQLoss: unknown variant 'papr'; did you mean 'paper'"):
        resolve("papr")
    with pytest.raises(ValueError, match=r"ICQLoss: unknown partition_estimate 'bach'; did you mean 'batch'"):
        resolve("paper", partition_estimate="bach")
    with pytest.raises(ValueError, match=r"ICQLoss: unknown advantage 'dt'"):
        ICQVariant(advantage="dt")


@pytest.mark.parametrize("name", ["policy_temperature", "critic_temperature", "critic_weight_divisor"])
def test_temperatures_are_positive(name):
    with pytest.raises(ValueError, match=rf"ICQLoss: {name}.*> 0"):
        ICQVariant(**{name: 0.0})
    assert getattr(ICQVariant(**{name: 1e-9}), name) == 1e-9


@pytest.mark.parametrize(
    ("name", "least"), [("td_lambda", 0), ("num_behavior_samples", 1), ("data_copies", 0)]
)
def test_ranges_of_the_others(name, least):
    assert getattr(ICQVariant(**{name: least}), name) == least
    with pytest.raises(ValueError, match=rf"ICQLoss: {name}"):
        ICQVariant(**{name: least - 1})
    assert ICQVariant(td_lambda=1.0).td_lambda == 1.0
    with pytest.raises(ValueError, match=r"ICQLoss: td_lambda"):
        ICQVariant(td_lambda=1.1)


def test_a_behavior_model_is_there_where_it_is_read():
    check_behavior_network(PAPER, "behavior", True)
    check_behavior_network(PAPER, "batch", False)
    check_behavior_network(OFFICIAL_BATCH, "batch", False)
    with pytest.raises(ValueError, match=r"behavior_network must be a network for .*'behavior', got None"):
        check_behavior_network(PAPER, "behavior", False)
    with pytest.raises(ValueError, match=r"behavior_network must be None for .*'batch', got a network"):
        check_behavior_network(PAPER, "batch", True)


@pytest.mark.parametrize("advantage", ["td", "counterfactual"])
def test_a_partition_function_of_each_state_is_the_baseline(advantage):
    with pytest.raises(ValueError, match=rf"advantage must be 'qvalue' for .*'behavior', got '{advantage}'"):
        check_behavior_network(replace(PAPER, advantage=advantage), "behavior", True)
