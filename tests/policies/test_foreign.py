"""Policies of someone else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict.nn import TensorDictModule

from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import PolicyFacts, evaluate
from omiga_torchrl.policies import find_policy, load_policy, record_policy, save_policy, wrap_policy
from tests.policies.cases import DISCRETE, GROUPS, arrays_of, make_policy


def env():
    return make_env("vmas/navigation", num_envs=3, seed=0, max_steps=6)


def returns(policy):
    return evaluate(policy, env(), episodes=3, seed=0).returns


def test_functions_of_arrays_and_tensors_and_modules_are_one():
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(18, 2), torch.nn.Tanh())

    @torch.no_grad()
    def of_arrays(observation):
        assert isinstance(observation, np.ndarray) and observation.shape == (3, 3, 18)
        return layer(torch.as_tensor(observation)).numpy()

    module = TensorDictModule(layer, [("agents", "observation")], [("agents", "action")])
    wrapped = [
        wrap_policy(of_arrays, env()),
        wrap_policy(layer.forward, env(), arrays="torch"),
        wrap_policy(layer, env()),
        wrap_policy(module, env()),
    ]
    found = [returns(policy) for policy in wrapped]
    assert all(torch.equal(found[0], other) for other in found)
    assert wrap_policy(wrapped[0], env()) is wrapped[0]
    assert len(list(wrapped[2].parameters())) == 2  # moves with .to(device)
    assert wrapped[2].act(np.zeros((3, 18)))[0].shape == (3, 2)


def test_functions_of_masks_and_groups():
    def first_legal(observation, action_mask):
        return action_mask.argmax(-1)

    policy = wrap_policy(first_legal, DISCRETE)
    mask = np.array([[False, True, True, False]] * 3)
    assert policy.act(np.zeros((3, 5)), action_mask=mask)[0].tolist() == [1, 1, 1]

    def of_groups(observation, action_mask):
        assert observation["cars"].shape == (4, 2, 6)
        return {"cars": observation["cars"][..., :3], "buses": action_mask["buses"].argmax(-1)}

    policy = wrap_policy(of_groups, GROUPS)
    arrays = arrays_of(make_policy("bc", GROUPS), 4)
    actions, _ = policy.act(**arrays)
    np.testing.assert_allclose(actions["cars"], arrays["observations"]["cars"][..., :3], rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda observation: observation[..., 0], r"floats of the shape \(3, 3, 2\), got .*\(3, 3\)"),
        (
            lambda observation: observation[..., :2].astype(int),
            r"floats of .*, got torch\.int64 of",
        ),
    ],
)
def test_actions_of_another_form_are_refused(function, message):
    with pytest.raises(ValueError, match=rf"wrap_policy: actions of 'agents' must be {message}"):
        returns(wrap_policy(function, env()))


def test_a_function_cannot_be_saved(tmp_path):
    with pytest.raises(TypeError, match="got a FunctionPolicy that no builder made"):
        save_policy(tmp_path / "policy.pt", wrap_policy(lambda observation: observation, env()))


def test_policies_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_policies.py").write_text(
        "def still(env):\n    return lambda observation: 0 * observation[..., :2]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    policy = find_policy("my_policies:still", PolicyFacts("vmas/navigation"))
    assert policy.facts.task == "vmas/navigation" and returns(policy).shape == (3,)
    with pytest.raises(ValueError, match="got no function 'stil' in it"):
        find_policy("my_policies:stil")
    with pytest.raises(ValueError, match=r"got no task to make it for\. Pass task="):
        find_policy("my_policies:still")
    with pytest.raises(FileNotFoundError, match="no policy at"):
        find_policy("policies/none")


@pytest.mark.parametrize("recurrent", [None, 6])
def test_play_is_recorded_raw_and_can_be_learned_from(tmp_path, recurrent):
    from omiga_torchrl.data import OfflineDataset

    torch.manual_seed(0)
    first = env()
    policy = make_policy("bc", wrap_policy(lambda x: x, first).team, rnn_hidden_size=recurrent)
    policy.mode = "deterministic"
    options = {"transitions": 18, "num_envs": 3, "eval_episodes": 3, "task_kwargs": {"max_steps": 6}}
    card = record_policy(policy, "vmas/navigation", folder=tmp_path / "data", **options)
    assert (card.tier, card.transitions, card.behaviour[0].file) == ("bc", 18, "bc")
    assert card.behaviour[0].deterministic_return == pytest.approx(card.behaviour[0].stochastic_return)
    dataset = OfflineDataset(tmp_path / "data", root=tmp_path / "cache")
    assert dataset.data["agents", "observation"].abs().max() < 20
    if recurrent is None:
        found, _ = policy.act(dataset.data["agents", "observation"].numpy())
        np.testing.assert_allclose(found, dataset.data["agents", "action"].numpy(), atol=1e-6)
    path = save_policy(tmp_path / "policy.pt", policy)
    with pytest.raises(DataError, match="does not fit vmas/balance"):
        record_policy(load_policy(path), "vmas/balance", folder=tmp_path / "other", **options)
