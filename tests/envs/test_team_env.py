"""What the library asks of an environment beyond TorchRL."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torchrl.envs import Compose, EnvBase, RewardSum, TransformedEnv

from omiga_torchrl import team_env as module
from omiga_torchrl.data import OfflineDataset, check_dataset_fits
from omiga_torchrl.envs import TeamEnv, available_tasks, make_env, register_env, unregister_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.team_env import team_env

MEMBERS = ("task_name", "ended_stand_still", "joint_slots", "render_frame", "replay_step")


def test_members_have_defaults() -> None:
    env = make_env("tabular/xor")
    del env.task_name
    members = team_env(env)
    assert (members.task_name, members.ended_stand_still) == ("", False)
    assert members.joint_slots is None and members.render_frame is None
    assert members.replay_step(torch.zeros(1, 2, 1), torch.zeros(1, 2)) is None
    with pytest.raises(AttributeError, match="replay_stp"):
        members.replay_stp  # noqa: B018


def test_an_environments_own_members_are_found_through_transforms() -> None:
    env = make_env("tabular/xor")
    env.ended_stand_still = True
    wrapped = TransformedEnv(env, Compose(RewardSum(in_keys=["reward"], out_keys=["sum"])), auto_unwrap=False)
    assert team_env(wrapped).task_name == "tabular/xor" and team_env(wrapped).ended_stand_still


def test_the_check_replays_by_the_environments_own_method() -> None:
    dataset = OfflineDataset("vmas/navigation/mixed")
    env, called = make_env("vmas/navigation"), []

    def replay_step(observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        called.append((observation.shape, action.shape))
        return observation + 100.0

    check_dataset_fits(dataset, env)
    env.replay_step = replay_step
    with pytest.raises(DataError, match="recorded actions lead elsewhere"):
        check_dataset_fits(dataset, env)
    (observation, action), *_ = called
    assert observation[1:] == (3, 18) and action[1:] == (3, 2)


def test_every_task_of_a_new_simulator_gets_its_name() -> None:
    def factory(name: str, **options: object) -> EnvBase:
        return make_env(f"tabular/{name}", **{k: v for k, v in options.items() if k != "device"})

    register_env("own", factory, tasks=lambda: ["xor"])
    try:
        assert "own/xor" in available_tasks()
        assert team_env(make_env("own/xor")).task_name == "own/xor"
    finally:
        unregister_env("own")


def test_members_are_documented_and_read_in_one_place() -> None:
    assert set(MEMBERS) <= set(vars(TeamEnv))
    package = Path(module.__file__).parent
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
                named = node.args[1]
                assert not (isinstance(named, ast.Constant) and named.value in MEMBERS), file
