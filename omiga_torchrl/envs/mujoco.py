"""MuJoCo tasks for one agent or a team of them."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torchrl.envs import EnvBase, TransformedEnv

from omiga_torchrl.action_conventions import ActionConvention, require_convention
from omiga_torchrl.envs.actions import ExecutedAction
from omiga_torchrl.envs.mujoco_actions import JointAction
from omiga_torchrl.envs.mujoco_buffers import Buffers, SimulatorGroup
from omiga_torchrl.envs.mujoco_env import MujocoTeamEnv
from omiga_torchrl.envs.mujoco_layouts import Layout, SelectedLayout, StandardisedLayout
from omiga_torchrl.envs.mujoco_simulator import (
    Simulation,
    Simulator,
    Simulators,
    library_view,
    simulator_versions,
)
from omiga_torchrl.envs.mujoco_tasks import MujocoTask, find_task
from omiga_torchrl.envs.mujoco_workers import SimulatorWorkers
from omiga_torchrl.errors import unknown_name

LayoutName = Literal["omiga", "local", "state"]
ActionOrder = Literal["omiga", "robotics"]
Contact = Literal["real", "zero"]


def make_mujoco_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    layout: LayoutName | None = None,
    order: ActionOrder | None = None,
    obsk: int = 1,
    contact: Contact | None = None,
    version: str | None = None,
    actions: ActionConvention = "raw",
    workers: int = 0,
    raw_state: bool = False,
    groups: bool | None = None,
    **options: Any,
) -> EnvBase:
    """The MuJoCo task `name` as a team task; see :func:`omiga_torchrl.envs.make_env`.

    Policies act in [-1, 1] in every task; the range is mapped linearly to the simulator's
    (Humanoid's is [-0.4, 0.4], Pusher's [-2, 2]).

    Args:
        name: a team, e.g. ``"hopper-3x1"`` or ``"humanoid-9|8"``, or one agent with all
            joints, e.g. ``"hopper"``, ``"antmaze-umaze"`` or ``"adroit-pen"``. Dict
            observations are concatenated: of a maze the agent's place, its observation
            and the goal's place, in this order.
        num_envs: environments simulated together.
        seed: seed of the simulators; each has its own random stream.
        max_steps: episode length in steps; ``None`` means the task's own (1000; Reacher 50,
            Pusher 100, Adroit 200, AntMaze 700 or 1000).
        device: where tensors go; MuJoCo runs on the CPU.
        layout: what agents observe. ``"omiga"``: the whole state and the agent's number,
            standardised by the statistics of this one vector, as in OMIGA's published data;
            the team's default. ``"local"``: the agent's joints and its neighbours', as in
            gymnasium-robotics. ``"state"``: the whole state for every agent; the default for
            one agent. ``"state"`` is the simulator's observation, for ``"omiga"`` the
            observations of all agents in a row.
        order: which joints agents drive. ``"omiga"``: the joint action cut into contiguous
            slices, as in OMIGA, the default for that layout. ``"robotics"``: the joints that
            the partition of gymnasium-robotics names.
        obsk: for ``"local"``: how many joints away an agent sees, 0 or more.
        contact: contact forces of Ant, as observed and paid for by Ant-v4: ``"real"``, the
            default for layout ``"omiga"``, or ``"zero"``, as MuJoCo 2.0 gave them.
        version: version of the Gymnasium environment; default ``"v5"`` (Adroit ``"v1"``, Ant
            with layout ``"omiga"`` ``"v4"``). ``"v4"`` is the one that data recorded with
            older Gym versions compare to.
        actions: what the environment executes, see :mod:`omiga_torchrl.envs.actions`.
        workers: processes that share the simulators; 0 steps them in this one. It changes
            the speed, not the results.
        raw_state: also give the simulator's own observation as ``"raw_state"``, which policies
            of the joint task need (see :func:`omiga_torchrl.behaviors.as_team_policy`).
        groups: whether agents of unequal sizes are in groups of equal ones, ``"agents_0"``, ``"agents_1"``,
            ..., and not padded to the largest in one. ``None``: in tasks such as ``"halfcheetah-2|4"``, whose
            cut is this library's; those of gymnasium-robotics, e.g. ``"humanoid-9|8"``, are padded.
        options: arguments of the Gymnasium environment.

    Raises:
        ImportError: Gymnasium, gymnasium-robotics or MuJoCo is not installed.
        ValueError: unknown names, or arguments that do not fit the task.

    Examples:
        >>> env = make_mujoco_env("hopper-3x1", num_envs=2, seed=0)
        >>> env.rollout(4)["agents", "observation"].shape
        torch.Size([2, 4, 3, 14])
    """
    _require_mujoco()
    require_convention("make_env", actions)
    task = find_task(name)
    layout = layout or ("omiga" if task.partition else "state")
    order = order or ("omiga" if layout == "omiga" else "robotics")
    _require_choice("layout", layout, LayoutName)
    _require_choice("order", order, ActionOrder)
    task, extra = _choose_version(name, task, layout, version, contact)
    if layout == "local":
        _require_local(name, task, obsk)
    read_local = layout == "local" and not task.local_from_state
    simulation = Simulation(task, {**extra, **options}, obsk if read_local else None)
    probe = simulation.build()
    parts = _parts(task, probe.env)
    team_layout, width = _make_layout(task, layout, obsk, probe.env, len(parts))
    space = probe.env.action_space
    env = MujocoTeamEnv(
        _simulators(simulation, probe, num_envs, width, workers),
        team_layout,
        JointAction(parts if order == "robotics" else _contiguous(parts), space.low, space.high),
        max_steps=max_steps or probe.max_steps,
        padded=not task.cut if groups is None else not groups,
        seed=seed,
        raw_state=raw_state,
        device=device,
    )
    if actions == "raw":
        return env
    every = [(name, "action") for name in env.group_map]
    return TransformedEnv(env, ExecutedAction(actions, action_key=every))


def _require_mujoco() -> None:
    for package in ("gymnasium", "gymnasium_robotics", "mujoco"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(
                f'make_env: the package {package} is missing. pip install "omiga-torchrl[mujoco]"'
            )


def _require_choice(argument: str, value: str, kind: Any) -> None:
    if value not in get_args(kind):
        raise unknown_name("make_env", argument, value, get_args(kind))


def _choose_version(
    name: str, task: MujocoTask, layout: str, version: str | None, contact: Contact | None
) -> tuple[MujocoTask, dict[str, Any]]:
    """The task in the version that is meant, and arguments for Ant's contact forces."""
    ant = task.env_id == "Ant" and task.scenario in ("", "Ant")
    if contact is None:
        contact = "real" if ant and layout == "omiga" and version is None else None
    else:
        _require_choice("contact", contact, Contact)
        if not ant or version not in (None, "v4"):
            raise ValueError(
                f"make_env: contact={contact!r} with mujoco/{name}, version {version or task.version!r}; "
                f"expected a task of ant, version 'v4'. Leave one of them out."
            )
    if contact is not None:
        # Ant-v5 leaves the world body away (105 numbers): the published data hold 111.
        forces = {"use_contact_forces": True}
        zero = {"contact_force_range": (0.0, 0.0)} if contact == "zero" else {}
        return dataclasses.replace(task, version="v4"), {**forces, **zero}
    if version is None:
        return task, {}
    known = simulator_versions(task)
    if version not in known:
        raise unknown_name("make_env", "version", version, known)
    return dataclasses.replace(task, version=version), {}


