"""Lines as RLlib's `JsonWriter` writes them with `compress_columns=[]`."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset, find_layout
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts.rllib import RllibLayout
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_hdf5 import read_all

LAYOUT = RllibLayout()


def make_columns(steps, episode, *, discrete=False, terminates=True, agent=0, seed=0):
    rng = np.random.default_rng([seed, episode, agent])
    seen = rng.normal(size=(steps + 1, 3))
    last = np.arange(steps) == steps - 1
    columns = {
        "t": np.arange(steps),
        "eps_id": np.full(steps, 1000 + episode),
        "agent_index": np.full(steps, agent),
        "obs": seen[:-1],
        "new_obs": seen[1:],
        "actions": rng.integers(3, size=steps) if discrete else rng.uniform(-1, 1, (steps, 2)),
        "rewards": rng.normal(size=steps),
        "terminateds": last & terminates,
        "truncateds": last & (not terminates),
    }
    return {name: values.tolist() for name, values in columns.items()}


def make_batches(lengths, **kwargs):
    """One batch an episode."""
    return [
        {"type": "SampleBatch", **make_columns(steps, number, **kwargs)}
        for number, steps in enumerate(lengths)
    ]


def make_team(lengths):
    return [
        {
            "type": "MultiAgentBatch",
            "count": steps,
            "policy_batches": {
                policy: make_columns(steps, number, agent=agent) for agent, policy in enumerate("ab")
            },
        }
        for number, steps in enumerate(lengths)
    ]


def write_lines(path, batches):
    path.write_text("".join(json.dumps(batch) + "\n" for batch in batches))
    return path


def cut_up(batch, pieces):
    """The same rows in several lines."""
    for rows in np.array_split(np.arange(len(batch["rewards"])), pieces):
        yield {name: v if isinstance(v, str) else [v[row] for row in rows] for name, v in batch.items()}


def test_episodes_go_on_from_line_to_line(tmp_path):
    """Two environments at once, whose lines take turns; the shorter one ends first."""
    long, short = make_batches([6, 3])
    lines = [line for pair in zip(cut_up(long, 3), cut_up(short, 3), strict=True) for line in pair]
    episodes = read_all(LAYOUT, write_lines(tmp_path / "a.json", lines))
    assert episodes.length.tolist() == [6, 3]
    np.testing.assert_array_equal(episodes.observation[:7, 0], [*long["obs"], long["new_obs"][-1]])
    np.testing.assert_array_equal(episodes.reward, [*long["rewards"], *short["rewards"]])
    np.testing.assert_array_equal(episodes.action[6:, 0], short["actions"])
    assert episodes.terminated.nonzero()[0].tolist() == [5, 8] and not episodes.truncated.any()


def test_several_episodes_in_a_line(tmp_path):
    one, two = make_batches([3, 2], terminates=False)
    whole = {"type": "SampleBatch"} | {name: one[name] + two[name] for name in one if name != "type"}
    episodes = read_all(LAYOUT, write_lines(tmp_path / "a.json", [whole]))
    assert episodes.length.tolist() == [3, 2] and episodes.truncated.sum() == 2
    np.testing.assert_array_equal(episodes.reward, whole["rewards"])


def test_a_team(tmp_path):
    batches = make_team([3, 2])
    path = write_lines(tmp_path / "a.json", batches)
    episodes = read_all(LAYOUT, path, team_reward="sum", agent_rewards=True)
    columns = [batch["policy_batches"] for batch in batches]
    np.testing.assert_array_equal(episodes.observation[:3, 1], columns[0]["b"]["obs"])
    rewards = [np.concatenate([one[policy]["rewards"] for one in columns]) for policy in "ab"]
    np.testing.assert_allclose(episodes.reward, rewards[0] + rewards[1])
    np.testing.assert_array_equal(episodes.groups["agents"].reward, np.stack(rewards, 1))
    with pytest.raises(DataError, match="the agents' rewards differ"):
        read_all(LAYOUT, path)


def test_without_new_obs_the_last_step_of_a_time_out_is_left_out(tmp_path):
    batches = make_batches([3, 2], terminates=False)
    for batch in batches:
        del batch["new_obs"]
    dataset = OfflineDataset(write_lines(tmp_path / "a.json", batches), root=tmp_path)
    assert len(dataset) == 3 and dataset.card.left_out_steps == 2
    mean = np.mean([sum(batch["rewards"]) for batch in batches])
    np.testing.assert_allclose(dataset.card.behaviour_return["mean"], mean, rtol=1e-6)


@pytest.mark.parametrize("inputs", [False, True])
def test_discrete_actions_are_counted(tmp_path, inputs):
    batches = make_batches([3, 2], discrete=True)
    batches[1]["actions"] = [4, 0]
    if inputs:
        for batch in batches:
            batch["action_dist_inputs"] = np.zeros((len(batch["actions"]), 7)).tolist()
    path = write_lines(tmp_path / "a.json", batches)
    assert OfflineDataset(path, root=tmp_path).spec.action_size == (7 if inputs else 5)
    assert find_layout(path).name == find_layout(tmp_path).name == "rllib"


def test_dones_do_not_tell_time_outs(tmp_path):
    batches = make_batches([3, 2])
    for batch in batches:
        batch["dones"] = batch.pop("terminateds")
        del batch["truncateds"]
    path = write_lines(tmp_path / "a.json", batches)
    assert read_all(LAYOUT, path).terminated.sum() == 2
    episodes = read_all(LAYOUT, path, timeout_is_terminal=False, max_steps=3)
    assert episodes.truncated.nonzero()[0].tolist() == [2]


def test_an_episode_without_an_end(tmp_path):
    batches = make_batches([3, 2])
    path = write_lines(tmp_path / "a.json", [batches[0], next(cut_up(batches[1], 2))])
    with pytest.raises(DataError, match="episode 1001 stops without an end after 1 steps"):
        read_all(LAYOUT, path)
    episodes = read_all(LAYOUT, path, incomplete="truncated")
    assert episodes.length.tolist() == [3, 1] and episodes.truncated.tolist() == [False] * 3 + [True]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (
            "obs",
            base64.b64encode(b"\x04\x22M\x18").decode(),
            r"\['obs'\] are packed: .*compress_columns=\[\]",
        ),
        ("obs", np.zeros((2, 4, 4, 3)).tolist(), "too many dimensions"),
        ("obs", [[1.0, 2.0, 3.0], [1.0]], "no batch of RLlib's"),
        ("obs", {"a": [[0.0], [0.0]]}, "'obs' is object"),
        ("rewards", [1.0], r"line 2: 'obs' is float64 of shape \(2, 3\), expected 1 rows"),
        ("t", [0, 2], "its steps 't' do not follow each other"),
        ("new_obs", [[9.0, 9, 9], [0.0, 0, 0]], "'new_obs' of step 0 is not 'obs' of the next"),
        ("new_obs", [[9.0], [0.0]], r"must have the shape of 'obs' in a step, \(1, 3\), got \(1, 1\)"),
        ("terminateds", [0, 0.5], "'terminateds' holds other values"),
        ("eps_id", [1000, 1001], "line 2: episode 1000 goes on after its end"),
        ("agent_index", [[0], [0]], r"\['agent_index'\] have too many dimensions"),
        ("actions", [[0.1], [0.2]], "differs from the first one: 'action'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, column, value, words):
    batches = make_batches([3, 2])
    batches[1][column] = value
    with pytest.raises(DataError, match=words):
        read_all(LAYOUT, write_lines(tmp_path / "a.json", batches))


@pytest.mark.parametrize("kind", ["sizes", "steps", "ends"])
def test_agents_that_differ_are_refused(tmp_path, kind):
    batches = make_team([3, 2])
    columns = batches[1]["policy_batches"]["b"]
    if kind == "sizes":
        columns["obs"], columns["new_obs"] = np.zeros((2, 2, 5)).tolist()
        words = "expected one team of equal agents"
    elif kind == "steps":
        batches[1]["policy_batches"]["b"] = {name: values[:1] for name, values in columns.items()}
        words = "do not take part in the same steps"
    else:
        columns["terminateds"], columns["truncateds"] = [False, False], [False, True]
        words = "some agents end before others"
    with pytest.raises(DataError, match=words):
        read_all(LAYOUT, write_lines(tmp_path / "a.json", batches), team_reward="sum")


def ends_of(path, **options):
    episodes = read_all(LAYOUT, path, **options)
    return episodes.terminated.nonzero()[0].tolist(), episodes.truncated.nonzero()[0].tolist()


def test_which_of_the_flags_says_what(tmp_path):
    one, two = make_batches([3, 2])
    one["truncateds"] = [False, False, True]  # beside a termination it is none
    one["dones"] = [False, False, True]
    two["terminateds"], two["truncateds"] = [False, False], [False, True]
    path = write_lines(tmp_path / "a.json", [one, two])
    assert ends_of(path) == ([2], [4])
    assert ends_of(path, timeout_is_terminal=True) == ([2, 4], [])
    assert ends_of(path, timeout_is_terminal=False, max_steps=3) == ([], [2, 4])
    for batch in (one, two):
        del batch["terminateds"]
    two["dones"] = [False, False]
    # What is done without a word of time terminated.
    assert ends_of(write_lines(tmp_path / "a.json", [one, two])) == ([2], [4])


def test_discrete_actions_of_one_column_and_of_several(tmp_path):
    batches = make_batches([3, 2], discrete=True)
    flat = read_all(LAYOUT, write_lines(tmp_path / "a.json", batches))
    for batch in batches:
        batch["actions"] = [[action] for action in batch["actions"]]
    found = read_all(LAYOUT, write_lines(tmp_path / "a.json", batches))
    assert found.action.shape == (5, 1) and found.action.tolist() == flat.action.tolist()
    batches[1]["actions"] = [[0, 1], [1, 0]]
    with pytest.raises(DataError, match=r"'actions' are int64 of shape .* Actions of several parts"):
        read_all(LAYOUT, write_lines(tmp_path / "a.json", batches))
    batches[1]["actions"] = [0.5, 0.5]
    with pytest.raises(DataError, match=r"'actions' are float64 of shape .*; expected one whole number"):
        read_all(LAYOUT, write_lines(tmp_path / "a.json", batches))


def test_the_number_of_discrete_actions_is_the_largest_that_is_told(tmp_path):
    batches = make_batches([3, 2], discrete=True)
    batches[0]["actions"], batches[1]["actions"] = [0, 0, 0], [0, 0]
    assert LAYOUT.read(write_lines(tmp_path / "a.json", batches), ReadOptions()).n_actions == 1
    batches[0]["action_dist_inputs"] = [[0.0] * 4] * 3
    assert LAYOUT.read(write_lines(tmp_path / "a.json", batches), ReadOptions()).n_actions == 4
    batches[1]["actions"] = [4, 1]
    assert LAYOUT.read(write_lines(tmp_path / "a.json", batches), ReadOptions()).n_actions == 5
    assert LAYOUT.read(write_lines(tmp_path / "b.json", make_batches([2])), ReadOptions()).n_actions is None
