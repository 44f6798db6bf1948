from __future__ import annotations

import pytest
import torch
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.modules import is_recurrent, qvalue_ensemble
from omiga_torchrl.modules.greedy import GreedyActions, greedy_policy
from omiga_torchrl.specs import TeamSpec

# Two agents, three actions, two critics.
VALUE = torch.tensor([[[1.0, 1.0], [0.0, 4.0], [0.5, 0.5]], [[0.0, 0.0], [0.2, 0.3], [0.1, 9.0]]])


@pytest.mark.parametrize(("reduction", "expected"), [("minimum", [0, 1]), ("mean", [1, 2])])
def test_best_by_the_minimum_or_the_mean_of_the_critics(reduction, expected):
    assert GreedyActions(reduction)(VALUE).tolist() == expected


def test_only_legal_actions_are_chosen_whatever_the_others_hold():
    legal = torch.tensor([[False, True, True], [True, False, True]])
    value = VALUE.masked_fill(~legal.unsqueeze(-1), float("nan"))
    assert GreedyActions()(value, legal).tolist() == [2, 2]


def test_an_agent_without_a_legal_action_plays_the_first():
    assert GreedyActions()(VALUE, torch.zeros(2, 3, dtype=torch.bool)).tolist() == [0, 0]


def test_unknown_reduction():
    with pytest.raises(ValueError, match="unknown reduction 'min'; did you mean 'minimum'"):
        GreedyActions("min")


@pytest.mark.parametrize("recurrent", [None, 8])
def test_acts_in_environments_with_memory_and_without(recurrent):
    torch.manual_seed(0)
    env = make_env("tabular/bridge", num_envs=4)
    qvalue = qvalue_ensemble(TeamSpec.from_env(env), 2, hidden_sizes=(8,), rnn_hidden_size=recurrent)
    policy = greedy_policy(qvalue)
    assert is_recurrent(policy) == (recurrent is not None)
    assert {id(p) for p in policy.parameters()} == {id(p) for p in qvalue.parameters()}
    results = [evaluate(policy, env, episodes=4, seed=0, deterministic=kind) for kind in (True, False)]
    assert results[0].lengths.shape == (4,)
    assert results[0].returns.equal(results[1].returns)  # nothing is drawn


def test_plays_the_best_action_of_a_learned_table():
    env = make_env("tabular/climbing", num_envs=2)
    qvalue = qvalue_ensemble(TeamSpec.from_env(env), 1, hidden_sizes=(8,))
    with torch.no_grad():
        for parameter in qvalue.parameters():
            parameter.zero_()
        qvalue.module.members[0].body[-1].bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    with set_exploration_type(ExplorationType.RANDOM):
        data = env.rollout(1, greedy_policy(qvalue))
    assert (data["agents", "action"] == 2).all() and (data["next", "reward"] == 5).all()


def test_reads_the_mask_of_masked_tasks():
    spec = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
    policy = greedy_policy(qvalue_ensemble(spec, 2, hidden_sizes=(8,)), masked=True)
    assert set(policy.in_keys) == {("agents", "observation"), ("agents", "action_mask")}
    data = spec.fake_batch(64)
    action = policy(data.exclude(("agents", "action")))["agents", "action"]
    assert data["agents", "action_mask"].gather(-1, action.unsqueeze(-1)).all()