def _require_local(name: str, task: MujocoTask, obsk: int) -> None:
    if not task.partition or task.cut or task.version != "v5":
        raise ValueError(
            f"make_env: layout='local' with mujoco/{name}, version {task.version!r}; expected a task with "
            f"a partition of gymnasium-robotics, e.g. 'mujoco/hopper-3x1', version 'v5'. Choose "
            f"layout='state'."
        )
    if obsk < 0:
        raise ValueError(f"make_env: obsk={obsk}; expected 0 (own joints only) or more.")


def _parts(task: MujocoTask, env: Any) -> list[list[int]]:
    """For every agent the joint actions that gymnasium-robotics gives it."""
    if not task.partition:
        return [list(range(env.action_space.shape[0]))]
    if task.cut:
        ends = np.cumsum(task.cut).tolist()
        return [list(range(end - size, end)) for end, size in zip(ends, task.cut, strict=True)]
    from gymnasium_robotics.envs.multiagent_mujoco.obsk import get_parts_and_edges

    parts, _, _ = get_parts_and_edges(task.scenario, task.partition)
    return [[joint.act_ids for joint in part] for part in parts]


def _contiguous(parts: Sequence[Sequence[int]]) -> list[list[int]]:
    joints = iter(range(sum(map(len, parts))))
    return [[next(joints) for _ in part] for part in parts]


def _make_layout(task: MujocoTask, layout: str, obsk: int, env: Any, n_agents: int) -> tuple[Layout, int]:
    """The layout, and how many numbers the simulator's vector has for it."""
    space = env.observation_space
    spaces = [space[key] for key in task.observation_keys] or [space]
    size = sum(one.shape[0] for one in spaces)
    if layout == "omiga":
        return StandardisedLayout(size, n_agents), size
    if layout == "state":
        return SelectedLayout([range(size)] * n_agents, size), size
    view = library_view(task, obsk, env)
    if task.local_from_state:
        places = view.observation_factorization
        return SelectedLayout([places[one].astype(int).tolist() for one in view.possible_agents], size), size
    # Read from the simulator, they stand behind the state.
    sizes = [view.observation_space(one).shape[0] for one in view.possible_agents]
    ends = size + np.cumsum(sizes)
    columns = [range(end - width, end) for end, width in zip(ends.tolist(), sizes, strict=True)]
    return SelectedLayout(columns, size), int(ends[-1])


def _simulators(
    simulation: Simulation, probe: Simulator, num_envs: int, width: int, workers: int
) -> SimulatorGroup:
    n_actions = probe.env.action_space.shape[0]
    if workers < 0:
        raise ValueError(f"make_env: workers={workers}; expected 0 (no processes) or more.")
    if workers:
        probe.env.close()
        return SimulatorWorkers(simulation, num_envs, n_actions, width, min(workers, num_envs))
    built = [probe, *simulation.build_more(probe, num_envs - 1)]
    return Simulators(built, Buffers.zeros(num_envs, n_actions, width))
