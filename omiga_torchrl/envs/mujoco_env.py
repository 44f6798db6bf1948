"""`MujocoTeamEnv`: many joint simulators behind one batched TorchRL environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.envs.mujoco_actions import JointAction
from omiga_torchrl.envs.mujoco_buffers import SimulatorGroup
from omiga_torchrl.envs.mujoco_groups import AgentGroups
from omiga_torchrl.envs.mujoco_layouts import Layout
from omiga_torchrl.envs.mujoco_replay import replay
from omiga_torchrl.errors import DataError, require_shape

Array = npt.NDArray[Any]


class MujocoTeamEnv(EnvBase):
    """Joint simulators, stepped together, as a team task; made by :func:`make_mujoco_env`.

    An environment whose episode is over stands still until it is reset: it keeps its
    observation and ends, and its rewards are 0. It is not simulated, so that playing a batch
    of episodes to their ends costs the steps of these episodes and no more. A step with an
    entry ``"_step"`` (TorchRL's partial steps) moves only the environments named there.

    Agents with fewer features than others are in a group of their own, or padded: observations
    with zeros, while padded features of actions are ignored. Which features are real are facts of
    the task, not of a step: ``observation_mask`` `[N, O]` and ``action_feature_mask`` `[N, A]`.

    Args:
        simulators: the simulators.
        layout: makes observations and states from their vectors.
        joint_action: makes joint actions from the agents'.
        max_steps: episode length in steps; longer episodes are truncated.
        padded: see :class:`omiga_torchrl.envs.mujoco_groups.AgentGroups`.
        seed: seed of all simulators' random streams; one stream each.
        raw_state: also give the simulator's own observation, whatever the layout makes of it,
            as ``"raw_state"`` `[num_envs, D]`.
        device: where tensors go; MuJoCo itself runs on the CPU.

    Raises:
        DataError: a NaN or infinite action.
        ValueError: actions of another size.
    """

    # Stepping an environment whose episode is over does nothing; see `evaluate`.
    ended_stand_still = True

    def __init__(
        self,
        simulators: SimulatorGroup,
        layout: Layout,
        joint_action: JointAction,
        *,
        max_steps: int,
        padded: bool = True,
        seed: int | None = None,
        raw_state: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        num_envs = len(simulators.buffers.reward)
        super().__init__(device=torch.device(device), batch_size=torch.Size([num_envs]))
        self.max_steps = max_steps
        self._raw_size = layout.width if raw_state else 0
        self._on_cpu = self.device.type == "cpu"
        self._simulators, self._layout, self._joint_action = simulators, layout, joint_action
        self._steps = np.zeros(num_envs, np.int64)
        # Returns of long episodes lose digits when summed in single precision.
        self._returns = np.zeros(num_envs)
        self._over = np.zeros(num_envs, np.bool_)
        self._groups = AgentGroups(layout.sizes, joint_action.sizes, padded=padded)
        self.group_map = self._groups.group_map
        self.observation_mask = self._groups.observation_mask
        self.action_feature_mask = self._groups.action_feature_mask
        self._make_specs(num_envs)
        self._set_seed(seed)

    def _make_specs(self, num_envs: int) -> None:
        device = self.device
        each, batch = (num_envs, 1), (num_envs,)
        observations, actions = {}, {}
        for name in self._groups.members:
            n_agents, seen, acted = self._groups.sizes(name)
            team = (num_envs, n_agents)
            observation = Unbounded((*team, seen), device=device)
            observations[name] = Composite({"observation": observation}, shape=team, device=device)
            action = Bounded(-1.0, 1.0, (*team, acted), device=device, dtype=torch.float32)
            actions[name] = Composite({"action": action}, shape=team, device=device)
        self.observation_spec = Composite(
            {
                **observations,
                keys.STATE: Unbounded((num_envs, self._layout.state_size), device=device),
                keys.EPISODE_RETURN: Unbounded(each, device=device),
                "step_count": Unbounded(each, dtype=torch.int64, device=device),
            },
            shape=batch,
            device=device,
        )
        if self._raw_size:
            self.observation_spec[keys.RAW_STATE] = Unbounded((num_envs, self._raw_size), device=device)
        self.action_spec = Composite(actions, shape=batch, device=device)
        self.reward_spec = Composite(
            {keys.REWARD: Unbounded(each, device=device)}, shape=batch, device=device
        )
        self.done_spec = Composite(
            {
                key: Categorical(2, each, dtype=torch.bool, device=device)
                for key in (keys.DONE, keys.TERMINATED, keys.TRUNCATED)
            },
            shape=batch,
            device=device,
        )

    @property
    def joint_slots(self) -> list[list[int]]:
        """For every agent the joint action that each of its features is."""
        return self._joint_action.slots

    @property
    def simulators(self) -> SimulatorGroup:
        """The simulators behind the environment."""
        return self._simulators

    def replay_step(self, observation: Tensor, action: Tensor) -> Tensor | None:
        """Outcome of one step from each recorded observation.

        Only the layout ``"state"`` tells the simulator's state, and only in tasks whose
        observation begins with all positions (but those that nothing depends on) and velocities.
        The environment has to be reset afterwards.

        Args:
            observation: recorded observations `[n, N, O]`.
            action: the actions recorded there `[n, N, A]`.

        Returns:
            The following observations `[n, N, O]`; ``None`` where this cannot be done, as with groups.
        """
        if len(self._groups.members) > 1:
            return None
        return replay(self._simulators, self._layout, self._joint_action, observation, action)

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """Uniformly random actions, in a fraction of the time that drawing from the spec takes."""
        if tensordict is None:
            tensordict = TensorDict({}, self.batch_size, device=self.device)
        for name in self._groups.members:
            shape = (*self._team(name), self._groups.sizes(name)[2])
            tensordict.set((name, "action"), torch.empty(shape, device=self.device).uniform_(-1.0, 1.0))
        return tensordict

    def _team(self, name: str) -> torch.Size:
        return torch.Size([*self.batch_size, len(self._groups.members[name])])

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        buffers = self._simulators.buffers
        self._write_actions({name: tensordict.get((name, "action")) for name in self._groups.members})
        np.logical_not(self._over, out=buffers.chosen)
        named = tensordict.get("_step", None)
        if named is not None:
            buffers.chosen &= named.reshape(-1).cpu().numpy()
        buffers.reward.fill(0.0)
        self._simulators.step()
        # Not `self._steps += ...`: assigning an attribute of a module is slow.
        np.add(self._steps, buffers.chosen, out=self._steps)
        np.add(self._returns, buffers.reward, out=self._returns)
        return self._results(reward=True)

    def _step_proc_data(self, next_tensordict_out: TensorDictBase) -> TensorDictBase:
        # TorchRL completes done entries and reshapes rewards here: ours are complete.
        return next_tensordict_out

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        named = None if tensordict is None else tensordict.get("_reset", None)
        chosen = self._simulators.buffers.chosen
        chosen[:] = True if named is None else named.reshape(-1).cpu().numpy()
        self._simulators.reset()
        self._steps[chosen] = 0
        self._returns[chosen] = 0.0
        return self._results()

    def _set_seed(self, seed: int | None) -> None:
        """Restarts all streams at the next reset; the first streams do not depend on their number."""
        seeds = self._simulators.buffers.seed
        seeds[:] = -1 if seed is None else np.random.SeedSequence(seed).generate_state(len(seeds))

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Closes the simulators."""
        super().close(raise_if_closed=raise_if_closed)
        self._simulators.close()

    def _write_actions(self, actions: dict[str, Tensor]) -> None:
        joint, found = self._joint_action, {}
        for name, action in actions.items():
            expected = (*self._team(name), self._groups.sizes(name)[2])
            key = (name, "action")
            require_shape("MujocoTeamEnv", key, action, expected, "[num_envs, agents, features]")
            found[name] = action.detach().to("cpu", torch.float32).numpy()
        out = self._simulators.buffers.action
        joint.write(self._groups.join(found), out)
        finite = np.isfinite(out)
        if not finite.all():
            agent = int(joint.owner[~finite.all(0)].min())
            bad = int((~finite[:, joint.owner == agent].all(1)).sum())
            raise DataError(
                f"MujocoTeamEnv: {(self._groups.group_of(agent), 'action')} of agent {agent} is NaN or "
                f"infinite in {bad} of {len(out)} environments. Training probably diverged: lower the "
                f"learning rate or clip gradients."
            )

    def _results(self, reward: bool = False) -> TensorDictBase:
        """The agents' present observations, in new tensors."""
        buffers = self._simulators.buffers
        observation, state = self._layout(buffers.row)
        truncated = buffers.truncated | (self._steps >= self.max_steps)
        np.logical_or(buffers.terminated, truncated, out=self._over)
        found: dict[str, Any] = {
            name: self._together({"observation": torch.from_numpy(seen)}, self._team(name))
            for name, seen in self._groups.split(observation).items()
        }
        found |= {
            keys.STATE: torch.from_numpy(state),
            keys.EPISODE_RETURN: _column(self._returns.astype(np.float32)),
            "step_count": _column(self._steps.copy()),
            keys.DONE: _column(self._over.copy()),
            keys.TERMINATED: _column(buffers.terminated.copy()),
            keys.TRUNCATED: _column(truncated),
        }
        if self._raw_size:
            found[keys.RAW_STATE] = torch.from_numpy(buffers.row[:, : self._raw_size].astype(np.float32))
        if reward:
            found[keys.REWARD] = _column(buffers.reward.astype(np.float32))
        results = self._together(found, self.batch_size)
        return results if self._on_cpu else results.to(self.device)

    def _together(self, entries: dict[str, Any], batch_size: torch.Size) -> TensorDict:
        # Without the checks of `TensorDict(...)`, as TorchRL's own batched simulators do it.
        device = self.device if self._on_cpu else None
        return TensorDict._new_unsafe(entries, batch_size, device)


def _column(values: Array) -> Tensor:
    return torch.from_numpy(values[:, None])
