"""`Scan`: ranges, shares beyond bounds, digests and histograms by hand, in chunks of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.data.statistics.scan import ActionStatistics, GroupScan, Scan
from omiga_torchrl.specs import TeamSpec


def data_of(action, observation=None, *, state=None, **agents):
    """Transitions of a group of two agents."""
    steps = len(action)
    if observation is None:
        observation = torch.arange(steps * 4.0).reshape(steps, 2, 2)
    group = {"observation": observation, "action": action, **agents}
    state = torch.arange(float(steps))[:, None] if state is None else state
    return TensorDict({"agents": TensorDict(group, [steps]), "state": state}, [steps])


CONTINUOUS = torch.tensor(
    [[[0.0, 1.0], [2.0, -1.0]], [[0.5, 1.5], [-2.0, 1.0]], [[-0.5, 3.0], [0.0, 0.0]]]
)  # [T = 3, N = 2, A = 2]


def scanned(data, chunk=2, spec=None):
    scan = GroupScan(data, "agents", spec)
    for start in range(0, len(data), chunk):
        scan.add(slice(start, start + chunk))
    return scan


@pytest.mark.parametrize("chunk", [1, 2, 3, 10])
def test_ranges_and_shares_beyond_the_bounds(chunk):
    found = scanned(data_of(CONTINUOUS), chunk).action_statistics(chunk)
    assert found.minimum == ((-0.5, 1.0), (-2.0, -1.0)) and found.maximum == ((0.5, 3.0), (2.0, 1.0))
    assert found.beyond == ((0.0, pytest.approx(2 / 3)), (pytest.approx(2 / 3), 0.0))
    assert not found.discrete and found.range == (-2.0, 3.0)
    assert found.share_beyond == pytest.approx(1 / 3)


def test_observations_have_the_smallest_and_largest_value_over_agents():
    seen = torch.tensor([[[1.0, -5.0], [3.0, 4.0]], [[-1.0, 0.0], [2.0, 9.0]]])
    assert scanned(data_of(CONTINUOUS[:2], seen), 1).observation_range.tolist() == [[-1, -5], [3, 9]]


def test_bounds_are_those_of_the_spec():
    spec = TeamSpec(2, 2, 2, 1, action_low=-2.0, action_high=((0.5, 1.0), (2.0, 1.0)))
    found = scanned(data_of(CONTINUOUS), spec=spec).action_statistics(2)
    assert found.beyond == ((0.0, pytest.approx(2 / 3)), (0.0, 0.0))
    # a bound is compared in the actions' precision
    tenth = data_of(torch.full((3, 2, 1), 0.1))
    spec = TeamSpec(2, 2, 1, 1, action_low=-0.1, action_high=0.1)
    assert scanned(tenth, spec=spec).action_statistics(2).beyond == ((0.0,), (0.0,))


def test_what_absent_agents_do_counts_for_nothing():
    mask = torch.tensor([[True, False], [True, True], [False, True]])
    seen = torch.zeros(3, 2, 2)
    seen[0, 1], seen[2, 0], seen[1, 1] = 9.0, -9.0, 1.0
    data = data_of(CONTINUOUS, seen, agent_mask=mask)
    scan = scanned(data)
    found = scan.action_statistics(2)
    assert found.minimum == ((0.0, 1.0), (-2.0, 0.0)) and found.maximum == ((0.5, 1.5), (0.0, 1.0))
    assert found.beyond == ((0.0, 0.5), (0.5, 0.0))
    assert scan.observation_range.tolist() == [[0, 0], [1, 1]]
    assert scan.shares_present() == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert [[sum(one.counts) for one in agent] for agent in found.histograms] == [[2, 2], [2, 2]]
    assert scanned(data_of(CONTINUOUS)).shares_present() == (1.0, 1.0)


def test_an_agent_that_is_never_there_in_a_chunk_is_no_error():
    mask = torch.tensor([[False, True], [False, True], [True, True]])
    found = scanned(data_of(CONTINUOUS, agent_mask=mask), 2).action_statistics(2)
    assert found.minimum[0] == (-0.5, 3.0) == found.maximum[0]


def test_added_actions_are_zero_where_an_agent_is_absent():
    mask = torch.tensor([[True, False], [True, True], [False, True]])
    scan = GroupScan(data_of(CONTINUOUS, agent_mask=mask), "agents")
    assert scan.add(slice(0, 2)).tolist() == [[[0, 1], [0, 0]], CONTINUOUS[1].tolist()]
    plain = GroupScan(data_of(CONTINUOUS), "agents")
    assert plain.add(slice(1, 3)).tolist() == CONTINUOUS[1:].tolist()


def test_different_pairs_of_every_agent():
    seen = torch.zeros(4, 2, 2)
    seen[3, 1] = 1.0
    action = torch.tensor([[[0.0], [0.0]], [[0.0], [1.0]], [[1.0], [0.0]], [[0.0], [0.0]]])
    assert scanned(data_of(action, seen)).count_unique() == (2, 3)
    mask = torch.tensor([[True, True], [True, False], [False, True], [True, True]])
    assert scanned(data_of(action, seen, agent_mask=mask)).count_unique() == (1, 2)


def test_a_feature_has_the_same_edges_for_all_agents():
    first, second = scanned(data_of(CONTINUOUS)).action_statistics(2).histograms
    assert [one.edges for one in first] == [one.edges for one in second]
    assert (first[0].edges[0], first[0].edges[-1]) == (-2.0, 2.0) and len(first[0].counts) == 40
    assert (first[1].edges[0], first[1].edges[-1]) == (-1.0, 3.0)
    # 0.0, 0.5 and -0.5 in bins of 0.1 from -2 on
    assert np.flatnonzero(first[0].counts).tolist() == [15, 20, 25] and sum(first[0].counts) == 3


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_discrete_actions_have_one_bin_each(chunk):
    action = torch.tensor([[0, 2], [2, 2], [0, 1], [2, 2]])
    found = scanned(data_of(action)).action_statistics(chunk)
    assert found.discrete and found.beyond is None and found.share_beyond is None
    assert (found.minimum, found.maximum) == (((0.0,), (1.0,)), ((2.0,), (2.0,)))
    assert [one.counts for (one,) in found.histograms] == [(2, 0, 2), (0, 1, 3)]
    assert found.histograms[0][0].edges == (-0.5, 0.5, 1.5, 2.5)
    masked = data_of(action, action_mask=torch.ones(4, 2, 5, dtype=torch.bool))
    assert scanned(masked).action_statistics(chunk).histograms[0][0].counts == (2, 0, 2, 0, 0)


def test_joint_digests_are_of_state_and_all_actions():
    action, state = torch.zeros(4, 2, 1), torch.zeros(4, 1)
    action[1, 1], state[2] = 1.0, 1.0
    data = data_of(action, state=state)
    data["prey"] = TensorDict({"observation": torch.zeros(4, 1, 1), "action": torch.zeros(4, 1, 1)}, [4])
    data["prey", "action"][3] = 1.0
    scan = Scan(data)
    for rows in (slice(0, 3), slice(3, 4)):
        scan.add(rows)
    assert list(scan.groups) == ["agents", "prey"]
    assert scan.joint.shape == (4, 2) and len(np.unique(scan.joint, axis=0)) == 4
    again = Scan(data_of(torch.zeros(4, 2, 1), state=torch.zeros(4, 1)))
    again.add(slice(0, 4))
    assert len(np.unique(again.joint, axis=0)) == 1


def test_a_scan_knows_the_bounds_of_every_group():
    data = data_of(CONTINUOUS)
    wide = TeamSpec(2, 2, 2, 1, action_low=-9.0, action_high=9.0)
    for spec, share in ((None, 1 / 3), (wide, 0.0)):
        scan = Scan(data, spec)
        scan.add(slice(0, 3))
        found = scan.groups["agents"].action_statistics(9)
        assert found.share_beyond == pytest.approx(share)


def test_what_must_be_there_is_named():
    data = data_of(CONTINUOUS)
    with pytest.raises(KeyError, match=r"dataset_statistics.*state"):
        Scan(data.exclude("state"))
    with pytest.raises(KeyError, match=r"dataset_statistics.*observation"):
        Scan(data.exclude("agents"))
    with pytest.raises(KeyError, match=r"dataset_statistics.*action"):
        Scan(data.exclude(("agents", "action")))


def test_ranges_are_over_agents_and_features():
    statistics = ActionStatistics(False, ((1.0, -3.0), (0.0, 2.0)), ((4.0, 5.0), (7.0, 6.0)), None, ())
    assert statistics.range == (-3.0, 7.0)
