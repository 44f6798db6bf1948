"""Gymnasium's MuJoCo environments, many of them over common arrays."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omiga_torchrl.envs.mujoco_buffers import Buffers
from omiga_torchrl.envs.mujoco_tasks import MujocoTask

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Simulation:
    """How to build one simulator; small and picklable, for worker processes.

    Attributes:
        task: the task.
        options: arguments of the Gymnasium environment besides the task's.
        obsk: for local observations that are read from the simulator: how many joints
            away agents see; ``None`` for all other layouts.
    """

    task: MujocoTask
    options: Mapping[str, Any] = field(default_factory=dict)
    obsk: int | None = None

    def build(self) -> Simulator:
        """The simulator."""
        import gymnasium
        import gymnasium_robotics

        gymnasium.register_envs(gymnasium_robotics)
        task = self.task
        env_id = f"{task.env_id}-{task.version}"
        options = {**task.options, **self.options}
        with _known_warnings_ignored(), tempfile.TemporaryDirectory() as folder:
            if task.scenario.startswith("ManySegment"):
                options.setdefault("xml_file", _write_segments(task, Path(folder)))
            if task.goal_cell is not None:
                maze = gymnasium.spec(env_id).kwargs["maze_map"]
                options.setdefault("maze_map", _with_goal(maze, task.goal_cell))
            # None of Gymnasium's wrappers: the team environment keeps the time and its order itself.
            env: Any = gymnasium.make(env_id, disable_env_checker=True, **options)
        if task.goal_cell is not None:
            # Mazes leave their model in the folder for temporary files.
            Path(env.unwrapped.tmp_xml_file_path).unlink(missing_ok=True)
        limit = env.spec.max_episode_steps if env.spec else None
        return Simulator(env.unwrapped, limit or 1000, self._reader(env.unwrapped))

    def build_more(self, first: Simulator, count: int) -> list[Simulator]:
        """Further simulators like ``first``, with its model where no episode changes the model.

        Many copies of one model crowd the processor's caches: a common one makes half
        cheetahs about 15 % faster on busy machines.
        """
        import mujoco

        built = [self.build() for _ in range(count)]
        if not self.task.model_changes and "render_mode" not in self.options:
            for one in built:
                one.env.model = first.env.model
                one.env.data = mujoco.MjData(first.env.model)
        return built

    def _reader(self, env: Any) -> Callable[[Any], Array]:
        keys = self.task.observation_keys
        if keys:
            return lambda observation: np.concatenate([observation[key] for key in keys])
        if self.obsk is None:
            return lambda observation: observation
        from gymnasium_robotics.envs.multiagent_mujoco.obsk import build_obs

        view = library_view(self.task, self.obsk, env)
        rest = (view.local_categories, view.mujoco_globals, view.global_categories)
        agents = [{k: _in_order(joints) for k, joints in near.items()} for near in view.k_dicts]

        def read(observation: Array) -> Array:
            local = [build_obs(env.data, near, *rest) for near in agents]
            return np.concatenate([observation, *local])

        return read


@dataclass(frozen=True)
class Simulator:
    """One Gymnasium environment without wrappers.

    Attributes:
        env: the environment.
        max_steps: its registered episode length.
        read: makes the vector out of the environment's observation.
    """

    env: Any
    max_steps: int
    read: Callable[[Any], Array]


def simulator_versions(task: MujocoTask) -> list[str]:
    """The versions of the task's environment that this installation has."""
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    found = (env_id.rpartition("-") for env_id in gymnasium.registry)
    return sorted(version for name, _, version in found if name == task.env_id)


def library_view(task: MujocoTask, obsk: int, env: Any) -> Any:
    """gymnasium-robotics' multi-agent view of ``env``: its partition and local observations."""
    from gymnasium_robotics.envs.multiagent_mujoco.mujoco_multi import MultiAgentMujocoEnv

    return MultiAgentMujocoEnv(task.scenario, task.partition, agent_obsk=obsk, gym_env=env)


class Simulators:
    """Simulators in this process, stepped one after the other.

    Args:
        simulators: the simulators.
        buffers: arrays with one row for each of them.
    """

    def __init__(self, simulators: Sequence[Simulator], buffers: Buffers) -> None:
        self.buffers = buffers
        self.envs = [one.env for one in simulators]
        self._reads = [one.read for one in simulators]

    def step(self) -> None:
        """One step of the chosen environments; the others keep what they have."""
        buffers, envs, reads = self.buffers, self.envs, self._reads
        action, row, reward = buffers.action, buffers.row, buffers.reward
        terminated, truncated = buffers.terminated, buffers.truncated
        for i in np.flatnonzero(buffers.chosen).tolist():
            observation, reward[i], terminated[i], truncated[i], _ = envs[i].step(action[i])
            row[i] = reads[i](observation)

    def reset(self) -> None:
        """Resets the chosen environments."""
        buffers = self.buffers
        for i in np.flatnonzero(buffers.chosen).tolist():
            seed = int(buffers.seed[i])
            observation, _ = self.envs[i].reset(seed=seed if seed >= 0 else None)
            buffers.row[i] = self._reads[i](observation)
        buffers.terminated[buffers.chosen] = False
        buffers.truncated[buffers.chosen] = False
        buffers.seed[buffers.chosen] = -1

    def close(self) -> None:
        """Closes the environments."""
        for env in self.envs:
            env.close()


def _in_order(joints: Sequence[Any]) -> list[Any]:
    """By name, as in the library, and then by number.

    Two of Pusher's joints have one name there, and their order changes from object to object.
    """
    return sorted(joints, key=lambda joint: (joint.label, joint.act_ids))


def _write_segments(task: MujocoTask, folder: Path) -> str:
    """Writes the robot's model; the library itself writes it into its own installation."""
    from gymnasium_robotics.envs.multiagent_mujoco import many_segment_ant, many_segment_swimmer

    module = many_segment_ant if task.env_id == "Ant" else many_segment_swimmer
    agents, per_agent = map(int, task.partition.split("x"))
    path = str(folder / "robot.xml")
    module.gen_asset(n_segs=agents * per_agent, asset_path=path)
    return path


def _with_goal(maze: Sequence[Sequence[Any]], goal: tuple[int, int]) -> list[list[Any]]:
    found = [list(row) for row in maze]
    found[1][1], found[goal[0]][goal[1]] = "r", "g"
    return found


@contextmanager
def _known_warnings_ignored() -> Iterator[None]:
    """Ignores what loading says about versions and models that were chosen on purpose.

    MuJoCo calls an attribute of the half cheetah's model deprecated. Without a handler it
    prints that for every environment and writes a log file into the working directory.
    """
    import mujoco

    messages: list[str] = []
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(messages.append)
    try:
        with warnings.catch_warnings():
            # Old versions are asked for on purpose, see `make_mujoco_env`.
            warnings.filterwarnings("ignore", message=r".*The environment .* is out of date")
            yield
    finally:
        mujoco.set_mju_user_warning(previous)
    for message in messages:
        if "settotalmass" not in message:
            warnings.warn(f"MuJoCo: {message}", RuntimeWarning, stacklevel=3)
