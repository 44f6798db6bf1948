"""Pictures of an environment, on machines without a display as well."""

from __future__ import annotations

import ctypes.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from torchrl.envs import EnvBase, TransformedEnv
from torchrl.envs.libs.vmas import VmasEnv

from omiga_torchrl.envs.mujoco_env import MujocoTeamEnv
from omiga_torchrl.envs.mujoco_simulator import Simulators
from omiga_torchrl.team_env import team_env

Array = npt.NDArray[Any]
FrameSource = Callable[[], Array]

_MUJOCO_PACKAGES = "Debian or Ubuntu: apt install libegl1 libgl1 (or libosmesa6, with MUJOCO_GL=osmesa)."
_VMAS_PACKAGES = "Debian or Ubuntu: apt install libegl1 libgl1 libglu1-mesa."


def frame_source(env: EnvBase) -> FrameSource:
    """A function that gives a picture of what ``env`` looks like now.

    MuJoCo draws with what the environment variable ``MUJOCO_GL`` names; where it is not set and
    there is no display, with EGL or OSMesa. VMAS draws with its own renderer, and with
    Matplotlib where that one cannot start. Any other environment draws itself, with a method
    ``render_frame()``.

    Args:
        env: environment, wrapped or not. Of several simulated together the first is shown.

    Returns:
        Takes no argument and gives ``uint8`` colours `[H, W, 3]`. The size stays the same.

    Raises:
        ImportError: neither VMAS's renderer nor Matplotlib can be used.
        RuntimeError: MuJoCo finds nothing to render with.
        ValueError: the environment cannot be drawn.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> frame_source(make_env("vmas/navigation", seed=0))().dtype
        dtype('uint8')
    """
    while isinstance(env, TransformedEnv):
        env = env.base_env
    if isinstance(env, MujocoTeamEnv):
        return _mujoco_source(env)
    if isinstance(env, VmasEnv):
        return _vmas_source(env)
    own = team_env(env).render_frame
    if own is None:
        raise ValueError(
            f"record_video: {type(env).__name__} has no pictures; expected a MuJoCo or VMAS task, or an "
            "environment with a method render_frame() that returns uint8 [H, W, 3]."
        )
    return own


def _mujoco_source(env: MujocoTeamEnv) -> FrameSource:
    simulators = env.simulators
    if not isinstance(simulators, Simulators):
        raise ValueError(
            "record_video: the simulators run in worker processes; expected make_env(workers=0)."
        )
    outer = simulators.envs[0]
    # A maze is built around the environment of its robot.
    robot = getattr(outer, "ant_env", None)
    renderer = (robot or outer).mujoco_renderer
    with mujoco_gl() as backend:
        try:
            renderer.render("rgb_array")
        except Exception as error:  # PyOpenGL raises all kinds where a library is missing
            raise RuntimeError(
                f"record_video: MuJoCo cannot render with MUJOCO_GL={backend!r} "
                f"({_short(error)}). {_MUJOCO_PACKAGES}"
            ) from error
    aim = _maze_camera(renderer) if robot is not None else _following_camera(renderer)

    def frame() -> Array:
        aim()
        return np.ascontiguousarray(renderer.render("rgb_array"))

    return frame


def _following_camera(renderer: Any) -> Callable[[], None]:
    """Keeps a robot that walks in the picture; Gymnasium's own camera lets it walk away."""
    import mujoco

    walks = mujoco.mj_name2id(renderer.model, mujoco.mjtObj.mjOBJ_CAMERA, "track") >= 0

    def aim() -> None:
        if walks:
            # Body 0 is the world, body 1 the robot's root; the height stays, against shaking.
            renderer.viewer.cam.lookat[:2] = renderer.data.xpos[1][:2]

    return aim


def _maze_camera(renderer: Any) -> Callable[[], None]:
    """Shows the whole maze from above: a wall would hide the robot from the side."""
    camera, model = renderer.viewer.cam, renderer.model
    camera.lookat[:] = model.stat.center
    camera.elevation, camera.azimuth, camera.distance = -90.0, 90.0, 1.3 * model.stat.extent
    return lambda: None


@contextmanager
def mujoco_gl() -> Iterator[str]:
    """Sets ``MUJOCO_GL``, if it is not set, to EGL or else OSMesa on a Linux machine without a display.

    Only the first picture needs it. It is put back: later processes that import MuJoCo would
    start what it names.

    Raises:
        RuntimeError: the machine has neither.
    """
    before = os.environ.get("MUJOCO_GL")
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if before or shown or sys.platform != "linux":
        yield before or ""
        return
    choices = {"egl": "EGL", "osmesa": "OSMesa"}
    found = [backend for backend, library in choices.items() if ctypes.util.find_library(library)]
    if not found:
        raise RuntimeError(
            "record_video: no display, and neither EGL nor OSMesa to render MuJoCo without one. "
            + _MUJOCO_PACKAGES
        )
    os.environ["MUJOCO_GL"] = found[0]
    try:
        yield found[0]
    finally:
        if before is None:
            del os.environ["MUJOCO_GL"]
        else:
            os.environ["MUJOCO_GL"] = before


def _vmas_source(env: VmasEnv) -> FrameSource:
    # Whoever calls `render` later in this process gets the same kind of window.
    simulator = env._env
    try:
        simulator.render(mode="rgb_array")
    except Exception as error:  # pyglet raises its own kinds, and some are no ImportError
        try:
            from omiga_torchrl.evaluation.vmas_drawing import VmasDrawing
        except ImportError:
            raise ImportError(
                f"record_video: VMAS cannot render ({_short(error)}), and Matplotlib is missing. "
                f'{_VMAS_PACKAGES} Or: pip install "omiga-torchrl[plot]"'
            ) from error
        warnings.warn(
            f"record_video: drawn with Matplotlib, as VMAS cannot render ({_short(error)}). {_VMAS_PACKAGES}",
            stacklevel=4,
        )
        return VmasDrawing(simulator)
    return lambda: np.ascontiguousarray(simulator.render(mode="rgb_array"))


def _short(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    return text if len(text) <= 80 else text[:77] + "..."
