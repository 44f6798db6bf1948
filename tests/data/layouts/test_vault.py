"""Vaults: what Flashbax wrote is read without it, and Flashbax reads what is written here."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.data import Episodes, OfflineDataset
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions, vault_blocks, vault_ends, vault_files, vault_writing
from omiga_torchrl.data.layouts.vault import VaultLayout
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes
from tests.data.layouts.helpers_files import fingerprint, write_every_layout
from tests.data.layouts.helpers_hdf5 import assert_same, read_all, transitions
from tests.data.layouts.helpers_vault import (
    FIXTURE,
    flatten,
    make_experience,
    vault_experience,
    write_slowly,
    write_with_flashbax,
)

pytest.importorskip("tensorstore")
LAYOUT = VaultLayout()
TRUNCATED = ReadOptions(incomplete="truncated")


def read_slowly(experience):
    """Transitions by plain Python; time-outs and an open end lose their last step."""
    out, number, start = [], 0, 0
    rows = len(experience["rewards"])
    for row in range(rows):
        terminal = all(experience["terminals"][row])
        if not (terminal or all(experience["truncations"][row]) or row == rows - 1):
            continue
        length = row + 1 - start - (not terminal)
        for t in range(start, start + length):
            after, last = min(t + 1, row), t == start + length - 1
            out.append(
                {
                    "episode": number,
                    "observation": experience["observations"][t].tolist(),
                    "next_observation": experience["observations"][after].tolist(),
                    "state": experience["infos"]["state"][t].tolist(),
                    "next_state": experience["infos"]["state"][after].tolist(),
                    "action": experience["actions"][t].tolist(),
                    "reward": float(experience["rewards"][t, 0]),
                    "terminated": last and terminal,
                    "truncated": last and not terminal,
                }
            )
        number, start = number + (length > 0), row + 1
    return out


def test_what_flashbax_wrote():
    """The rows are those of `vault_experience`: their numbers are their time."""
    for path in (FIXTURE, FIXTURE / "Good"):
        assert LAYOUT.matches(path)
        reading = LAYOUT.read(path, TRUNCATED)
        (episodes,) = reading.blocks
        assert (reading.steps, reading.n_actions) == (7, 4)
        # Rows 0 to 2 terminate; row 6 and row 9 are only seen; row 7 ran out of time at once.
        assert episodes.length.tolist() == [3, 3, 1]
        seen = [0, 1, 2, 2, 3, 4, 5, 6, 8, 9]
        np.testing.assert_allclose(episodes.observation[:, 0, 0], seen)
        np.testing.assert_allclose(episodes.observation[:, 1, 2], np.array(seen) + 0.12, rtol=1e-6)
        assert episodes.state[:, 2].tolist() == [t**2 for t in seen]
        assert episodes.action.tolist() == [[0, 1], [1, 2], [2, 3], [3, 0], [0, 1], [1, 2], [0, 1]]
        assert episodes.reward.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 4]
        assert episodes.terminated.tolist() == [False, False, True, *[False] * 4]
        assert episodes.truncated.tolist() == [False] * 5 + [True] * 2
        assert episodes.action_mask[:, 1, 3].tolist() == [t % 2 == 0 for t in seen]
        assert episodes.action_mask[..., :3].all()
        assert transitions(episodes) == read_slowly(vault_experience())


@pytest.mark.filterwarnings("ignore")
def test_flashbax_itself(tmp_path, capsys):
    flashbax_vault = pytest.importorskip("flashbax.vault")
    experience = make_experience("..l.t...l.t..", seed=1)
    write_with_flashbax(tmp_path / "toy.vlt" / "Good", experience, (0, 3, 4))
    episodes = read_all(LAYOUT, tmp_path / "toy.vlt", incomplete="truncated")
    assert transitions(episodes) == read_slowly(experience)

    LAYOUT.write(tmp_path / "own.vlt" / "Good", [episodes.part(0, 2), episodes.part(2, len(episodes))])
    own = flashbax_vault.Vault("own.vlt", rel_dir=str(tmp_path), vault_uid="Good")
    rows = episodes.steps + 3  # one more for every episode that did not terminate
    assert own.vault_index == rows
    got = {name: np.asarray(values)[0] for name, values in flatten(own.read().experience).items()}
    kinds = {name: (values.dtype.name, values.shape) for name, values in got.items()}
    assert kinds == {
        name: ("bool" if name == "infos.legals" else values.dtype.name, (rows, *values.shape[1:]))
        for name, values in flatten(experience).items()
    }
    assert transitions(read_all(LAYOUT, tmp_path / "own.vlt")) == transitions(episodes)
    for name in ("observations", "infos.state"):
        expected = flatten(experience)[name]
        np.testing.assert_array_equal(got[name][:2], expected[:2])
    capsys.readouterr()


@settings(max_examples=25, deadline=None)
@given(
    ends=st.text("..tl", min_size=1, max_size=14),
    agents=st.integers(1, 3),
    chunk=st.sampled_from([1, 3, 100]),
    small=st.booleans(),
)
def test_any_episode_structure(tmp_path_factory, ends, agents, chunk, small):
    experience = make_experience(ends, agents=agents)
    path = write_slowly(tmp_path_factory.mktemp("a") / "toy.vlt" / "Good", experience, chunk=chunk)
    expected = read_slowly(experience)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vault_ends, "_BYTES", 100)
        if small:
            patch.setattr(
                vault_blocks, "block_spans", lambda n, size: iter([(i, i + 1) for i in range(len(n))])
            )
        reading = LAYOUT.read(path, TRUNCATED)
        assert reading.steps == len(expected)
        blocks = list(reading.blocks)
    assert bool(blocks) == bool(expected)
    if expected:
        assert transitions(Episodes.concatenate(blocks)) == expected


def test_rows_behind_the_write_index_are_no_data(tmp_path):
    experience = make_experience("..t.t....")
    path = write_slowly(tmp_path / "Good", experience, index=5)
    assert LAYOUT.read(path, ReadOptions()).steps == 5


def test_a_vault_that_stops_within_an_episode(tmp_path):
    stops = "rows 3 to 5, has no end. Is the file complete.* Pass incomplete='truncated'"
    for ends, message in (("..t...", stops), ("...", "no row of 3 marks the end of an episode")):
        path = write_slowly(tmp_path / ends, make_experience(ends))
        with pytest.raises(DataError, match=message):
            LAYOUT.read(path, ReadOptions())
        assert read_all(LAYOUT, path, incomplete="truncated").truncated.sum() == 1


def test_ends_are_those_of_all_agents(tmp_path):
    experience = make_experience("....l")
    experience["terminals"][0, 0] = True  # one died
    experience["terminals"][2] = [True, False]  # one died, for the other time ran out
    experience["truncations"][2] = [False, True]
    episodes = read_all(LAYOUT, write_slowly(tmp_path / "a", experience))
    assert episodes.length.tolist() == [2, 1] and not episodes.terminated.any()


def test_time_outs_as_the_user_wants_them(tmp_path):
    told = write_slowly(tmp_path / "told", make_experience("..t..l"))
    assert read_all(LAYOUT, told, timeout_is_terminal=True).terminated.tolist() == [0, 0, 1, 0, 0, 1]
    assert read_all(LAYOUT, told, timeout_is_terminal=False).length.tolist() == [3, 2]
    late = read_all(LAYOUT, told, timeout_is_terminal=False, max_steps=3)
    assert late.length.tolist() == [2, 2] and not late.terminated.any()
    untold = write_slowly(tmp_path / "untold", make_experience("..t.t"))
    with pytest.raises(ValueError, match="pass max_steps="):
        LAYOUT.read(untold, ReadOptions(timeout_is_terminal=False))
    late = read_all(LAYOUT, untold, timeout_is_terminal=False, max_steps=3)
    assert late.terminated.tolist() == [False, False, False, True]
    assert late.truncated.tolist() == [False, True, False, False]


def test_other_shapes_and_types(tmp_path):
    experience = make_experience("..t.t")
    expected = transitions(read_all(LAYOUT, write_slowly(tmp_path / "a", experience)))
    other = {**experience, "infos": dict(experience["infos"])}
    other["actions"] = experience["actions"][..., None].astype(np.int64)
    other["terminals"] = experience["terminals"].astype(np.float32)
    other["infos"]["state"] = experience["infos"]["state"].reshape(5, 1, 5)
    other["infos"]["extra"] = np.zeros(5)
    assert transitions(read_all(LAYOUT, write_slowly(tmp_path / "b", other))) == expected
    del other["infos"], other["truncations"]
    bare = read_all(LAYOUT, write_slowly(tmp_path / "c", other))
    assert bare.state is None and bare.action_mask is None and bare.steps == 5
    other["actions"] = np.linspace(-1, 1, 10, dtype=np.float32).reshape(5, 2)
    other["infos"] = {"legals": np.ones((5, 2, 4), bool)}
    continuous = read_all(LAYOUT, write_slowly(tmp_path / "d", other))
    assert continuous.action.shape == (5, 2, 1) and continuous.action_mask is None
    other["infos"] = experience["infos"]
    other["truncations"] = experience["truncations"]
    for number, actions in enumerate((experience["actions"], np.eye(4)[experience["actions"]])):
        other["actions"] = actions.astype(np.float32)
        assert transitions(read_all(LAYOUT, write_slowly(tmp_path / f"e{number}", other))) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.pop("rewards"), r"'rewards' is missing \(found \['actions', 'infos.legals'"),
        (lambda e: e.update(observations=np.zeros((5, 6), np.float32)), r"expected \(T, agents, features\)"),
        (lambda e: e.update(rewards=np.zeros((5, 3), np.float32)), r"'rewards' has shape \(5, 3\)"),
        (lambda e: e.update(terminals=np.zeros((5, 2, 1), bool)), r"'terminals' has shape \(5, 2, 1\)"),
        (lambda e: e.update(actions=np.zeros((5, 2, 2), np.int32)), "'actions' are discrete and of shape"),
        (lambda e: e.update(actions=np.full((5, 2), 4, np.int32)), "expected whole numbers from 0 to 3"),
        (lambda e: e.update(observations=np.zeros((5, 2, 3), np.complex64)), "complex64, expected numbers"),
        (lambda e: e["rewards"].__setitem__((1, 0), 7), "rows 0 to 4: the agents' rewards differ in 1 rows"),
    ],
)
def test_bad_vaults_are_refused(tmp_path, change, message):
    experience = make_experience("..t.t")
    change(experience)
    path = write_slowly(tmp_path / "a", experience)
    with pytest.raises(DataError, match=message):
        list(LAYOUT.read(path, ReadOptions()).blocks)


def test_only_its_own_files_match(tmp_path):
    found = [name for name, path in write_every_layout(tmp_path).items() if LAYOUT.matches(path)]
    assert found == ["vault"]


def test_the_source_is_not_changed(tmp_path):
    shutil.copytree(FIXTURE, tmp_path / "a")
    before = fingerprint(tmp_path)
    read_all(LAYOUT, tmp_path / "a", incomplete="truncated")
    assert fingerprint(tmp_path) == before


def test_converted_to_a_dataset(tmp_path):
    experience = make_experience("..t..l.t")
    reading = LAYOUT.read(write_slowly(tmp_path / "a", experience), ReadOptions())
    convert(reading, tmp_path / "out", ReadOptions(), name="toy")
    data, expected = load_ted(tmp_path / "out"), read_slowly(experience)
    assert data["next", "state"].tolist() == [one["next_state"] for one in expected]
    assert data["agents", "action"].tolist() == [one["action"] for one in expected]
    assert data["next", "truncated"].flatten().tolist() == [one["truncated"] for one in expected]


def as_vaults_hold_them(episodes):
    """The observation after a termination is the one before it."""
    last = (np.cumsum(episodes.length + 1) - 1)[episodes.terminated[np.cumsum(episodes.length) - 1]]
    arrays = {name: values.copy() for name, values in episodes.arrays().items()}
    for name in {"observation", "state", "action_mask"} & arrays.keys():
        arrays[name][last] = arrays[name][last - 1]
    return Episodes(**arrays)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    cut=st.integers(1, 7),
    agents=st.integers(1, 3),
    masked=st.booleans(),
    stored_state=st.booleans(),
    chunk_bytes=st.sampled_from([1, 200, 2**22]),
)
def test_what_is_written_is_read_again(
    tmp_path_factory, lengths, cut, agents, masked, stored_state, chunk_bytes
):
    episodes = make_episodes(lengths, n_agents=agents, masked=masked, stored_state=stored_state)
    parts = [episodes.part(i, min(i + cut, len(lengths))) for i in range(0, len(lengths), cut)]
    path = tmp_path_factory.mktemp("vault") / "new.vlt" / "Good"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vault_writing, "CHUNK_BYTES", chunk_bytes)
        LAYOUT.write(path, parts)
    again = read_all(LAYOUT, path)
    assert_same(again, as_vaults_hold_them(episodes))
    np.testing.assert_array_equal(again.returns(), episodes.returns())


def test_the_row_behind_a_time_out(tmp_path):
    """Its action is legal, it has no reward, and only its mark ends the episode."""
    episodes = make_episodes((2, 1), masked=True)
    episodes.action_mask[2] = [[False, False, True], [False, True, True]]
    LAYOUT.write(tmp_path / "a.vlt" / "Good", [episodes])
    files = vault_files.VaultFiles.open(
        tmp_path / "a.vlt" / "Good", ("actions", "rewards", "infos.state"), ()
    )
    assert files.arrays["actions"][:][2].tolist() == [2, 1]
    assert files.arrays["rewards"][:][2].tolist() == [0, 0]
    np.testing.assert_array_equal(files.arrays["infos.state"][2:3][0], episodes.observation[2].ravel())


def test_writing_never_leaves_half_a_vault(tmp_path):
    path, good = tmp_path / "new.vlt" / "Good", make_episodes()

    def broken():
        yield good
        raise RuntimeError("stop")

    for blocks, message in (
        (broken(), "stop"),
        ([], "nothing to write"),
        ([good, make_episodes(n_agents=3)], "rows change from .*expected one kind"),
        ([good, make_episodes(masked=True)], "rows change from .*expected one kind"),
    ):
        with pytest.raises((DataError, RuntimeError), match=message):
            LAYOUT.write(path, blocks)
        assert not list(path.parent.iterdir())
    LAYOUT.write(path, [good])
    before = fingerprint(path)
    with pytest.raises(FileExistsError, match="expected a new folder"):
        LAYOUT.write(path, [good])
    assert fingerprint(path) == before and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("one_hot", [False, True])
def test_missing_legal_actions_are_said_and_not_invented(tmp_path, caplog, one_hot):
    experience = make_experience("..t..t")
    del experience["infos"]["legals"]
    experience["actions"][1] = 6
    if one_hot:
        experience["actions"] = np.eye(9, dtype=np.int32)[experience["actions"]]
    dataset = OfflineDataset(write_slowly(tmp_path / "a.vlt" / "Good", experience), root=tmp_path)
    actions = 9 if one_hot else 7
    assert dataset.spec.action_size == actions and not dataset.spec.masked
    assert ("agents", "action_mask") not in dataset.data.keys(True)
    words = f"which of the {actions} actions are legal is unknown"
    assert words in caplog.text and words in str(dataset.ends)
