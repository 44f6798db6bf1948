"""Bad input: one clear error that names the array, what it is, what was expected, and the fix."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset, cache_root
from omiga_torchrl.errors import DataError

T, N, F, A = 6, 2, 3, 1


def good(**changes):
    rng = np.random.default_rng(0)
    given = {
        "observation": rng.normal(size=(T, N, F)),
        "action": rng.uniform(-1, 1, (T, N, A)),
        "reward": np.ones(T),
        "terminated": np.arange(T) == T - 1,
    }
    return {**given, **changes}


def test_good_input_is_good():
    assert len(OfflineDataset.from_arrays(**good())) == T


ONES = np.ones((T, N))
CASES = {
    "stack of episodes": (
        {"observation": np.zeros((2, T, N, F))},
        r"'observation' has the shape \(2, 6, 2, 3\); expected \[T, N, O\].*list\(observation\)",
    ),
    "text": ({"reward": ["a"] * T}, r"'reward' has the type <U1; expected numbers"),
    "ragged": ({"reward": [[1.0], [1.0, 2.0]]}, r"'reward' is no array"),
    "short action": ({"action": np.zeros((T - 1, N, A))}, r"expected \[T\] = \(5,\)"),
    "short observation": (
        {"observation": np.zeros((T - 1, N, F))},
        r"'observation' has 5 rows, 'action' 6.*one row for every step",
    ),
    "long observation": (
        {"observation": np.zeros((T + 3, N, F))},
        r"'observation' has 9 rows; expected one for each of 6 steps, or one more for each of 1 episodes, 7",
    ),
    "reward of other agents": (
        {"reward": np.ones((T, 3))},
        r"'reward' has the shape \(6, 3\); expected \[T\] = \(6,\), or \[T, N\] = \(6, 2\)",
    ),
    "rewards that differ": (
        {"reward": np.arange(2.0 * T).reshape(T, N)},
        r"the agents' rewards differ in 6 rows.*team_reward='mean', 'sum' or 'first'",
    ),
    "no ends": (
        {"terminated": np.zeros(T)},
        r"mark no end of an episode in 6 rows. Pass truncated= or episode=",
    ),
    "flag of 2": (
        {"terminated": np.full(T, 2)},
        r"'terminated' has the value 2; expected booleans, or 0 and 1",
    ),
    "flags of some agents": (
        {"terminated": np.eye(T, N)},
        r"some agents end in row 0 and others do not, in 2 rows. Pass agent_mask=",
    ),
    "end within an episode": (
        {"terminated": np.arange(T) == 2, "episode": np.zeros(T)},
        r"episode 0.0 goes on after it ended in row 2",
    ),
    "episode in two places": (
        {"terminated": np.zeros(T), "episode": [0, 0, 1, 1, 0, 0]},
        r"episode 0 is in several places, again before row 5",
    ),
    "state of two axes": (
        {"state": np.zeros((T, N, F))},
        r"'state' has the shape \(6, 2, 3\); expected \[T, S\]",
    ),
    "mask of one axis": (
        {"agent_mask": np.ones(T)},
        r"'agent_mask' has the shape \(6,\).*expected \[T, N\]",
    ),
    "mask of others": ({"agent_mask": np.ones((T, 3))}, r"'agent_mask' is of 3 agents, 'observation' of 2"),
    "float index": (
        {"action": ONES},
        r"'action' has the type float64 and the shape \(6, 2\).*Pass n_actions=",
    ),
    "float one-hot": ({"action": np.eye(3)[np.zeros((T, N), int)]}, r"one-hot. Pass n_actions="),
    "several choices": (
        {"action": np.full((T, N, 2), 3)},
        r"Several discrete choices an agent have to be numbered",
    ),
    "unknown number": (
        {"action": np.zeros((T, N), int)},
        r"number of discrete actions is unknown; pass n_actions=",
    ),
    "out of range": ({"action": np.full((T, N), 5), "n_actions": 3}, r"expected whole numbers from 0 to 2"),
    "one-hot of others": (
        {"action": np.eye(3, dtype=int)[np.zeros((T, N), int)], "n_actions": 4},
        r"one-hot of 3 actions, n_actions is 4. Leave n_actions out",
    ),
    "mask of other actions": (
        {"action": np.zeros((T, N), int), "action_mask": np.ones((T, N, 3)), "n_actions": 4},
        r"'action_mask' has 3 actions, n_actions is 4",
    ),
    "NaN": ({"observation": np.full((T, N, F), np.nan)}, r"'observation' is NaN or infinite in 7 rows"),
    "beyond": ({"action": np.full((T, N, A), 3.0)}, r"6 of 6 rows have actions outside.*actions='raw'"),
    "dict and array": (
        {"observation": {"a": np.zeros((T, F)), "b": np.zeros((T, F))}},
        r"'action' is no dict, 'observation' has one array for every agent",
    ),
    "array and dict": ({"action": {"a": np.zeros((T, A))}}, r"'action' is a dict, 'observation' an array"),
    "unequal agents": (
        {"observation": {"a": np.zeros((T, 2)), "b": np.zeros((T, 3))}, "action": {"a": ONES, "b": ONES}},
        r"'observation' has other sizes for other agents.*pass team=\{'group_0': \[agents\]",
    ),
    "missing agent": (
        {"observation": {"a": np.zeros((T, F)), "b": np.zeros((T, F))}, "action": {"a": ONES}},
        r"'action' lacks \['b'\] and has unknown \[\]",
    ),
    "other team": (
        {"observation": {"a": np.zeros((T, F))}, "action": {"a": ONES}, "team": ["x"]},
        r"team has the agents \['x'\], the data have \['a'\]",
    ),
    "list and array": (
        {"observation": [np.zeros((T, N, F))]},
        r"'observation' is a list of 1 episodes, 'action' is a ndarray; expected a list",
    ),
    "list of steps": (
        {"observation": list(np.zeros((T, N, F))), "action": list(np.zeros((T, N, A))), "reward": [1.0] * T},
        r"'observation' is a list of 6 episodes, 'terminated' is a ndarray",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_error(case):
    changes, message = CASES[case]
    with pytest.raises(DataError, match=message) as error:
        OfflineDataset.from_arrays(**good(**changes))
    assert str(error.value).startswith("OfflineDataset")
    assert not list(cache_root().glob("datasets/*/layout*/card.json"))


def test_truncated_episodes_need_all_that_follows():
    ends = {"terminated": np.zeros(T), "truncated": np.arange(T) == T - 1}
    following = good()["observation"]
    following = np.concatenate([following[1:], following[:1]])
    with pytest.raises(
        DataError, match=r"\['observation'\] are known and \['state'\] are not. Pass next_state="
    ):
        OfflineDataset.from_arrays(**good(**ends), next_observation=following, state=np.zeros((T, 2)))
    # A termination needs nothing of what follows.
    dataset = OfflineDataset.from_arrays(**good(), next_observation=following, state=np.zeros((T, 2)))
    assert len(dataset) == T


def test_names_that_are_none():
    with pytest.raises(ValueError, match=r"unknown field of the card 'tsk'; did you mean 'task'\?"):
        OfflineDataset.from_arrays(**good(), card={"tsk": "x"})
    with pytest.raises(ValueError, match=r"card has 'reward_std', which is taken from the data"):
        OfflineDataset.from_arrays(**good(), card={"reward_std": 1.0})
    with pytest.raises(ValueError, match=r"unknown array 'obs'.*Choose from: action, .*observation"):
        OfflineDataset.from_episodes([{"obs": 1}])
    with pytest.raises(DataError, match=r"episode 0: \['action'.*are missing; got \['observation'\]"):
        OfflineDataset.from_episodes([{"observation": np.zeros((3, 2, 1))}])
    with pytest.raises(DataError, match=r"episode 0 is of the type int; expected a dict of arrays"):
        OfflineDataset.from_episodes([3])


def test_episodes_that_are_of_another_kind():
    one = good()
    other = good(observation=np.zeros((T, N, F + 1)))
    with pytest.raises(
        DataError, match=r"part 1 .*'observation' is floats of \(2, 4\), was floats of \(2, 3\)"
    ):
        OfflineDataset.from_episodes([one, other])
    with pytest.raises(DataError, match=r"'state' is floats of \(4,\), was None"):
        OfflineDataset.from_episodes([one, good(state=np.zeros((T, 4)))])
    assert not list(cache_root().glob("datasets/*"))


def test_nothing_is_left():
    gone = {"terminated": np.zeros(T), "truncated": np.ones(T)}
    with pytest.raises(DataError, match=r"no step is left. .* needs next_observation="):
        OfflineDataset.from_arrays(**good(**gone))
    with pytest.raises(DataError, match="no step is left"):
        OfflineDataset.from_episodes([])


def test_steps_as_dicts():
    rows, acts = [{"a": np.zeros(2)}] * 3, [{"a": np.zeros(1)}] * 2
    rest = ([{"a": 1.0}] * 2, [{"a": False}, {"a": True}])
    assert len(OfflineDataset.from_arrays(rows, acts, *rest)) == 2
    with pytest.raises(DataError, match=r"\['b'\] act in step 0 without an 'observation'"):
        OfflineDataset.from_arrays(rows, [{"a": np.zeros(1), "b": np.zeros(1)}] * 2, *rest)
    with pytest.raises(
        DataError, match=r"'observation' has 5 steps, 'action' 2; expected as many, or one more"
    ):
        OfflineDataset.from_arrays([{"a": np.zeros(2)}] * 5, acts, *rest)
    with pytest.raises(DataError, match=r"'action' is no list of one dict a step"):
        OfflineDataset.from_arrays(rows, np.zeros((2, 1)), *rest)
    with pytest.raises(DataError, match=r"'observation' of agent 'a' changes its size"):
        OfflineDataset.from_arrays([{"a": np.zeros(2)}, {"a": np.zeros(3)}, {"a": np.zeros(2)}], acts, *rest)
    with pytest.raises(DataError, match=r"'observation' has the agents \['a'.*which team lacks"):
        OfflineDataset.from_arrays(rows, acts, *rest, team=["b"])


def test_lists_and_arrays_are_no_path():
    with pytest.raises(ValueError, match=r"name_or_path is a list; .* OfflineDataset.concatenate\(\[...\]\)"):
        OfflineDataset(["vmas/navigation/mixed"])
    with pytest.raises(ValueError, match=r"name_or_path is a ndarray; .* from_arrays\(\)"):
        OfflineDataset(np.zeros(3))
    dataset = OfflineDataset.from_arrays(**good())
    with pytest.raises(ValueError, match=r"arrays is open with its own options, got \{'actions': 'clip'\}"):
        OfflineDataset(dataset.source, actions="clip")
