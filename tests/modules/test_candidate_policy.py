from __future__ import annotations

import pytest
import torch
from tensordict.nn import TensorDictModule

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.envs import make_env
from omiga_torchrl.envs.memory import with_memory
from omiga_torchrl.modules import ConditionalVAE
from omiga_torchrl.modules.candidate_policy import CandidatePolicy
from omiga_torchrl.policies import load_policy, save_policy
from omiga_torchrl.specs import TeamSpec

CONTINUOUS = TeamSpec(3, 5, 2, 7)
DISCRETE = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)


class Nearest(torch.nn.Module):
    """The critic of agent i wants action i / 10; a second one wants the opposite."""

    def forward(self, observation, action):
        wanted = torch.arange(action.shape[-2]).unsqueeze(-1) / 10
        value = -(action - wanted).square().sum(-1, keepdim=True)
        return torch.stack([value, -value], -1)


def critic():
    return TensorDictModule(
        Nearest(), [("agents", "observation"), ("agents", "action")], [("agents", "local_qvalue")]
    )


@pytest.mark.parametrize("batch", [(), (8,), (4, 2)])
def test_each_agent_takes_its_own_best_candidate(batch):
    torch.manual_seed(0)
    vae = ConditionalVAE(CONTINUOUS, hidden_sizes=(8,))
    policy = CandidatePolicy(vae, critic(), candidates=2000)
    data = CONTINUOUS.fake_batch(8).exclude(("agents", "action"))
    data = data[0] if not batch else data.reshape(batch)
    action = policy(data)["agents", "action"]
    assert action.shape == (*batch, 3, 2)
    wanted = torch.tensor([0.0, 0.1, 0.2]).unsqueeze(-1)
    assert (action - wanted).abs().max() < 0.1


def test_the_choice_is_one_of_the_candidates():
    torch.manual_seed(0)
    vae, data = ConditionalVAE(CONTINUOUS, hidden_sizes=(8,)), CONTINUOUS.fake_batch(8)
    torch.manual_seed(1)
    drawn = vae.sample(data["agents", "observation"], 5)
    torch.manual_seed(1)
    action = CandidatePolicy(vae, critic(), candidates=5)(data.clone())["agents", "action"]
    distance = (drawn - torch.tensor([0.0, 0.1, 0.2]).unsqueeze(-1)).square().sum(-1)
    assert action.equal(drawn.take_along_dim(distance.argmin(0)[None, ..., None], 0)[0])


def test_supported_actions_are_legal_and_agents_without_any_play_0():
    policy = make_algorithm("bcq", DISCRETE, hidden_sizes=[8], support_threshold=0.0).policy
    data = DISCRETE.fake_batch(64).exclude(("agents", "action"))
    data["agents", "action_mask"][0, 1] = False
    action = policy(data)["agents", "action"]
    legal = data["agents", "action_mask"].gather(-1, action.unsqueeze(-1)).squeeze(-1)
    assert action[0, 1] == 0
    legal[0, 1] = True
    assert legal.all()


def test_a_threshold_of_one_imitates():
    policy = make_algorithm("bcq", DISCRETE, hidden_sizes=[8], support_threshold=1.0).policy
    data = DISCRETE.fake_batch(64).exclude(("agents", "action"))
    out = policy(data)["agents"]
    assert out["action"].equal(out["logits"].argmax(-1))


def test_memories_make_one_step_whatever_the_number_of_candidates():
    torch.manual_seed(0)
    policy = make_algorithm("bcq", CONTINUOUS, hidden_sizes=[8], rnn_hidden_size=6, num_candidates=4).policy
    data = CONTINUOUS.fake_batch(8).exclude(("agents", "action"), "next")
    data["agents", "last_action"] = torch.zeros(8, 3, 2)
    data["policy_memory"], data["qvalue_memory"] = torch.randn(8, 3, 6), torch.randn(8, 3, 6)
    out = policy(data.clone())
    alone = policy.qvalue_network[0](data.clone())["next", "qvalue_memory"]
    assert out["next", "qvalue_memory"].equal(alone) and out["next", "policy_memory"].shape == (8, 3, 6)
    other = data.clone()
    other["qvalue_memory"] = torch.zeros(8, 3, 6)
    assert not policy(other)["next", "qvalue_memory"].equal(alone)


@pytest.mark.parametrize("restrict", [True, False])
def test_recurrent_policies_act_in_environments(restrict):
    env = make_env("tabular/bridge", num_envs=2)
    policy = make_algorithm(
        "bcq", TeamSpec.from_env(env), hidden_sizes=[8], rnn_hidden_size=6, act_within_support=restrict
    ).policy
    found = with_memory(env, policy).rollout(3, policy)
    assert found["agents", "action"].shape[-1] == 2
    assert (found["next", "qvalue_memory"][:, 0] != 0).any()
    assert (found.get("behavior_memory", None) is not None) == restrict


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE])
def test_saved_policies_act_alike(tmp_path, spec):
    policy = make_algorithm("bcq", spec, hidden_sizes=[8]).policy
    save_policy(tmp_path / "p.pt", policy, algorithm="bcq", spec=spec, arguments={"hidden_sizes": [8]})
    loaded = load_policy(tmp_path / "p.pt")
    data, actions = spec.fake_batch(8).exclude(("agents", "action")), []
    for acting in (policy, loaded):
        torch.manual_seed(0)
        actions.append(acting(data.clone())["agents", "action"])
    assert actions[0].equal(actions[1])


def test_policies_name_what_they_read():
    assert make_algorithm("bcq", CONTINUOUS, hidden_sizes=[8]).policy.in_keys == [("agents", "observation")]
    masked = make_algorithm("bcq", DISCRETE, hidden_sizes=[8]).policy
    assert masked.in_keys == [("agents", "observation"), ("agents", "action_mask")]
