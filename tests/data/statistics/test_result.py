"""`DatasetStatistics`: measures of numbers that are given."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omiga_torchrl.data.ends import DatasetEnds
from omiga_torchrl.data.statistics.distributions import Histogram, Spread
from omiga_torchrl.data.statistics.result import DatasetStatistics
from omiga_torchrl.data.statistics.scan import ActionStatistics, GroupStatistics
from omiga_torchrl.errors import DataError

EMPTY = Histogram((0.0, 1.0), (0,))


def group(*unique):
    action = ActionStatistics(True, ((0.0,),), ((2.0,),), None, ((EMPTY,),))
    return GroupStatistics(unique, action, (-1.0, -2.0), (3.0, 4.0), (1.0,) * len(unique))


def statistics(groups=None, **changes):
    fields = {
        "transitions": 8, "episodes": 2, "duplicate_episodes": 0, "terminated": 0.5, "truncated": 0.5,
        "unfinished": 0.0, "episode_return": Spread(1.0, 5.0, 3.0, 2.0), "episode_length": Spread(4, 4, 4, 0),
        "reward": Spread(0.0, 1.0, 0.5, 0.5), "unique_joint": 6,
        "groups": groups or {"agents": group(4, 2)}, "random_return": None, "best_return": None,
        "return_histogram": EMPTY, "length_histogram": EMPTY, "reward_histogram": EMPTY,
        "ends": DatasetEnds(np.array([4, 4]), np.array([0, 1], np.uint8), {"padding": 3}, ("note",)),
    }  # fmt: skip
    return DatasetStatistics(**{**fields, **changes})


@pytest.mark.parametrize(
    ("low", "high", "quality"),
    [(1.0, 5.0, 0.5), (2.0, 4.0, 0.5), (4.0, 5.0, -1.0), (0.0, 2.0, 1.5), (0.0, 3.0, 1.0)],
)
def test_trajectory_quality_is_the_mean_between_random_and_best(low, high, quality):
    assert statistics(random_return=low, best_return=high).tq == pytest.approx(quality)


@pytest.mark.parametrize(("low", "high"), [(None, 5.0), (1.0, None), (None, None), (5.0, 5.0), (5.0, 4.0)])
def test_without_references_there_is_no_quality(low, high):
    assert statistics(random_return=low, best_return=high).tq is None


def test_unique_pairs_per_transition():
    plain = statistics()
    assert plain.joint_saco == 0.75 and plain.oaco == (0.5, 0.25) and plain.average_oaco == 0.375
    hunt = statistics({"wolves": group(4, 2), "hare": group(8)})
    assert hunt.unique_local == (4, 2, 8) and hunt.oaco == (0.5, 0.25, 1.0)
    assert hunt.average_oaco == pytest.approx(14 / 24)


def test_a_plain_team_has_its_statistics_at_hand():
    plain = statistics()
    assert plain.is_plain and plain.action is plain.groups["agents"].action
    assert (plain.observation_minimum, plain.observation_maximum) == ((-1.0, -2.0), (3.0, 4.0))


@pytest.mark.parametrize("name", ["action", "observation_minimum", "observation_maximum"])
def test_teams_of_groups_have_them_by_name(name):
    for groups in ({"wolves": group(1), "hare": group(1)}, {"wolves": group(1)}):
        hunt = statistics(groups)
        assert not hunt.is_plain
        with pytest.raises(DataError, match=f"the team has the groups {', '.join(groups)}"):
            getattr(hunt, name)


def test_json_has_measures_and_the_groups_of_several():
    plain = json.loads(statistics(random_return=1.0, best_return=5.0).to_json())
    assert (plain["tq"], plain["joint_saco"], plain["average_oaco"]) == (0.5, 0.75, 0.375)
    assert plain["oaco"] == [0.5, 0.25] and plain["unique_local"] == [4, 2] and "groups" not in plain
    assert plain["ends"]["dropped"] == {"padding": 3} and plain["episode_return"]["mean"] == 3.0
    hunt = json.loads(statistics({"wolves": group(4), "hare": group(8)}).to_json())
    assert hunt["groups"]["hare"]["unique_local"] == [8] and "action" not in hunt
    with pytest.raises(ValueError, match="JSON"):
        statistics(terminated=float("nan")).to_json()
