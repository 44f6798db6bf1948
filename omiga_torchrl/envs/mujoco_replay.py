"""Recorded steps, repeated in the simulator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from omiga_torchrl.envs.mujoco_actions import JointAction
from omiga_torchrl.envs.mujoco_buffers import SimulatorGroup
from omiga_torchrl.envs.mujoco_layouts import Layout


def replay(
    group: SimulatorGroup, layout: Layout, joint_action: JointAction, observation: Tensor, action: Tensor
) -> Tensor | None:
    """Outcome of one step from each recorded observation.

    Args:
        group: the simulators; the first is used, and has to be reset afterwards.
        layout: makes observations of the simulator's vectors.
        joint_action: makes joint actions of the agents'.
        observation: recorded observations `[n, N, O]`.
        action: the actions recorded there `[n, N, A]`.

    Returns:
        The following observations `[n, N, O]`; ``None`` where the observations do not tell the
        simulator's whole state, or the simulators run in other processes.
    """
    simulators = getattr(group, "envs", None)
    width = group.buffers.row.shape[1]
    if simulators is None or layout.sizes != (width,) * len(layout.sizes):
        return None
    simulator = simulators[0]
    parts = getattr(simulator, "observation_structure", {})
    n_qpos, n_qvel = parts.get("qpos", 0), parts.get("qvel", 0)
    skipped = simulator.model.nq - n_qpos
    if n_qvel != simulator.model.nv or skipped not in (0, 1, 2):
        return None
    rows = np.zeros((len(observation), width))
    joint = np.zeros((len(action), group.buffers.action.shape[1]), np.float32)
    joint_action.write(action.float().numpy(), joint)
    for i, recorded in enumerate(observation[:, 0].double().numpy()):
        qpos = np.concatenate([np.zeros(skipped), recorded[:n_qpos]])
        simulator.set_state(qpos, recorded[n_qpos : n_qpos + n_qvel])
        rows[i] = simulator.step(joint[i])[0]
    return torch.from_numpy(layout(rows)[0])
