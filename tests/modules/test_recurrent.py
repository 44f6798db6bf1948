"""The memory of a team."""

from __future__ import annotations

import pytest
import torch
from torchrl.modules import set_recurrent_mode

from omiga_torchrl.envs import make_env, with_memory
from omiga_torchrl.modules import TeamGRU, agent_network, is_recurrent, make_actor
from omiga_torchrl.specs import TeamSpec

SPEC = TeamSpec(3, 5, 2, 7)
DISCRETE = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)


def along_time(module, data):
    with set_recurrent_mode(True), torch.no_grad():
        return module(data)


def test_features_depend_on_the_past_and_on_nothing_else():
    memory, data = TeamGRU(SPEC, size=8, last_action=None), SPEC.fake_batch(4, 6)
    features = along_time(memory, data.clone())[memory.out_keys[0]]
    data["agents", "observation"][:, 3, 1] += 1  # agent 1 at step 3
    changed = along_time(memory, data)[memory.out_keys[0]] != features
    moved = changed.any(-1).all(0)  # [T, N]
    assert not moved[:3].any() and not moved[:, [0, 2]].any() and moved[3:, 1].all()


@pytest.mark.parametrize("task", ["tabular/bridge", "vmas/navigation"])
def test_steps_in_an_environment_equal_the_sequence(task):
    env = make_env(task, num_envs=3, seed=0, max_steps=4)
    policy = make_actor(TeamSpec.from_env(env), hidden=(8,), recurrent=8)
    with torch.no_grad():
        data = with_memory(env, policy).rollout(10, policy, break_when_any_done=False)
    assert data["is_init"].sum() > 3  # several episodes, so that memories were emptied
    wanted = [key for key in ("logits", "loc") if ("agents", key) in data.keys(True)]
    assert wanted
    found = along_time(policy[:-1], data.exclude(("agents", wanted[0])))
    torch.testing.assert_close(found["agents", wanted[0]], data["agents", wanted[0]])


def test_last_action_of_an_episode_is_none_before_the_first():
    env = make_env("tabular/bridge", num_envs=2, max_steps=3)
    policy = make_actor(TeamSpec.from_env(env), hidden=(8,), recurrent=8)
    data = with_memory(env, policy).rollout(7, policy, break_when_any_done=False)
    last, starts = data["agents", "last_action"], data["is_init"].squeeze(-1)
    assert (last[starts] == -1).all() and starts.any()
    follows = ~starts[:, 1:]
    assert last[:, 1:][follows].equal(data["agents", "action"][:, :-1][follows])


def test_sequences_are_asked_for():
    memory = TeamGRU(SPEC, last_action=None)
    with pytest.raises(ValueError, match=r"StepSliceSampler\(slice_len=T\)"):
        along_time(memory, SPEC.fake_batch(8))


def test_missing_last_action_says_where_it_comes_from():
    with pytest.raises(KeyError, match="with_memory"):
        along_time(TeamGRU(SPEC), SPEC.fake_batch(8, 4))


def test_agent_network_reads_history_or_observation():
    plain = agent_network(DISCRETE, 4, "q", hidden=(8,))
    recurrent = agent_network(DISCRETE, 4, "q", hidden=(8,), recurrent=8, name="qvalue")
    assert not is_recurrent(plain) and is_recurrent(recurrent)
    assert recurrent.out_keys == [("agents", "qvalue_features"), "q"]
