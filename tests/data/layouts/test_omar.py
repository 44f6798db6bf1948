"""OMAR's files: episodes are found where the next observation is not the next row's observation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions, omar, omar_files
from omiga_torchrl.data.layouts.omar import OmarLayout
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_files import make_omar, write_every_layout, write_npys
from tests.data.layouts.helpers_hdf5 import assert_survives_damage, read_all, transitions

LAYOUT = OmarLayout()


def read_slowly(arrays, agents, lengths, done):
    """Transitions by plain Python, row by row."""
    single = {name: np.float32(values) for name, values in arrays.items()}
    states = (
        [0] if "states_1" not in arrays or (arrays["states_0"] == arrays["states_1"]).all() else range(agents)
    )

    def gather(name, row, over=range(agents)):
        return [single[f"{name}_{i}"][row].tolist() for i in over]

    out, row = [], 0
    for number, length in enumerate(lengths):
        for t in range(length):
            last = t == length - 1
            one = {
                "episode": number,
                "observation": gather("obs", row),
                "next_observation": gather("next_obs", row),
                "action": gather("acs", row),
                "reward": float(single["rews_0"][row]),
                "terminated": last and number in done,
                "truncated": last and number not in done,
            }
            if "states_0" in arrays:
                one["state"] = np.ravel(gather("states", row, states)).tolist()
                one["next_state"] = np.ravel(gather("next_states", row, states)).tolist()
            out.append(one)
            row += 1
    return out


def test_by_hand(tmp_path):
    arrays = {
        "obs_0": [[1.0], [2.0], [9.0]],
        "next_obs_0": [[2.0], [3.0], [10.0]],
        "obs_1": [[5.0], [6.0], [7.0]],
        "next_obs_1": [[6.0], [7.0], [8.0]],
        **{f"acs_{i}": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]] for i in range(2)},
        "rews_0": [1.0, 3.0, 5.0],
        "rews_1": [2.0, 4.0, 6.0],
        **{f"dones_{i}": np.zeros(3) for i in range(2)},
    }
    episodes = read_all(LAYOUT, write_npys(tmp_path / "a", arrays), team_reward="mean")
    # Agent 0 shows that the third row is another episode's.
    assert episodes.length.tolist() == [2, 1]
    assert episodes.observation[..., 0].tolist() == [[1, 5], [2, 6], [3, 7], [9, 7], [10, 8]]
    assert episodes.reward.tolist() == [1.5, 3.5, 5.5]
    assert episodes.truncated.tolist() == [False, True, True] and not episodes.terminated.any()
    assert episodes.state is None and episodes.action.shape == (3, 2, 2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    agents=st.integers(1, 3),
    states=st.sampled_from([None, "same", "own"]),
    data=st.data(),
)
def test_any_episode_structure(tmp_path_factory, monkeypatch, lengths, agents, states, data):
    done = data.draw(st.sets(st.integers(0, len(lengths) - 1)))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    arrays = make_omar(lengths, agents=agents, done=done, states=states, dtype=dtype)
    # Small blocks and chunks, so that episodes and the search for their ends cross their borders.
    monkeypatch.setattr(omar_files, "BLOCK_BYTES", data.draw(st.sampled_from([1, 300, 2**20])))
    monkeypatch.setattr(omar, "block_spans", lambda n, size: iter([(i, i + 1) for i in range(len(n))]))
    path = write_npys(tmp_path_factory.mktemp("omar"), arrays)
    assert transitions(read_all(LAYOUT, path)) == read_slowly(arrays, agents, lengths, done)


def test_done_of_single_agents_is_no_end(tmp_path):
    arrays = make_omar([4])
    arrays["dones_0"][1] = 1
    episodes = read_all(LAYOUT, write_npys(tmp_path, arrays))
    assert episodes.length.tolist() == [4] and not episodes.terminated.any()


def test_a_done_within_rows_that_go_on_is_an_end(tmp_path):
    arrays = make_omar([4])
    for i in range(2):
        arrays[f"dones_{i}"][1] = 1
    episodes = read_all(LAYOUT, write_npys(tmp_path, arrays))
    assert episodes.length.tolist() == [2, 2]
    assert episodes.terminated.tolist() == [False, True, False, False]


def test_time_outs_as_the_user_wants_them(tmp_path):
    path = write_npys(tmp_path, make_omar([3, 2, 3], done=(0, 1)))
    ends = [2, 4, 7]
    for options, terminated in (
        ({}, [True, True, False]),
        ({"timeout_is_terminal": True}, [True, True, True]),
        ({"timeout_is_terminal": False}, [True, True, False]),
        ({"timeout_is_terminal": False, "max_steps": 3}, [False, True, False]),
    ):
        episodes = read_all(LAYOUT, path, **options)
        assert episodes.terminated[ends].tolist() == terminated
        assert episodes.truncated[ends].tolist() == [not end for end in terminated]


def test_columns_of_flags_and_rewards(tmp_path):
    arrays = make_omar([3, 2], done=(1,))
    expected = transitions(read_all(LAYOUT, write_npys(tmp_path / "a", arrays)))
    columns = {name: v[:, None] if v.ndim == 1 else np.asfortranarray(v) for name, v in arrays.items()}
    assert transitions(read_all(LAYOUT, write_npys(tmp_path / "b", columns))) == expected


def test_prey_is_part_of_the_environment(tmp_path):
    arrays = make_omar([3, 2])
    prey = make_omar([3, 2], agents=1, sizes=(2, 2), seed=1)
    path = write_npys(tmp_path, arrays | {name.replace("_0", "_2"): v for name, v in prey.items()})
    with pytest.warns(UserWarning, match=r"2 of 3 agents are the team; .*left out. Pass groups='all'"):
        episodes = read_all(LAYOUT, path)  # the prey's rewards are its own
    assert transitions(episodes) == read_slowly(arrays, 2, [3, 2], ())


def test_agents_of_different_sizes(tmp_path):
    arrays = make_omar([3], agents=3)
    arrays["obs_1"] = arrays["next_obs_1"] = np.zeros((3, 5))
    with pytest.raises(DataError, match=r"agents have observations and actions of sizes .*\(5,\)"):
        LAYOUT.read(write_npys(tmp_path, arrays), ReadOptions())


@pytest.mark.parametrize("rest", [2, 3])
def test_a_team_of_no_more_agents_than_are_left_out_has_to_be_named(tmp_path, rest):
    arrays = make_omar([3])
    for i in range(rest):
        prey = make_omar([3], agents=1, sizes=(2, 2), seed=1)
        arrays |= {name.replace("_0", f"_{2 + i}"): v for name, v in prey.items()}
    path = write_npys(tmp_path, arrays)
    with pytest.raises(DataError, match=r"Pass groups='all' .* or groups=\{'agents': \[0, ...\]\}"):
        LAYOUT.read(path, ReadOptions())
    assert len(read_all(LAYOUT, path, groups={"agents": [0, 1]}).groups) == 1


def test_rewards_of_the_agents_differ(tmp_path):
    arrays = make_omar([3])
    arrays["rews_1"][1] += 2
    path = write_npys(tmp_path, arrays)
    with pytest.raises(DataError, match=r"rows 0 to 2: the agents' rewards differ in 1 rows, first in row 1"):
        read_all(LAYOUT, path)
    total = read_all(LAYOUT, path, team_reward="sum").reward
    np.testing.assert_allclose(total, arrays["rews_0"] + arrays["rews_1"], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("acs_1"), r"acs_1\.npy is missing"),
        (lambda a: (a.pop("rews_0"), a.pop("dones_1")), r"rews_0\.npy is missing; dones_1\.npy is missing"),
        (
            lambda a: a.update(acs_0=a["acs_0"][:-1], dones_1=a["dones_1"][:-1]),
            r"acs_0\.npy has shape \(4, 2\), expected \(5, 'F'\); dones_1\.npy has shape \(4,\)",
        ),
        (lambda a: a.update(next_obs_0=a["next_obs_0"][:, :2]), r"next_obs_0\.npy has shape \(5, 2\)"),
        (lambda a: a.update(rews_0=np.zeros((5, 2))), r"rews_0\.npy has shape \(5, 2\), expected \(5,\)"),
        (lambda a: a.update(dones_0=np.full(5, 0.5)), r"dones hold 0\.5; expected zeros and ones"),
        (lambda a: a.update(acs_0=np.array(list("abcde"))), "expected numbers"),
        (lambda a: a.update({name: v[:0] for name, v in a.items()}), "obs_0.npy is empty"),
    ],
)
def test_bad_files_are_refused(tmp_path, change, message):
    arrays = make_omar([3, 2])
    change(arrays)
    with pytest.raises(DataError, match=message):
        LAYOUT.read(write_npys(tmp_path, arrays), ReadOptions())


def test_one_seed_of_several(tmp_path):
    tier = tmp_path / "simple_spread" / "expert"
    with pytest.raises(DataError, match="OMAR's data of 0 seeds"):
        LAYOUT.read(tmp_path, ReadOptions())
    write_npys(tier / "seed_0_data", make_omar([3]))
    assert LAYOUT.matches(tier) and LAYOUT.matches(tier / "seed_0_data") and not LAYOUT.matches(tier.parent)
    assert read_all(LAYOUT, tier).steps == 3
    write_npys(tier / "seed_1_data", make_omar([4]))
    with pytest.raises(
        DataError, match=r"2 seeds \(seed_0_data, seed_1_data\); expected one.* Pass .*seed_0"
    ):
        LAYOUT.read(tier, ReadOptions())


def test_only_its_own_files_match(tmp_path):
    assert [name for name, path in write_every_layout(tmp_path).items() if LAYOUT.matches(path)] == ["omar"]


def test_damaged_files_are_refused_or_sound(tmp_path):
    path = write_npys(tmp_path / "a", make_omar([3, 9, 5], done=(1,), states="same"))
    for name in ("obs_0", "dones_1", "next_states_0"):
        assert_survives_damage(LAYOUT, path, file=path / f"{name}.npy", times=80)


def test_converted_to_a_dataset(tmp_path):
    arrays = make_omar([3, 1, 2], done=(1,), states="own")
    reading = LAYOUT.read(write_npys(tmp_path / "a", arrays), ReadOptions())
    assert reading.steps == 6
    convert(reading, tmp_path / "out", ReadOptions(), name="toy")
    data, expected = load_ted(tmp_path / "out"), read_slowly(arrays, 2, [3, 1, 2], (1,))
    assert data["state"].tolist() == [one["state"] for one in expected]
    nexts = data["next", "agents", "observation"].tolist()
    assert nexts == [one["next_observation"] for one in expected]
    assert data["next", "terminated"].flatten().tolist() == [one["terminated"] for one in expected]
    assert data["episode"].tolist() == [0, 0, 0, 1, 2, 2]
