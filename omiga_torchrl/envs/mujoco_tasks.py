"""The names of MuJoCo tasks and what they stand for.

``"<scenario>-<partition>"`` is a team: the robot's joints are divided among the agents as in
gymnasium-robotics' ``mamujoco_v1``. ``"<scenario>-<m>|<n>"`` is a team of unequal agents, who have the first
m joints of the joint action, and the other n. A name without a partition is one agent with all joints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from omiga_torchrl.errors import unknown_name


@dataclass(frozen=True)
class MujocoTask:
    """A task of MuJoCo, without its simulator.

    Attributes:
        env_id: Gymnasium's environment, without the version.
        scenario: name in ``mamujoco_v1``; ``""`` for tasks that have no partition there.
        partition: division of the joints in ``mamujoco_v1``; ``""`` for one agent.
        cut: joints of each agent where the joint action is cut into slices; ``()`` where ``mamujoco_v1``
            has the partition.
        version: version of the environment, e.g. ``"v5"``.
        local_from_state: whether local observations are entries of the state. Elsewhere
            they are read from the simulator, which costs about 0.1 ms per environment.
        observation_keys: entries of a dict observation, in the order in which they are
            concatenated; empty for tasks whose observation is a vector.
        goal_cell: row and column of the goal of a maze.
        model_changes: whether a reset changes the model, e.g. moves the goal.
        options: arguments of the environment.
    """

    env_id: str
    scenario: str = ""
    partition: str = ""
    cut: tuple[int, ...] = ()
    version: str = "v5"
    local_from_state: bool = True
    observation_keys: tuple[str, ...] = ()
    goal_cell: tuple[int, int] | None = None
    model_changes: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Scenario:
    """A robot: its name and partitions in the libraries, where local observations are from, further cuts."""

    name: str
    partitions: tuple[str, ...] = ()
    local_from_state: bool = True
    cuts: tuple[str, ...] = ()


# CoupledHalfCheetah is missing: gymnasium-robotics 1.4 cannot build it with MuJoCo 4. Walker2d's
# observation clips velocities, its agents' do not; Pusher's and Reacher's hold what the state
# has not; ManySegmentAnt's indices into the state are wrong in gymnasium-robotics 1.4.
_SCENARIOS: Final = {
    "ant": _Scenario("Ant", ("2x4", "2x4d", "4x2"), cuts=("2|6",)),
    "halfcheetah": _Scenario("HalfCheetah", ("2x3", "6x1"), cuts=("2|4",)),
    "hopper": _Scenario("Hopper", ("3x1",), cuts=("1|2",)),
    "humanoid": _Scenario("Humanoid", ("9|8",)),
    "humanoidstandup": _Scenario("HumanoidStandup", ("9|8",)),
    "inverteddoublependulum": _Scenario("InvertedDoublePendulum"),
    "invertedpendulum": _Scenario("InvertedPendulum"),
    "pusher": _Scenario("Pusher", ("3p",), local_from_state=False),
    "reacher": _Scenario("Reacher", ("2x1",), local_from_state=False),
    "swimmer": _Scenario("Swimmer", ("2x1",)),
    "walker2d": _Scenario("Walker2d", ("2x3",), local_from_state=False, cuts=("2|4",)),
}

# Any "<agents>x<segments per agent>" is a partition; the one named here is listed.
_SEGMENTED: Final = {
    "manysegmentant": (_Scenario("ManySegmentAnt", ("2x3",), local_from_state=False), "Ant"),
    "manysegmentswimmer": (_Scenario("ManySegmentSwimmer", ("10x2",)), "Swimmer"),
}

# The goal's row and column where the D4RL data have it; the start is in the opposite corner. The
# features are in the order of D4RL's 29, with the goal's place behind them.
_MAZES: Final = {"umaze": ("UMaze", (3, 1)), "medium": ("Medium", (6, 6)), "large": ("Large", (7, 10))}

_ADROIT: Final = ("Door", "Hammer", "Pen", "Relocate")

_SINGLE: Final = {
    **{
        f"antmaze-{name}": MujocoTask(
            f"AntMaze_{env_id}",
            observation_keys=("achieved_goal", "observation", "desired_goal"),
            goal_cell=cell,
            model_changes=True,
            # The episode ends at the goal, so that its return is 0 or 1 as in D4RL.
            options={"continuing_task": False},
        )
        for name, (env_id, cell) in _MAZES.items()
    },
    **{
        f"adroit-{name.lower()}": MujocoTask(f"AdroitHand{name}", version="v1", model_changes=True)
        for name in _ADROIT
    },
    **{name: MujocoTask(scenario.name) for name, scenario in _SCENARIOS.items()},
}


def mujoco_tasks() -> list[str]:
    """The tasks of the family, sorted, without the prefix ``"mujoco/"``.

    ``manysegmentant`` and ``manysegmentswimmer`` have more partitions than the one listed:
    any ``"<agents>x<segments per agent>"``.

    Examples:
        >>> tasks = mujoco_tasks()
        >>> [name for name in tasks if name.startswith("ant-")]
        ['ant-2x4', 'ant-2x4d', 'ant-2|6', 'ant-4x2']
    """
    known = {**_SCENARIOS, **{name: scenario for name, (scenario, _) in _SEGMENTED.items()}}
    teams = [f"{name}-{part}" for name, one in known.items() for part in (*one.partitions, *one.cuts)]
    return sorted([*teams, *_SINGLE])


def find_task(name: str) -> MujocoTask:
    """The task called ``name``.

    Args:
        name: e.g. ``"hopper-3x1"`` or ``"hopper"``. ``"humanoid-9-8"`` is accepted for
            ``"humanoid-9|8"``, which shells and file systems dislike.

    Raises:
        ValueError: unknown scenario or partition; the message lists those that exist.

    Examples:
        >>> task = find_task("humanoid-9-8")
        >>> task.env_id, task.partition
        ('Humanoid', '9|8')
    """
    if name in _SINGLE:
        return _SINGLE[name]
    prefix, _, partition = name.partition("-")
    partition = partition.replace("-", "|")
    if prefix in _SEGMENTED:
        scenario, env_id = _SEGMENTED[prefix]
        known = re.fullmatch(r"[1-9]\d*x[1-9]\d*", partition) is not None
    elif prefix in _SCENARIOS:
        scenario = _SCENARIOS[prefix]
        env_id, known = scenario.name, partition in (*scenario.partitions, *scenario.cuts)
    else:
        raise unknown_name("make_env", "task", f"mujoco/{name}", [f"mujoco/{one}" for one in mujoco_tasks()])
    if not known:
        choices = [f"mujoco/{prefix}-{one}" for one in (*scenario.partitions, *scenario.cuts)]
        raise unknown_name("make_env", "partition", f"mujoco/{name}", choices)
    cut = tuple(map(int, partition.split("|"))) if partition in scenario.cuts else ()
    return MujocoTask(env_id, scenario.name, partition, cut, local_from_state=scenario.local_from_state)
