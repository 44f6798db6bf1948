from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensordict import TensorDictBase

from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import record_video, video
from omiga_torchrl.evaluation.frames import frame_source
from tests.evaluation.toy_env import AGENTS, CountingEnv


def still(data: TensorDictBase) -> TensorDictBase:
    return data.set(("agents", "action"), torch.zeros(1, AGENTS, 1))


def right(data: TensorDictBase) -> TensorDictBase:
    """Every agent of navigation moves to the right."""
    return data.set(("agents", "action"), torch.tensor([1.0, 0.0]).expand(1, 3, 2))


class DrawnEnv(CountingEnv):
    """One red pixel moves along the first row of a picture with odd sides."""

    def render_frame(self) -> np.ndarray[Any, Any]:
        frame = np.zeros((33, 49, 3), np.uint8)
        frame[0, int(self.count.item())] = (255, 0, 0)
        return frame


@functools.cache
def can_render_mujoco() -> bool:
    env = make_env("mujoco/hopper", num_envs=1)
    try:
        frame_source(env)
    except RuntimeError:
        return False
    finally:
        env.close()
    return True


def read_gif(path: Path) -> list[np.ndarray[Any, Any]]:
    with Image.open(path) as image:
        frames = []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB")))
        return frames


def test_a_gif_holds_every_picture_until_the_end(tmp_path: Path) -> None:
    path = record_video(still, DrawnEnv([4]), tmp_path / "new" / "toy.gif", fps=20)
    assert path == tmp_path / "new" / "toy.gif"
    frames = read_gif(path)
    assert len(frames) == 5
    for i, frame in enumerate(frames):
        expected = np.zeros((33, 49, 3), np.uint8)
        expected[0, i] = (255, 0, 0)
        assert (frame == expected).all(), i
    with Image.open(path) as image:
        assert image.info["duration"] == 50 and image.info["loop"] == 0


def test_a_gif_keeps_pictures_without_a_change(tmp_path: Path) -> None:
    class Frozen(CountingEnv):
        def render_frame(self) -> np.ndarray[Any, Any]:
            return np.full((20, 30, 3), 7, np.uint8)

    frames = read_gif(record_video(still, Frozen([6]), tmp_path / "toy.gif", max_steps=3))
    assert len(frames) == 4 and all((frame == 7).all() for frame in frames)


def test_the_random_state_is_put_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    record_video(still, DrawnEnv([2], noise=1.0), tmp_path / "toy.gif")
    assert (torch.rand(3) == expected).all()


# The package's own reader leaves its pipes to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_mp4(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = record_video(still, DrawnEnv([9]), tmp_path / "toy.mp4")
    assert path.suffix == ".mp4"
    assert ffmpeg.count_frames_and_secs(str(path))[0] == 10
    reader = ffmpeg.read_frames(str(path))
    assert next(reader)["size"] == (48, 32)
    reader.close()


def test_without_ffmpeg_a_gif_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_has_ffmpeg", lambda: False)
    path = record_video(still, DrawnEnv([2]), tmp_path / "toy.mp4")
    assert path == tmp_path / "toy.gif" and [p.name for p in tmp_path.iterdir()] == ["toy.gif"]


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "omiga-torchrl\[video\]"'):
        record_video(still, DrawnEnv([2]), tmp_path / "toy.mp4")


@pytest.mark.parametrize(
    ("name", "lengths", "options", "match"),
    [
        ("toy.avi", [2], {}, r"ends in \.mp4 or \.gif"),
        ("toy.gif", [2, 2], {}, r"has 2 environments; .*num_envs=1"),
        ("toy.gif", [2], {"max_steps": 0}, "max_steps=0"),
        ("toy.gif", [2], {"fps": 0}, "fps=0"),
    ],
)
def test_arguments(
    tmp_path: Path, name: str, lengths: list[int], options: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        record_video(still, DrawnEnv(lengths), tmp_path / name, **options)


def test_one_step_at_the_highest_speed_is_allowed(tmp_path: Path) -> None:
    path = record_video(still, DrawnEnv([2]), tmp_path / "toy.gif", max_steps=1, fps=100)
    assert len(read_gif(path)) == 2


def test_an_environment_without_pictures_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CountingEnv has no pictures"):
        record_video(still, CountingEnv([2]), tmp_path / "new" / "toy.gif")
    assert not any(tmp_path.iterdir())


def test_vmas_is_drawn_where_its_renderer_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env("vmas/navigation", num_envs=1, seed=0)

    def fails(**options: Any) -> None:
        raise OSError("no window")

    monkeypatch.setattr(env.base_env._env, "render", fails)
    with pytest.warns(UserWarning, match=r"OSError: no window.*apt install libegl1"):
        path = record_video(right, env, tmp_path / "nav.gif", max_steps=5)
    frames = read_gif(path)
    assert len(frames) == 6 and frames[0].shape == (480, 480, 3)
    assert (frames[0] != frames[-1]).any()


def test_vmas_own_renderer(tmp_path: Path) -> None:
    env = make_env("vmas/navigation", num_envs=1, seed=0)
    try:
        env.base_env._env.render(mode="rgb_array")
    except Exception as error:
        pytest.skip(f"VMAS cannot render here: {error}")
    frames = read_gif(record_video(right, env, tmp_path / "nav.gif", max_steps=5))
    assert len(frames) == 6 and frames[0].std() > 1 and (frames[0] != frames[-1]).any()


def test_mujoco(tmp_path: Path) -> None:
    if not can_render_mujoco():
        pytest.skip("neither EGL nor OSMesa works here")
    env = make_env("mujoco/halfcheetah-6x1", num_envs=1, seed=0)

    def forward(data: TensorDictBase) -> TensorDictBase:
        return data.set(("agents", "action"), torch.ones(1, 6, 1))

    frames = read_gif(record_video(forward, env, tmp_path / "cheetah.gif", max_steps=5))
    assert len(frames) == 6 and frames[0].std() > 10 and (frames[0] != frames[-1]).any()
    env.close()


def test_the_camera_follows_the_robot() -> None:
    if not can_render_mujoco():
        pytest.skip("neither EGL nor OSMesa works here")
    env = make_env("mujoco/halfcheetah", num_envs=1, seed=0)
    env.reset()
    draw = frame_source(env)
    simulator = env.simulators.envs[0]
    position = simulator.data.qpos.copy()
    position[0] = 50.0
    simulator.set_state(position, simulator.data.qvel.copy())
    draw()
    assert simulator.mujoco_renderer.viewer.cam.lookat[0] == pytest.approx(50.0, abs=0.5)
    env.close()


@pytest.mark.parametrize(("fps", "milliseconds"), [(100, 10), (40, 20), (25, 40), (0.5, 2000)])
def test_a_gif_counts_time_in_hundredths_of_a_second(tmp_path: Path, fps: float, milliseconds: int) -> None:
    path = record_video(still, DrawnEnv([1]), tmp_path / "toy.gif", fps=fps)
    with Image.open(path) as image:
        assert image.info["duration"] == milliseconds
