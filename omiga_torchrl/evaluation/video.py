"""`record_video`: one episode as an MP4 or GIF file."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl import keys
from omiga_torchrl.envs.memory import with_memory
from omiga_torchrl.evaluation.frames import FrameSource, frame_source
from omiga_torchrl.evaluation.rollout import Policy, _eval_mode
from omiga_torchrl.files import storage_errors
from omiga_torchrl.random_state import isolated_random

Array = npt.NDArray[Any]

_GIF_REPEATS_FOREVER = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


def record_video(
    policy: Policy,
    env: EnvBase,
    path: str | Path,
    *,
    max_steps: int = 1_000,
    fps: float = 25,
    deterministic: bool = True,
    seed: int = 0,
) -> Path:
    """Plays one episode and writes its pictures to a file.

    Pictures are written as they come: long episodes take no more memory than short ones. The
    global random states and the modules' training flags are put back afterwards.

    Args:
        policy: writes the joint action into the TensorDict it is given.
        env: one environment, `make_env(task, num_envs=1)`; see
            :func:`omiga_torchrl.evaluation.frames.frame_source` for what can be drawn.
        path: the file, ``.mp4`` or ``.gif``; its folder is made. Where no ffmpeg can be found, a
            GIF is written in place of the MP4.
        max_steps: the video ends after so many steps where the episode has not ended.
        fps: pictures per second, one for every step. A GIF counts time in hundredths of a second.
        deterministic: take the policy's most likely action instead of sampling.
        seed: seed of the episode's random stream.

    Returns:
        The file that was written.

    Raises:
        ImportError: a package is missing; the message names it.
        RuntimeError: the machine cannot render; the message names the system's package.
        ValueError: another kind of file, more than one environment, or one without pictures.

    Examples:
        >>> import tempfile
        >>> from omiga_torchrl.envs import make_env
        >>> env = make_env("vmas/navigation", num_envs=1)
        >>> still = lambda td: td.set(("agents", "action"), torch.zeros(1, 3, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     record_video(still, env, folder + "/still.gif", max_steps=2).name
        'still.gif'
    """
    path = Path(path)
    _require_arguments(env, path, max_steps, fps)
    path = _writable(path)
    kind = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
    with isolated_random(seed), torch.no_grad(), set_exploration_type(kind), _eval_mode(policy):
        env.set_seed(seed)
        frames = _episode(policy, with_memory(env, policy), max_steps)
        # Nothing is written where the first picture fails.
        frames = chain([next(frames)], frames)
        with storage_errors(path, "video_path="):
            path.parent.mkdir(parents=True, exist_ok=True)
            (_write_mp4 if path.suffix == ".mp4" else _write_gif)(path, frames, fps)
    return path


def _require_arguments(env: EnvBase, path: Path, max_steps: int, fps: float) -> None:
    if path.suffix not in (".mp4", ".gif"):
        raise ValueError(f"record_video: path {path.name!r}; expected a name that ends in .mp4 or .gif.")
    if env.batch_size.numel() != 1:
        raise ValueError(
            f"record_video: env has {env.batch_size.numel()} environments; expected one, "
            "make_env(task, num_envs=1)."
        )
    if max_steps < 1 or not 0 < fps <= 100:
        raise ValueError(
            f"record_video: max_steps={max_steps}, fps={fps}; expected at least one step and fps in (0, 100]."
        )


def _writable(path: Path) -> Path:
    """``path``, or its GIF where no MP4 can be written."""
    if path.suffix == ".mp4" and _has_ffmpeg():
        return path
    if importlib.util.find_spec("PIL") is None:
        raise ImportError(
            f"record_video: imageio-ffmpeg (for .mp4) or Pillow (for .gif) is needed to write {path.name}. "
            'pip install "omiga-torchrl[video]"'
        )
    return path.with_suffix(".gif")


def _has_ffmpeg() -> bool:
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return False
    import imageio_ffmpeg

    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:  # a platform for which the package brings none, and none is installed
        return False
    return True


def _episode(policy: Policy, env: EnvBase, max_steps: int) -> Iterator[Array]:
    """The pictures before the first step and after each."""
    data = env.reset()
    frame: FrameSource = frame_source(env)
    yield frame()
    for _ in range(max_steps):
        data = env.step(policy(data))
        yield frame()
        if data["next", keys.DONE].any():
            return
        data = env.step_mdp(data)


def _write_mp4(path: Path, frames: Iterator[Array], fps: float) -> None:
    import imageio_ffmpeg

    # The usual codec stores colours for 2 x 2 pixels: sides must be even.
    even = (frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2] for frame in frames)
    first = next(even)
    size = (first.shape[1], first.shape[0])
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=fps, macro_block_size=2)
    writer.send(None)
    try:
        for frame in chain([first], even):
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def _write_gif(path: Path, frames: Iterator[Array], fps: float) -> None:
    """Writes picture by picture; Pillow itself keeps all of them until the last one is known."""
    from PIL import GifImagePlugin, Image, ImageChops

    milliseconds = max(1, round(100 / fps)) * 10
    shown: Image.Image | None = None
    with path.open("wb") as file:
        for frame in frames:
            image = Image.fromarray(frame)
            if shown is None:
                sides = image.width.to_bytes(2, "little") + image.height.to_bytes(2, "little")
                file.write(b"GIF89a" + sides + b"\x70\x00\x00" + _GIF_REPEATS_FOREVER)
                box = (0, 0, *image.size)
            else:
                # Only what changed; a picture without a change still takes its time.
                box = ImageChops.difference(shown, image).getbbox() or (0, 0, 1, 1)
            shown = image
            part = image.crop(box).quantize(256)
            # Every picture has its own colours.
            options = {"duration": milliseconds, "include_color_table": True}
            file.writelines(GifImagePlugin.getdata(part, box[:2], **options))
        file.write(b";")
