"""Our own recordings as a layout: what their card says of them, and blocks of their episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from omiga_torchrl.data import Episodes, write_recording
from omiga_torchrl.data.layouts import recording
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.layouts.recording import RecordingLayout
from omiga_torchrl.data.spans import block_spans
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_card, make_episodes

LAYOUT = RecordingLayout()


def write(path, episodes, **changes):
    write_recording(path, episodes, make_card(episodes, **changes))
    return path


def read(path, **options):
    return LAYOUT.read(path, ReadOptions(**options))


def with_rewards(episodes):
    own = np.stack([episodes.reward + 1, episodes.reward - 3], 1)
    agents = replace(episodes.groups["agents"], reward=own.astype(np.float32))
    return episodes.replaced(groups={"agents": agents}, reward=own.mean(1).astype(np.float32))


def test_a_folder_with_a_card(tmp_path):
    path = write(tmp_path / "a", make_episodes())
    assert LAYOUT.matches(path) and not LAYOUT.matches(tmp_path) and not LAYOUT.matches(path / "card.json")


@pytest.mark.parametrize("size", [1, 10**9])
def test_what_was_recorded(tmp_path, monkeypatch, size):
    monkeypatch.setattr(recording, "block_spans", lambda *sizes: block_spans(*sizes, size))
    episodes = make_episodes((3, 1, 4), stored_state=True)
    reading = read(write(tmp_path / "a", episodes))
    assert reading.steps == 8 and reading.n_actions is None and reading.agents == {}
    found = list(reading.blocks)
    assert len(found) == (3 if size == 1 else 1)
    for name, values in Episodes.concatenate(found).arrays().items():
        np.testing.assert_array_equal(values, episodes.arrays()[name], strict=True)


def test_discrete_actions_are_as_many_as_the_card_says(tmp_path):
    assert read(write(tmp_path / "a", make_episodes(masked=True))).n_actions == 3


def test_blocks_are_of_whole_rows(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(recording, "block_spans", lambda *sizes: asked.append(sizes) or block_spans(*sizes))
    episodes = make_episodes((3, 1, 4))
    list(read(write(tmp_path / "a", episodes)).blocks)
    ((lengths, size),) = asked
    assert lengths.tolist() == [3, 1, 4]
    assert size == sum(values.nbytes for values in episodes.arrays().values()) // 8


def test_a_file_that_is_not_the_cards(tmp_path):
    path, other = write(tmp_path / "a", make_episodes()), write(tmp_path / "b", make_episodes(seed=1))
    (path / "data.npz").write_bytes((other / "data.npz").read_bytes())
    with pytest.raises(DataError, match=r"data.npz has sha256 .*, its card says .*; the file is damaged"):
        read(path)


def test_ends_as_the_user_wants_them(tmp_path):
    path = write(tmp_path / "a", make_episodes((3, 1, 4)))

    def ends(**options):
        (block,) = read(path, **options).blocks
        return [np.flatnonzero(flags).tolist() for flags in (block.terminated, block.truncated)]

    assert ends() == [[3], [2, 7]]
    assert ends(timeout_is_terminal=True) == [[2, 3, 7], []]
    assert ends(timeout_is_terminal=False, max_steps=1) == [[], [2, 3, 7]]


def test_the_teams_reward_by_another_rule(tmp_path):
    episodes = with_rewards(make_episodes())
    path = write(tmp_path / "a", episodes, team_reward="mean")
    own = episodes.groups["agents"].reward
    for rule, expected in (
        (None, episodes.reward),
        ("mean", episodes.reward),
        ("sum", own.sum(1)),
        ("first", own[:, 0]),
    ):
        (block,) = read(path, team_reward=rule).blocks
        np.testing.assert_allclose(block.reward, expected, rtol=1e-6)
    plain = write(tmp_path / "b", make_episodes(), team_reward="sum")
    assert len(list(read(plain, team_reward="sum").blocks)) == 1
    with pytest.raises(DataError, match=r"data.npz: team_reward is 'mean'; expected 'sum'"):
        list(read(plain, team_reward="mean").blocks)
