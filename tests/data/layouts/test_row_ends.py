"""Where episodes end: delimiter rows, padding and time limits, by hand; and vaults that have them."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts.delimiters import find_delimiters
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.row_ends import RowFacts, find_row_ends
from omiga_torchrl.data.layouts.time_limits import find_time_limit
from omiga_torchrl.data.layouts.vault_writing import write_vault
from omiga_torchrl.errors import DataError

pytest.importorskip("tensorstore")
EPISODES, STEPS, AGENTS = 12, 6, 2


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", str(tmp_path / "cache"))


def vault_rows(marks, *, delimiter=True, padding=0, discrete=False, episodes=EPISODES):
    """Rows of a vault whose features 0 and 1 number episodes and steps; the rewards of a step are 1 + t / 2.

    Args:
        marks: name of a flag to the rows of an episode that carry it.
        delimiter: whether a row with the last observation follows the steps of an episode.
        padding: rows of zeros behind every episode.
        discrete: whether actions are indices, never 0 in steps.
        episodes: how many.
    """
    rng = np.random.default_rng(0)
    rows = {"observations": [], "actions": [], "rewards": [], "terminals": [], "truncations": []}
    shape = () if discrete else (2,)
    for e in range(episodes):
        for t in range(STEPS + delimiter + padding):
            step, seen = t < STEPS, t < STEPS + delimiter
            rows["observations"].append(
                [[e + 1.0, t, *rng.normal(size=2)]] * AGENTS if seen else np.zeros((2, 4))
            )
            action = rng.integers(1, 5, AGENTS) if discrete else rng.uniform(0.3, 0.9, (AGENTS, 2))
            rows["actions"].append(action if step else np.zeros((AGENTS, *shape), action.dtype))
            rows["rewards"].append([1 + t / 2 if step else 0.0] * AGENTS)
            for name in ("terminals", "truncations"):
                rows[name].append([t in marks.get(name, ())] * AGENTS)
    types = {"actions": np.int32 if discrete else np.float32, "terminals": bool, "truncations": bool}
    return {name: np.array(values, types.get(name, np.float32)) for name, values in rows.items()}


def open_vault(tmp_path, arrays, **options):
    folder = tmp_path / "toy.vlt" / "Good"
    folder.mkdir(parents=True)
    write_vault(folder, [arrays], {})
    return OfflineDataset(folder, reward_scale=None, **options)


def require_right(dataset, *, terminated, steps=STEPS, episodes=EPISODES):
    """Every episode has all its steps, in order, and what was seen after them."""
    data, each = dataset.data, np.tile(np.arange(steps), episodes)
    assert len(data) == steps * episodes
    seen, following = data["agents", "observation"][:, 0], data["next", "agents", "observation"][:, 0]
    np.testing.assert_array_equal(seen[:, 1], each)
    np.testing.assert_array_equal(data["next", "reward"].flatten(), 1 + each / 2)
    np.testing.assert_array_equal(following[:, 0], seen[:, 0])
    last = each == steps - 1
    np.testing.assert_array_equal(data["next", "done"].flatten(), last)
    np.testing.assert_array_equal(data["next", "terminated"].flatten(), last & terminated)


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize(
    ("marks", "terminated"),
    [
        ({"terminals": [6]}, True),
        ({"terminals": [6], "truncations": [6]}, True),
        ({"truncations": [6]}, False),
        ({"terminals": [5]}, True),
        ({"terminals": [5, 6]}, True),
        ({"terminals": [5], "truncations": [6]}, True),
        ({"truncations": [5]}, False),
    ],
)
def test_delimiter_rows_of_a_vault_are_no_steps(tmp_path, marks, terminated, discrete):
    """Case 30: one row more an episode, however it is flagged."""
    options = {"n_actions": 5} if discrete else {}
    arrays = vault_rows(marks, discrete=discrete)
    if discrete:
        arrays["infos.legals"] = np.ones((len(arrays["rewards"]), AGENTS, 5), bool)
        options = {}
    dataset = open_vault(tmp_path, arrays, **options)
    require_right(dataset, terminated=terminated)
    np.testing.assert_array_equal(
        dataset.data["next", "agents", "observation"][:, 0, 1], np.tile(np.arange(1, 7), EPISODES)
    )
    assert dataset.card.behaviour_return == {"mean": 13.5, "std": 0.0}
    ends = dataset.ends
    assert ends.dropped == {"delimiter rows": EPISODES} and set(ends.length.tolist()) == {STEPS}
    assert ends.share("terminated") == terminated and not ends.share("cut")
    assert dataset.card.left_out_steps == 0


def test_time_limits_of_delimited_vaults_count_steps(tmp_path):
    arrays = vault_rows({"terminals": [6], "truncations": [6]})
    dataset = open_vault(tmp_path, arrays, timeout_is_terminal=False, max_steps=STEPS)
    require_right(dataset, terminated=False)


def test_delimiter_rows_without_any_flag(tmp_path):
    dataset = open_vault(tmp_path, vault_rows({}))
    require_right(dataset, terminated=False)
    assert dataset.ends.dropped == {"delimiter rows": EPISODES}


def test_said_or_denied(tmp_path):
    arrays = vault_rows({"terminals": [6]})
    assert len(open_vault(tmp_path / "a", arrays, delimiter_rows=True)) == 6 * EPISODES
    assert len(open_vault(tmp_path / "b", arrays, delimiter_rows=False)) == 7 * EPISODES
    arrays["actions"][6::7] = 0.5  # whatever stands in them
    arrays["rewards"][6::7] = 3
    assert len(open_vault(tmp_path / "c", arrays)) == 7 * EPISODES
    assert len(open_vault(tmp_path / "d", arrays, delimiter_rows=True)) == 6 * EPISODES


def test_idle_steps_are_steps(tmp_path):
    """Of a policy that often does nothing, for no reward, the last steps are idle now and then."""
    arrays = vault_rows({"terminals": [5]}, delimiter=False)
    for name in ("actions", "rewards"):
        arrays[name][np.arange(len(arrays[name])) % 4 == 1] = 0
    dataset = open_vault(tmp_path, arrays)
    assert len(dataset) == 6 * EPISODES and dataset.ends.dropped == {}


def test_idle_rows_that_may_be_either_are_refused():
    rows, ended = np.arange(4000), np.arange(4000) % 10 == 9
    idle = (rows % 100 == 3) | (ended & (rows % 20 == 9))
    no = ended & False
    with pytest.raises(DataError, match=r"200 rows with the flag of an end .* Pass delimiter_rows=True"):
        find_delimiters(ended, no, idle, None, True, "file")
    assert find_delimiters(ended, no, idle, False, True, "file").sum() == 0
    assert find_delimiters(ended, no, idle, True, True, "file").sum() == 400
    # Rows behind the flag, of which the last one of the file is missing.
    begins = np.roll(ended, 1)
    begins[0] = False
    with pytest.raises(DataError, match="399 rows behind the flag of an end"):
        find_delimiters(ended, no, begins, None, True, "file")


@pytest.mark.parametrize("padding", [1, 3])
def test_padded_episodes(tmp_path, padding):
    """Zeros up to one length behind every episode: no steps, and no delimiters to bootstrap from."""
    arrays = vault_rows({"terminals": [5]}, delimiter=False, padding=padding)
    dataset = open_vault(tmp_path, arrays)
    require_right(dataset, terminated=True)
    assert dataset.ends.dropped == {"rows of zeros behind the ends of episodes": padding * EPISODES}


def test_a_padded_tail(tmp_path):
    arrays = vault_rows({"terminals": [5]}, delimiter=False)
    arrays = {name: np.concatenate([a, np.zeros_like(a[:50])]) for name, a in arrays.items()}
    dataset = open_vault(tmp_path, arrays)
    require_right(dataset, terminated=True)
    assert dataset.ends.dropped == {"rows of zeros behind the ends of episodes": 50}


def test_glued_episodes(tmp_path):
    """No flag at all: found by the observations, or by max_steps, or refused."""
    arrays = vault_rows({}, delimiter=False, episodes=40)
    found = open_vault(tmp_path / "a", arrays)
    # What was seen after the last step is not there.
    require_right(found, terminated=False, steps=5, episodes=40)
    assert found.ends.share("timed out") == 1 and "every 6 steps" in found.ends.notes[0]
    assert found.card.left_out_steps == 40 and found.card.behaviour_return["mean"] == 13.5
    require_right(open_vault(tmp_path / "b", arrays, max_steps=6), terminated=False, steps=5, episodes=40)
    rng = np.random.default_rng(0)
    arrays["observations"] = rng.normal(size=arrays["observations"].shape).astype(np.float32)
    with pytest.raises(DataError, match=r"no row of 240 marks the end .* Pass max_steps=.*'truncated'"):
        open_vault(tmp_path / "c", arrays)
    one = open_vault(tmp_path / "d", arrays, incomplete="truncated")
    assert one.card.episodes == 1 and one.ends.share("cut") == 1


def test_time_outs_glued_to_terminations(tmp_path):
    """Only terminations are flagged: every third episode goes on in the next one."""
    arrays = vault_rows({"terminals": [5]}, delimiter=False, episodes=30)
    arrays["terminals"][5::18] = False
    del arrays["truncations"]
    dataset = open_vault(tmp_path, arrays)
    assert dataset.ends.lengths("terminated").tolist() == [6] * 20
    assert dataset.ends.lengths("timed out").tolist() == [5] * 10
    assert not (
        dataset.data["agents", "observation"][:, 0, 0]
        != dataset.data["next", "agents", "observation"][:, 0, 0]
    ).any()


def test_a_time_limit_needs_proof():
    rng = np.random.default_rng(0)
    steady = np.cumsum(rng.normal(size=(300, 3)), 0)
    assert find_time_limit(lambda a, b: steady[a:b], np.zeros(300, bool)) is None
    jumping = steady + 50 * (np.arange(300) // 25)[:, None]
    assert find_time_limit(lambda a, b: jumping[a:b], np.zeros(300, bool)) == 25
    irregular = steady + 50 * (np.searchsorted([31, 80, 111, 200], np.arange(300)))[:, None]
    assert find_time_limit(lambda a, b: irregular[a:b], np.zeros(300, bool)) is None


def test_a_row_more_than_the_limit_is_no_episode():
    ended = np.arange(22) % 11 == 10
    no = ended & False
    facts = RowFacts(ended, no, no, lambda a, b: False, lambda e: None, continuous=True)
    ends = find_row_ends(facts, ReadOptions(max_steps=10), EndNotes(), "file")
    assert ends.rows.tolist() == [11, 11]
    assert find_row_ends(facts, ReadOptions(max_steps=4), EndNotes(), "file").rows.tolist() == [4, 4, 3] * 2


def test_delimiters_with_the_next_episodes_observation_are_not_bootstrapped_from(tmp_path):
    arrays = vault_rows({"truncations": [6]})
    arrays["observations"][6:-1:7] = arrays["observations"][7::7]
    with pytest.raises(DataError, match=r"first observation of the next one.*timeout_is_terminal=True"):
        open_vault(tmp_path / "a", arrays)
    assert len(open_vault(tmp_path / "b", arrays, timeout_is_terminal=True)) == 6 * EPISODES
