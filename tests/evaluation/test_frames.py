"""Where pictures come from, and which library draws them."""

from __future__ import annotations

import ctypes.util
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torchrl.envs import EnvBase, StepCounter, TransformedEnv

from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation.frames import _short, frame_source, mujoco_gl
from tests.evaluation.toy_env import CountingEnv


class Drawn(CountingEnv):
    def render_frame(self) -> np.ndarray[Any, Any]:
        return np.full((2, 3, 3), int(self.count.item()), np.uint8)


def test_an_environment_draws_itself_however_it_is_wrapped() -> None:
    env = Drawn([4])
    env.reset()
    inner = TransformedEnv(env, StepCounter(9))
    wrapped = TransformedEnv(inner, StepCounter(8, step_count_key="n"), auto_unwrap=False)
    draw = frame_source(wrapped)
    assert draw().max() == 0
    wrapped.rollout(2, break_when_any_done=False)
    assert (draw() == 2).all()
    with pytest.raises(ValueError, match=r"CountingEnv has no pictures; .*render_frame"):
        frame_source(CountingEnv([2]))


def test_vmas_pictures_are_its_own_or_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env("vmas/navigation", num_envs=1, seed=0)
    simulator = env.base_env
    while not hasattr(simulator, "_env"):
        simulator = simulator.base_env
    asked: list[str] = []

    def render(mode: str) -> np.ndarray[Any, Any]:
        asked.append(mode)
        return np.full((4, 6, 3), len(asked), np.uint8)[:, ::2]

    monkeypatch.setattr(simulator._env, "render", render)
    draw = frame_source(env)
    frame = draw()
    assert asked == ["rgb_array"] * 2 and frame.max() == 2 and frame.flags.c_contiguous

    def broken(mode: str) -> None:
        raise OSError("no display\nand more")

    monkeypatch.setattr(simulator._env, "render", broken)
    with pytest.warns(UserWarning, match=r"drawn with Matplotlib.*\(OSError: no display\)"):
        drawn = frame_source(env)()
    assert drawn.dtype == np.uint8 and drawn.shape[-1] == 3


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without a display that has both libraries."""
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: name)
    return monkeypatch


@pytest.mark.parametrize(
    ("there", "chosen"), [({"EGL", "OSMesa"}, "egl"), ({"EGL"}, "egl"), ({"OSMesa"}, "osmesa")]
)
def test_without_a_display_the_first_library_that_is_there(
    bare: pytest.MonkeyPatch, there: set[str], chosen: str
) -> None:
    bare.setattr(ctypes.util, "find_library", lambda name: name if name in there else None)
    with mujoco_gl() as backend:
        assert backend == chosen == os.environ["MUJOCO_GL"]
    assert "MUJOCO_GL" not in os.environ


def test_an_error_puts_it_back_too(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError), mujoco_gl():
        raise KeyError
    assert "MUJOCO_GL" not in os.environ
    bare.setenv("MUJOCO_GL", "")  # set, but to nothing
    with mujoco_gl() as backend:
        assert backend == "egl"
    assert os.environ["MUJOCO_GL"] == ""


@pytest.mark.parametrize(
    ("name", "value", "backend"),
    [("MUJOCO_GL", "glfw", "glfw"), ("DISPLAY", ":0", ""), ("WAYLAND_DISPLAY", "wayland-0", "")],
)
def test_what_is_set_or_shown_is_left_alone(
    bare: pytest.MonkeyPatch, name: str, value: str, backend: str
) -> None:
    bare.setenv(name, value)
    before = dict(os.environ)
    with mujoco_gl() as found:
        assert found == backend and dict(os.environ) == before


def test_other_systems_need_nothing_and_a_bare_machine_is_told(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(RuntimeError, match=r"no display.*apt install libegl1"), mujoco_gl():
        pass
    bare.setattr("sys.platform", "darwin")
    with mujoco_gl() as backend:
        assert backend == "" and "MUJOCO_GL" not in os.environ


def test_errors_are_one_line_of_at_most_eighty_characters() -> None:
    assert _short(ValueError("a\nb")) == "ValueError: a"
    exact, longer = (_short(ValueError("x" * (80 - 12 + more))) for more in (0, 1))
    assert exact == "ValueError: " + "x" * 68
    assert len(longer) == 80 and longer.endswith("xxx...")


class Renderer:
    """Stands in for MuJoCo's, which needs a graphics library."""

    def __init__(self, model: Any) -> None:
        self.model, self.modes = model, []
        self.data = SimpleNamespace(xpos=np.array([[9.0, 9.0, 9.0], [3.0, 4.0, 5.0]]))
        self.viewer = SimpleNamespace(cam=SimpleNamespace(lookat=np.array([0.0, 0.0, 1.0])))

    def render(self, mode: str) -> np.ndarray[Any, Any]:
        self.modes.append(mode)
        return np.zeros((4, 6, 3), np.uint8)[:, ::2]

    def close(self) -> None: ...


@pytest.fixture
def robot(bare: pytest.MonkeyPatch) -> Iterator[Any]:
    env = make_env("mujoco/halfcheetah", num_envs=1, seed=0)
    yield env
    env.close()


def test_the_camera_goes_where_a_walking_robot_goes(robot: Any) -> None:
    simulator = robot.simulators.envs[0]
    simulator.mujoco_renderer = renderer = Renderer(simulator.model)
    draw = frame_source(robot)
    assert renderer.viewer.cam.lookat.tolist() == [0, 0, 1]
    frame = draw()
    assert renderer.viewer.cam.lookat.tolist() == [3, 4, 1]  # the height stays
    assert frame.flags.c_contiguous and frame.shape == (4, 3, 3) and renderer.modes == ["rgb_array"] * 2


def test_models_without_such_a_camera_are_shown_as_they_are(robot: Any) -> None:
    mujoco = pytest.importorskip("mujoco")
    renderer = Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"))
    robot.simulators.envs[0].mujoco_renderer = renderer
    frame_source(robot)()
    assert renderer.viewer.cam.lookat.tolist() == [0, 0, 1]


def test_mazes_are_shown_whole_from_above(robot: Any) -> None:
    renderer = Renderer(SimpleNamespace(stat=SimpleNamespace(center=np.array([1.0, 2.0, 3.0]), extent=10.0)))
    robot.simulators.envs[0].ant_env = SimpleNamespace(mujoco_renderer=renderer)
    draw, camera = frame_source(robot), renderer.viewer.cam
    draw()
    assert camera.lookat.tolist() == [1, 2, 3]
    assert (camera.elevation, camera.azimuth, camera.distance) == (-90.0, 90.0, 13.0)


def test_a_renderer_that_fails_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    env: EnvBase = make_env("mujoco/hopper", num_envs=1)

    def fails(mode: str) -> None:
        raise AttributeError("'NoneType' object has no attribute 'eglQueryString'" + "!" * 300)

    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(env.simulators.envs[0].mujoco_renderer, "render", fails)
    with pytest.raises(RuntimeError, match=r"MUJOCO_GL='egl'.*eglQueryString.*apt install libegl1") as caught:
        frame_source(env)
    assert len(str(caught.value)) < 300
    env.close()


@pytest.mark.slow
def test_simulators_in_other_processes_cannot_be_drawn() -> None:
    env = make_env("mujoco/hopper", num_envs=1, workers=1)
    with pytest.raises(ValueError, match="workers=0"):
        frame_source(env)
    env.close()
