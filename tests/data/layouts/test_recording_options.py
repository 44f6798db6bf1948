"""Options of reading hold for our own recordings, too, or are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from omiga_torchrl.data import LAYOUTS, OfflineDataset, write_recording
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_card, make_episodes


def own_rewards(episodes):
    group = next(iter(episodes.groups.values()))
    own = np.arange(episodes.steps * 2, dtype=np.float32).reshape(-1, 2)
    return episodes.replaced(groups={"agents": replace(group, reward=own)}, reward=own.mean(1))


def test_time_outs_become_terminations_and_episodes_of_a_length_time_outs(write):
    episodes = make_episodes((3, 1, 4))
    raw = write(episodes)
    assert raw.data["next", "truncated"].flatten().nonzero().flatten().tolist() == [2, 7]
    assert not raw.card.timeout_is_terminal
    terminal = OfflineDataset(raw.source.path, timeout_is_terminal=True)
    assert terminal.data["next", "terminated"].flatten().nonzero().flatten().tolist() == [2, 3, 7]
    assert not terminal.data["next", "truncated"].any() and terminal.card.timeout_is_terminal
    late = OfflineDataset(raw.source.path, timeout_is_terminal=False, max_steps=1)
    assert not late.data["next", "terminated"].any()
    assert late.data["next", "truncated"].flatten().nonzero().flatten().tolist() == [2, 3, 7]


def test_the_rule_of_the_teams_reward_is_kept_or_refused(tmp_path, write):
    episodes = own_rewards(make_episodes())
    path = write(episodes, reward_scale=None).source.path
    for rule, expected in (("mean", 0.5), ("sum", 1.0), ("first", 0.0)):
        dataset = OfflineDataset(path, team_reward=rule, reward_scale=None)
        assert dataset.data["next", "reward"][0].item() == expected and dataset.card.team_reward == rule
    plain = make_episodes()
    write_recording(tmp_path / "plain", plain, make_card(plain))
    assert len(OfflineDataset(tmp_path / "plain", team_reward="mean")) == 8
    with pytest.raises(DataError, match=r"team_reward is 'sum'; expected 'mean', by which .* not kept"):
        OfflineDataset(tmp_path / "plain", team_reward="sum")


def test_options_that_mean_nothing_are_refused(write):
    path = write(make_episodes()).source.path
    with pytest.raises(DataError, match=r"delimiter_rows is True, which means nothing in .* 'recording'"):
        OfflineDataset(path, delimiter_rows=True)
    rows = {name for name, layout in LAYOUTS.items() if "delimiter_rows" not in layout.ignores}
    assert rows == {"vault", "omiga-mujoco", "d4rl"}
