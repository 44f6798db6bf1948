"""The memory of a team."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import RenameTransform, TransformedEnv
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
    policy = make_actor(TeamSpec.from_env(env), hidden_sizes=(8,), rnn_hidden_size=8)
    with torch.no_grad():
        data = with_memory(env, policy).rollout(10, policy, break_when_any_done=False)
    assert data["is_init"].sum() > 3  # several episodes, so that memories were emptied
    wanted = [key for key in ("logits", "loc") if ("agents", key) in data.keys(True)]
    assert wanted
    found = along_time(policy[:-1], data.exclude(("agents", wanted[0])))
    torch.testing.assert_close(found["agents", wanted[0]], data["agents", wanted[0]])


def test_last_action_of_an_episode_is_none_before_the_first():
    env = make_env("tabular/bridge", num_envs=2, max_steps=3)
    policy = make_actor(TeamSpec.from_env(env), hidden_sizes=(8,), rnn_hidden_size=8)
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
    plain = agent_network(DISCRETE, 4, "q", hidden_sizes=(8,))
    recurrent = agent_network(DISCRETE, 4, "q", hidden_sizes=(8,), rnn_hidden_size=8, name="qvalue")
    assert not is_recurrent(plain) and is_recurrent(recurrent)
    assert recurrent.out_keys == [("agents", "qvalue_features"), "q"]


def memory_case(resets=True, precision=torch.float64):
    torch.manual_seed(0)
    memory, data = TeamGRU(DISCRETE, size=8).to(precision), DISCRETE.fake_batch(4, 6)
    data["agents", "observation"] = data["agents", "observation"].to(precision)
    data["agents", "last_action"] = torch.randint(-1, 4, (4, 6, 3))
    data["is_init"] = torch.rand(4, 6, 1) < 0.3
    return memory, data if resets else data.exclude("is_init")


def features(memory, data):
    with set_recurrent_mode(True):
        return memory(data.copy())["agents", "policy_features"]


@pytest.mark.parametrize("resets", [False, True])
def test_steps_one_by_one_equal_the_sequence(resets):
    memory, data = memory_case(resets)
    whole, kept = features(memory, data), torch.zeros(4, 3, 8, dtype=torch.float64)
    for step in range(6):
        out = memory(data[:, step].copy().set("policy_memory", kept))
        kept = out["next", "policy_memory"]
        torch.testing.assert_close(kept, whole[:, step], rtol=0, atol=1e-12)


def test_state_keeps_the_names_of_torchs_gru():
    names = {f"gru.{kind}_{part}_l0" for kind in ("weight", "bias") for part in ("ih", "hh")}
    assert set(TeamGRU(SPEC).state_dict()) == {*names, "encoder.weight", "encoder.bias"}


def test_compiles_in_one_graph_at_two_batch_sizes(compiles):
    memory, data = memory_case()
    compiled = compiles(features)
    for batch in (data[:, :3], data[:3, :3]):
        found, wanted = compiled(memory, batch), features(memory, batch)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
        gradients = (torch.autograd.grad(x.square().sum(), memory.parameters()) for x in (found, wanted))
        torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


def test_passes_under_vmap_over_parameters_and_over_sequences():
    memory, data = memory_case()
    others = [TeamGRU(DISCRETE, size=8).double() for _ in range(3)]
    stacked = torch.stack([TensorDict.from_module(other) for other in others])

    def with_params(params):
        with params.to_module(memory):
            return features(memory, data)

    found = torch.vmap(with_params)(stacked)
    wanted = torch.stack([features(other, data) for other in others])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    each = torch.vmap(lambda sequence: features(memory, sequence))(data)
    torch.testing.assert_close(each, features(memory, data), rtol=0, atol=1e-12)


@pytest.mark.parametrize("group", [("robots",), ("world", "robots"), ()])
def test_features_and_last_action_live_in_the_group_of_the_observation(group):
    observation = (*group, "observation") if group else "observation"
    memory = TeamGRU(SPEC, size=8, observation=observation)
    assert memory.in_keys[1] == ((*group, "last_action") if group else "last_action")
    assert memory.out_keys == [(*group, "policy_features") if group else "policy_features"]
    data = TensorDict(
        {key: torch.zeros(4, 3, size) for key, size in zip(memory.in_keys, (5, 2), strict=True)}
    )
    memory(data)
    assert data.get(memory.out_keys[0]).shape == (4, 3, 8)


def test_an_environment_with_another_group_gets_its_last_actions():
    plain = make_env("tabular/bridge", num_envs=2, max_steps=3)
    observation, action = ("robots", "observation"), ("robots", "action")
    renamed = RenameTransform([("agents", "observation")], [observation], [("agents", "action")], [action])
    env = TransformedEnv(plain, renamed, auto_unwrap=False)
    spec = replace(TeamSpec.from_env(plain), masked=False)
    policy = make_actor(spec, hidden_sizes=(8,), rnn_hidden_size=8, observation=observation, action=action)
    data = with_memory(env, policy).rollout(3, policy)
    assert data["robots", "last_action"][:, 1:].equal(data["robots", "action"][:, :-1])
    assert data["robots", "policy_features"].shape == (2, 3, spec.n_agents, 8)
