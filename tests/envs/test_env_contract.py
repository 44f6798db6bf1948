"""The contract of environments, for simulators of the library and for what it must refuse."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.envs import make_env, register_env, unregister_env
from omiga_torchrl.testing import EnvContract


class TestBridge(EnvContract):
    task = "tabular/bridge"


class TestXor(EnvContract):
    task, max_steps = "tabular/xor", None


class TestNavigation(EnvContract):
    task = "vmas/navigation"


class TestSpeaker(EnvContract):
    task = "vmas/speaker_listeners"


class TestSpeakerOfWords(EnvContract):
    task = "vmas/speaker_listeners-mixed"


class TestLeader(EnvContract):
    task = "vmas/simple_world_comm"


class TestBothSides(EnvContract):
    task = "vmas/simple_tag"
    options = {"controlled": ("adversary", "agent"), "team_reward": "adversary", "keep_agent_rewards": True}


class Wrong:
    """A step of VMAS of which one entry is put wrong."""

    def __init__(self, change):
        self.change = change

    def __call__(self, name, **options):
        env = make_env(f"vmas/{name}", **options)
        step = env._step

        def changed(tensordict):
            out = step(tensordict)
            self.change(out)
            return out

        env._step = changed
        return env


def time_outs_terminate(out):
    out["terminated"] = out["truncated"].clone()


def never_done(out):
    out["done"] = torch.zeros_like(out["done"])


def draws(out):
    out["reward"] = torch.rand_like(out["reward"])


@pytest.mark.parametrize(
    ("change", "test"),
    [
        (time_outs_terminate, "test_time_outs_are_truncated_and_not_terminated"),
        (never_done, "test_done_is_terminated_or_truncated"),
        (draws, "test_episode_reward_is_the_return_so_far"),
    ],
)
def test_wrong_environments_do_not_pass(change, test):
    register_env("wrong", Wrong(change), check=False)
    try:
        contract = type("Case", (EnvContract,), {"task": "wrong/navigation"})()
        with pytest.raises(AssertionError):
            getattr(contract, test)()
    finally:
        unregister_env("wrong")
