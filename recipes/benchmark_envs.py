"""Speed of the environments against what is beneath them: Gymnasium, TorchRL's own route, JAX.

Run: ``python recipes/benchmark_envs.py``. Needs the extras ``mujoco`` and ``smax``. One line per ratio.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.timing import SpeedRatio, speed_ratio


@dataclass(frozen=True)
class Robot:
    """One task on the three routes.

    Attributes:
        task: the library's task.
        env_id: the joint environment in Gymnasium.
        scenario: scenario and partition of gymnasium-robotics.
        of_gymnasium: share of Gymnasium's speed that the library has to reach.
        of_wrapper: multiple of the wrapper's speed that it has to reach.
        options: arguments of the joint environment.
    """

    task: str
    env_id: str
    scenario: tuple[str, str]
    of_gymnasium: float
    of_wrapper: float
    options: tuple[tuple[str, Any], ...] = ()


CHEETAH = Robot("mujoco/halfcheetah-6x1", "HalfCheetah-v5", ("HalfCheetah", "6x1"), 0.5, 8)
HOPPER = Robot("mujoco/hopper-3x1", "Hopper-v5", ("Hopper", "3x1"), 0.5, 8)
ANT = Robot("mujoco/ant-2x4", "Ant-v4", ("Ant", "2x4"), 0.75, 5, (("use_contact_forces", True),))
ROBOTS = (CHEETAH, HOPPER, ANT)


def against_gymnasium(robot: Robot, *, num_envs: int = 32, steps: int = 50, blocks: int = 9) -> SpeedRatio:
    """The batched environment against the joint environment of ``gymnasium.make``.

    Args:
        robot: the task.
        num_envs: environments per batch.
        steps: batched steps per block.
        blocks: timed pairs of blocks.
    """
    return speed_ratio(
        f"{robot.task}, batch of {num_envs}, against the joint gymnasium environment",
        _step_block(make_env(robot.task, num_envs=num_envs, seed=0), steps),
        _gymnasium_block(robot, steps * num_envs),
        robot.of_gymnasium,
        blocks=blocks,
    )


def against_wrapper(robot: Robot, *, num_envs: int = 32, steps: int = 50, blocks: int = 5) -> SpeedRatio:
    """The batched environment against TorchRL's ``PettingZooWrapper`` of gymnasium-robotics.

    Both play rollouts of random actions.

    Args:
        robot: the task.
        num_envs: environments per batch; the wrapper has one.
        steps: batched steps per block.
        blocks: timed pairs of blocks.
    """
    return speed_ratio(
        f"{robot.task}, batch of {num_envs}, against PettingZooWrapper",
        _rollout_block(make_env(robot.task, num_envs=num_envs, seed=0), steps),
        _rollout_block(_wrapped(robot), 4 * steps),
        robot.of_wrapper,
        blocks=blocks,
    )


def evaluation_cost(
    robot: Robot, *, episodes: int = 32, max_steps: int = 1000, blocks: int = 3
) -> SpeedRatio:
    """Time of :func:`evaluate` over the time that Gymnasium takes for the same episodes.

    Gymnasium steps as many environments in turn as the evaluation does. The policy costs nothing
    (it does not move), so that the rest is the evaluation's.

    Args:
        robot: the task.
        episodes: episodes, all in one batch.
        max_steps: longest episode.
        blocks: timed pairs of blocks.
    """
    import gymnasium

    env = make_env(robot.task, num_envs=episodes, max_steps=max_steps)
    options = {"max_episode_steps": max_steps, **dict(robot.options)}
    joint = [gymnasium.make(robot.env_id, **options) for _ in range(episodes)]
    still = env.full_action_spec[keys.ACTION].zero()
    nothing = np.zeros(joint[0].action_space.shape or (), np.float32)

    def act(data: TensorDictBase) -> TensorDictBase:
        return data.set(keys.ACTION, still)

    def run_evaluation() -> int:
        return int(evaluate(act, env, episodes=episodes, seed=0).lengths.sum())

    def run_gymnasium() -> int:
        steps, running = 0, joint
        for seed, one in enumerate(joint):
            one.reset(seed=seed)
        while running:
            steps += len(running)
            results = [one.step(nothing) for one in running]
            running = [one for one, (_, _, *over, _) in zip(running, results, strict=True) if not any(over)]
        return steps

    name = f"{robot.task}, time of evaluating {episodes} episodes over the simulator's own"
    speed = speed_ratio(name, run_evaluation, run_gymnasium, 1.0, blocks=blocks)
    return SpeedRatio(name, 1 / speed.value, 1.3, False, speed.speeds)


def against_jax(*, steps: int = 50, blocks: int = 9) -> SpeedRatio:
    """SMAX, 128 games, against its own compiled program driven by JAX alone; both reset what ends."""
    import jax

    env = make_env("smax/3m", num_envs=128, seed=0)
    env.reset()
    program, games = env.simulator.program, env.simulator.games
    actions = np.random.default_rng(0).integers(0, env.n_actions, (64, 128, 3)).astype(np.int32)

    def run() -> int:
        nonlocal games
        for step in range(steps):
            outcome = program.step(games, actions[step % 64], np.ones(128, bool), np.int32(env.max_steps))
            games = outcome.next_games
        jax.block_until_ready(games)
        return 128 * steps

    name = "smax/3m, batch of 128, against its compiled program in JAX alone"
    return speed_ratio(name, _step_block(env, steps), run, 0.6, blocks=blocks)


def _rollout_block(env: EnvBase, steps: int) -> Callable[[], int]:
    def run() -> int:
        env.rollout(steps, break_when_any_done=False)
        return steps * env.batch_size.numel()

    return run


def _step_block(env: EnvBase, steps: int) -> Callable[[], int]:
    """Steps and resets with actions that were drawn before, as for Gymnasium."""
    spec = env.full_action_spec[keys.ACTION]
    actions = [spec.rand() for _ in range(64)]
    data = env.reset()

    def run() -> int:
        nonlocal data
        for step in range(steps):
            data.set(keys.ACTION, actions[step % len(actions)])
            data = env.maybe_reset(env.step_mdp(env.step(data)))
        return steps * env.batch_size.numel()

    return run


def _gymnasium_block(robot: Robot, steps: int) -> Callable[[], int]:
    import gymnasium

    env = gymnasium.make(robot.env_id, **dict(robot.options))
    actions = (
        np.random.default_rng(0).uniform(-1, 1, (64, *(env.action_space.shape or ()))).astype(np.float32)
    )
    env.reset(seed=0)

    def run() -> int:
        for step in range(steps):
            _, _, terminated, truncated, _ = env.step(actions[step % len(actions)])
            if terminated or truncated:
                env.reset()
        return steps

    return run


def _wrapped(robot: Robot) -> EnvBase:
    """TorchRL's wrapper with the least that makes it run: equal sizes, single precision, no infos."""
    from gymnasium.spaces import Box
    from gymnasium_robotics import mamujoco_v1
    from torchrl.envs.libs.pettingzoo import PettingZooWrapper

    class Shim(mamujoco_v1.parallel_env):
        """Pads observations; the wrapper cannot stack unequal ones or infos that come and go."""

        def __init__(self) -> None:
            super().__init__(*robot.scenario, agent_obsk=1)
            self.size = max(space.shape[0] for space in self.observation_spaces.values())
            self.padded = Box(-np.inf, np.inf, (self.size,), np.float32)

        def observation_space(self, agent: str) -> Any:
            return self.padded

        def state(self) -> Any:
            return super().state().astype(np.float32)

        def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            observations, _ = super().reset(seed, options)
            return self._pad(observations), {agent: {} for agent in observations}

        def step(self, actions: dict[str, Any]) -> Any:
            observations, *rest, infos = super().step(actions)
            return (self._pad(observations), *rest, {agent: {} for agent in infos})

        def _pad(self, observations: dict[str, Any]) -> dict[str, Any]:
            return {
                agent: np.pad(values, (0, self.size - len(values))).astype(np.float32)
                for agent, values in observations.items()
            }

    return PettingZooWrapper(Shim(), return_state=True)


def main() -> None:
    """Prints all ratios."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # Old versions of environments and of PettingZoo are asked for on purpose.
    warnings.simplefilter("ignore")
    for robot in ROBOTS:
        for measure in (against_gymnasium, against_wrapper, evaluation_cost):
            sys.stdout.write(f"{measure(robot)}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{against_jax()}\n")


if __name__ == "__main__":
    main()
