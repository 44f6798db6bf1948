"""Cutting streams into whole episodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from omiga_torchrl.data.recording.streams import EpisodeCutter
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes


def make_streams(lengths, time):
    """Streams that play episodes of the given lengths again and again; row values say where and when."""
    streams = len(lengths)
    number = torch.arange(streams * time).reshape(streams, time).float()
    done = torch.zeros(streams, time, dtype=torch.bool)
    for stream, own in enumerate(lengths):
        ends = np.cumsum(own * (time // sum(own) + 1)) - 1
        done[stream, ends[ends < time]] = True
    # The row after the last action differs from the one that the next episode begins with.
    following = torch.where(done, -number, number + 1)
    terminated = done & (number.long() % 2 == 0)

    def rows(values):
        agents = TensorDict(
            {"observation": values[..., None, None].expand(streams, time, 2, 1)}, values.shape
        )
        return TensorDict({"agents": agents, "state": values[..., None] + 0.5}, values.shape)

    batch = rows(number).set(("agents", "action"), number[..., None, None].expand(streams, time, 2, 1) / 2)
    flags = {"done": done, "terminated": terminated, "truncated": done & ~terminated, "reward": number * 3}
    batch["next"] = rows(following).update({name: value.unsqueeze(-1) for name, value in flags.items()})
    return batch


def read_slowly(batch, quota, in_episodes):
    """One step after the other; what the cutter must give."""
    rows, actions, rewards, flags, lengths = [], [], [], [], []
    following, each = batch["next"], -(-quota // len(batch))
    for stream in range(len(batch)):
        used = length = 0
        for time in range(batch.shape[1]):
            rows.append(batch["agents", "observation"][stream, time, 0, 0].item())
            actions.append(batch["agents", "action"][stream, time, 0, 0].item())
            rewards.append(following["reward"][stream, time].item())
            flags.append(following["terminated"][stream, time].item())
            length += 1
            ended = following["done"][stream, time].item()
            used += ended if in_episodes else 1
            if ended:
                rows.append(following["agents", "observation"][stream, time, 0, 0].item())
                lengths.append(length)
                length = 0
                if used >= each:
                    break
        else:
            return None
    return rows, actions, rewards, flags, lengths


@settings(deadline=None, max_examples=150)
@given(
    lengths=st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=4), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    quota=st.integers(1, 60),
    in_episodes=st.booleans(),
)
def test_cut_is_what_playing_step_by_step_gives(lengths, cuts, quota, in_episodes):
    time = 60 + 7 * (quota + 1) if in_episodes else 60 + 8
    batch = make_streams(lengths, time)
    cutter = EpisodeCutter(episodes=quota) if in_episodes else EpisodeCutter(steps=quota)
    start, kept = 0, 0
    while not cutter.done:
        width = cuts[start % len(cuts)]
        kept += cutter.add(batch[:, start : start + width].clone())
        start += width
    rows, actions, rewards, terminated, episode_lengths = read_slowly(batch, quota, in_episodes)
    found = cutter.episodes()
    assert found.length.tolist() == episode_lengths and found.steps == kept
    for agent in range(2):
        assert found.observation[:, agent, 0].tolist() == rows
        assert found.action[:, agent, 0].tolist() == actions
    assert found.state[:, 0].tolist() == [row + 0.5 for row in rows]
    assert found.reward.tolist() == rewards
    assert found.terminated.tolist() == terminated
    assert (len(found) if in_episodes else found.steps) >= quota


def test_quota_counts_the_start_of_an_episode():
    # Quota 2 per stream: the first stream's second episode starts when one step is used, its third
    # when four are. The other one's first takes three, so that no other begins.
    cutter = EpisodeCutter(steps=4)
    assert cutter.add(make_streams([[1, 3], [3]], 6)) == 4 + 3
    assert cutter.done and cutter.episodes().length.tolist() == [1, 3, 3]


def test_streams_of_several_workers_and_of_one_plain_environment():
    batch = make_streams([[2], [3]], 6)
    cutter = EpisodeCutter(episodes=2)
    cutter.add(batch.reshape(2, 1, 6))
    assert cutter.episodes().length.tolist() == [2, 3]
    cutter = EpisodeCutter(episodes=2)
    cutter.add(batch[0])
    assert cutter.episodes().length.tolist() == [2, 2]


def test_environments_without_truncation_and_state():
    batch = make_streams([[2]], 4).exclude("state", ("next", "state"), ("next", "truncated"))
    cutter = EpisodeCutter(episodes=2)
    cutter.add(batch)
    episodes = cutter.episodes()
    assert episodes.state is None
    # Rows 1 and 3 end: odd, so neither terminates.
    assert episodes.truncated.tolist() == [False, True] * 2 and not episodes.terminated.any()


def test_what_an_environment_must_give():
    batch = make_streams([[2]], 4)
    with pytest.raises(KeyError, match=r"\('agents', 'action'\) is missing.*make_env"):
        EpisodeCutter(steps=1).add(batch.exclude(("agents", "action")))
    per_agent = batch.clone().set(("next", "reward"), torch.zeros(1, 4, 2, 1))
    cutter = EpisodeCutter(steps=1)
    cutter.add(per_agent)
    with pytest.raises(DataError, match="one reward of the team per step"):
        cutter.episodes()


def test_only_a_state_that_repeats_the_observations_is_left_out():
    episodes = make_episodes(stored_state=True)
    assert episodes.without_repeated_state().state is episodes.state
    episodes.state = episodes.observation.reshape(len(episodes.observation), -1).copy()
    slim = episodes.without_repeated_state()
    assert slim.state is None and slim.observation is episodes.observation


def test_agents_own_rewards_are_kept_as_one_number_each():
    batch = make_streams([[3], [2]], 6)
    own = torch.arange(24.0).reshape(2, 6, 2)
    batch["next", "agents", "reward"] = own.unsqueeze(-1)
    cutter = EpisodeCutter(steps=12)
    cutter.add(batch)
    assert cutter.episodes().groups["agents"].reward.tolist() == own.reshape(12, 2).tolist()
