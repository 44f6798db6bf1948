"""Whole policies on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from omiga_torchrl.algorithms import (
    ALGORITHMS,
    Algorithm,
    AlgorithmConfig,
    make_algorithm,
    register_algorithm,
)
from omiga_torchrl.data import bundled_behaviours
from omiga_torchrl.errors import DataError
from omiga_torchrl.modules import make_actor
from omiga_torchrl.objectives import MultiAgentBCLoss
from omiga_torchrl.policies import load_policy, save_policy
from tests.policies.cases import CONTINUOUS, SPECS, arrays_of, make_policy


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("memory", [None, 6])
def test_a_loaded_policy_is_the_saved_one(kind, memory, tmp_path):
    policy = make_policy("bc", SPECS[kind], rnn_hidden_size=memory)
    state = torch.get_rng_state()
    loaded = load_policy(save_policy(tmp_path / "policy.pt", policy), mode="deterministic")
    assert torch.equal(torch.get_rng_state(), state)  # neither writing nor reading draws
    assert (loaded.team, loaded.algorithm, loaded.arguments) == (policy.team, "bc", policy.arguments)
    assert loaded.metadata == policy.metadata and loaded.mode == "deterministic"
    arrays = arrays_of(policy, 4)
    for one, other in zip(policy.act(**arrays), loaded.act(**arrays), strict=True):
        assert str(one) == str(other)


def test_only_the_actor_is_built(tmp_path, monkeypatch):
    """A renamed argument of a loss must not make policies unreadable."""
    path = save_policy(tmp_path / "policy.pt", make_policy("omiga", CONTINUOUS, alpha=0.3))
    weights = torch.load(path, weights_only=True)["policy"]
    assert not any("mixer" in name or "qvalue" in name for name in weights)
    content = torch.load(path, weights_only=True)
    content["arguments"]["an_argument_that_is_gone"] = 3
    torch.save(content, path)
    monkeypatch.delitem(ALGORITHMS.registered, "omiga")
    assert load_policy(path).act(np.zeros((3, 5)))[0].shape == (3, 2)


def test_an_algorithm_of_ones_own_is_built_whole(tmp_path):
    class Network(torch.nn.Module):
        def forward(self, observation):
            return observation[..., :2]

    @register_algorithm("cutting", AlgorithmConfig)
    def make_cutting(spec, config):
        from tensordict.nn import TensorDictModule

        policy = TensorDictModule(Network(), [("agents", "observation")], [("agents", "action")])
        return Algorithm(policy, MultiAgentBCLoss(make_actor(spec)), {})

    try:
        policy = make_algorithm("cutting", CONTINUOUS).policy
        path = save_policy(tmp_path / "policy.pt", policy, spec=CONTINUOUS, algorithm="cutting")
        assert load_policy(path).act(np.ones((3, 5)))[0].tolist() == [[1.0, 1.0]] * 3
        with pytest.raises(TypeError, match="a TensorDictModule that no builder made"):
            save_policy(tmp_path / "other.pt", policy, spec=CONTINUOUS)
        assert not (tmp_path / "other.pt").exists()
    finally:
        del ALGORITHMS["cutting"]
    with pytest.raises(DataError, match=r"got 'cutting': .*Import the module of an algorithm"):
        load_policy(path)


def test_a_changed_network_is_not_written(tmp_path):
    policy = make_policy("bc", CONTINUOUS)
    policy.network.module[0].module.network.body = torch.nn.Linear(8, 4)
    with pytest.raises(TypeError, match=r"must be as its builder made it, .* e\.g\. '.*body"):
        save_policy(tmp_path / "policy.pt", policy)
    with pytest.raises(TypeError, match="spec must be the sizes of the task, got none"):
        save_policy(tmp_path / "policy.pt", policy.network)
    assert not list(tmp_path.iterdir())


def test_behaviour_checkpoints_are_policies():
    policy = load_policy(bundled_behaviours("vmas/navigation")[-1])
    assert policy.facts.task == "vmas/navigation" and policy.facts.normalisation is None
    assert policy.act(np.zeros((3, 18)))[0].shape == (3, 2)


def test_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="load_policy: no policy at"):
        load_policy(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"must hold policy\.pt, got nothing of one\. Pass"):
        load_policy(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match=r"got a run that is not finished: resume it with existing=resume"):
        load_policy(tmp_path)
    save_policy(tmp_path / "policy.pt", make_policy("bc", CONTINUOUS))
    assert load_policy(tmp_path).algorithm == "bc"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blueprint": {"kind": "network", "builder": "mine", "arguments": {}}}, "unknown builder 'mine'"),
        ({"blueprint": {"kind": "network"}}, "builder"),
        ({"blueprint": [1]}, "."),
        ({"policy": {}}, "must hold the weights"),
        ({"spec": {"colour": 2}}, "unexpected keyword argument 'colour'"),
        ({"metadata": {"normalisation": {"mean": [0]}}}, "unexpected keyword argument 'mean'"),
        ({"format": 3}, "a policy of format 2, got one of format 3"),
    ],
)
def test_files_that_do_not_fit(change, message, tmp_path):
    path = save_policy(tmp_path / "policy.pt", make_policy("bc", CONTINUOUS))
    torch.save({**torch.load(path, weights_only=True), **change}, path)
    with pytest.raises(DataError, match=rf"load_policy: .*policy\.pt must be .*{message}"):
        load_policy(path)
