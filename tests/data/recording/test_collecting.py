"""Collectors: seeded, of whole batches, in the environment that is given, and legal random actions."""

from __future__ import annotations

import importlib.util
import random

import numpy as np
import pytest
import torch
from tensordict.nn import ProbabilisticTensorDictModule, TensorDictModule, TensorDictSequential
from torch import distributions
from torchrl.envs.utils import ExplorationType

from omiga_torchrl.data.recording import collecting as collecting_module
from omiga_torchrl.data.recording.collecting import batches, check_launcher, collecting

from .hunt_env import HuntEnv
from .toy_env import ToyEnv, constant_policy


def first(env, policy=None, seed=0, **options):
    with collecting(policy, env, **options) as collector:
        collector.set_seed(seed)
        return next(batches(collector)).clone()


def test_a_batch_has_25_steps_of_every_environment():
    batch = first(ToyEnv(3, (2, 7)))
    assert batch.shape == (3, 25)
    assert batch["next", "done"].sum() > 3  # episodes follow each other


def test_the_environment_stays_open_and_threads_stay(monkeypatch):
    env, threads = ToyEnv(2), torch.get_num_threads()
    monkeypatch.setattr(env, "close", lambda **options: pytest.fail("closed"))
    with pytest.raises(RuntimeError, match="stop"), collecting(None, env):
        torch.set_num_threads(threads + 1)
        raise RuntimeError("stop")
    assert torch.get_num_threads() == threads


def test_seeds_decide_all_that_is_delivered_next():
    env = ToyEnv(3)
    one, two, other = (first(env, seed=seed) for seed in (1, 1, 2))
    for key in (("agents", "observation"), ("agents", "action")):
        assert torch.equal(one[key], two[key]) and not torch.equal(one[key], other[key])


def test_a_seed_begins_new_episodes_and_seeds_all_streams():
    with collecting(None, ToyEnv(2, (100,))) as collector:
        source = batches(collector)
        collector.set_seed(3)
        drawn = random.random(), float(np.random.rand())
        before = next(source)["state"][:, 0, 0].tolist()
        later = next(source)["state"][:, 0, 0].tolist()
        collector.set_seed(3)
        assert (random.random(), float(np.random.rand())) == drawn
        again = next(source)["state"][:, 0, 0].tolist()
    assert before == again == [0, 0] and later == [25, 25]


def gaussian():
    network = TensorDictModule(
        lambda seen: (seen[..., :1] * 0 + 0.25, torch.full_like(seen[..., :1], 0.5)),
        in_keys=[("agents", "observation")],
        out_keys=["loc", "scale"],
    )
    sampled = ProbabilisticTensorDictModule(
        ["loc", "scale"], [("agents", "action")], distribution_class=distributions.Normal,
        default_interaction_type=ExplorationType.DETERMINISTIC,
    )  # fmt: skip
    return TensorDictSequential(network, sampled)


def test_policies_are_sampled_unless_one_asks_for_their_mode():
    action = first(ToyEnv(2), gaussian())["agents", "action"]
    assert action.std() > 0.3
    mode = first(ToyEnv(2), gaussian(), exploration=ExplorationType.DETERMINISTIC)["agents", "action"]
    assert (mode == 0.25).all()


def test_the_policy_acts():
    assert (first(ToyEnv(2), constant_policy(0.5))["agents", "action"] == 0.5).all()


def test_random_actions_are_legal_in_every_group():
    batch = first(HuntEnv(4))
    hares, wolves = batch["hares", "action"], batch["wolves", "action"]
    assert hares.shape == (4, 25, 1) and set(hares.flatten().tolist()) == {0, 1}
    assert wolves.shape == (4, 25, 2, 1) and wolves.min() < -0.5 and wolves.max() > 0.5


def test_random_actions_without_masks_are_torchrls():
    action = first(ToyEnv(4))["agents", "action"]
    assert action.min() < -0.8 and action.max() > 0.8


class Dead(ToyEnv):
    """The second agent has no legal action."""

    def _out(self, stop, **rest):
        out = super()._out(stop, **rest)
        out["agents", "action_mask"][:, 1] = False
        return out


def test_agents_without_a_legal_action_take_any():
    action = first(Dead(4, discrete=True))["agents", "action"]
    assert [set(action[..., agent].flatten().tolist()) for agent in range(2)] == [{0, 1}, {0, 1, 2}]


def test_launchers():
    check_launcher("local", 1)
    check_launcher("process", 2)
    with pytest.raises(ValueError, match="unknown launcher 'threads'"):
        check_launcher("threads", 1)
    for launcher, workers in (("local", 2), ("local", 0), ("process", 0), ("ray", 0)):
        with pytest.raises(ValueError, match=f"workers={workers} with launcher='{launcher}'"):
            check_launcher(launcher, workers)


def test_ray_must_be_installed_and_for_nothing_else(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs the package ray.*omiga-torchrl\[ray\]"):
        check_launcher("ray", 1)
    check_launcher("process", 1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    check_launcher("ray", 1)


@pytest.mark.parametrize("launcher", ["process", "ray"])
def test_workers_make_their_own_environments_and_policies(monkeypatch, launcher):
    made = []

    class Workers:
        def __init__(self, makers, **options):
            self.makers, self.options, self.closed = makers, options, []
            made.append(self)

        def shutdown(self, **options):
            self.closed.append(options)

    place = "MultiSyncCollector" if launcher == "process" else "_ray_collector"
    monkeypatch.setattr(collecting_module, place, Workers)
    env, policy = ToyEnv(3), constant_policy(0.5)
    with collecting(policy, env, ToyEnv, launcher=launcher, workers=2) as collector:
        assert collector.makers == [ToyEnv, ToyEnv] and collector.closed == []
    assert made == [collector] and collector.closed == [{}]
    assert collector.options["frames_per_batch"] == 2 * 3 * 25
    assert collector.options["policy_factory"]() is policy
