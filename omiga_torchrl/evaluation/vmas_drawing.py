"""Pictures of VMAS worlds with Matplotlib, where VMAS's own renderer cannot start."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch, Rectangle

_PIXELS = 480
_DPI = 100


class VmasDrawing:
    """Draws the bodies of a VMAS world: agents, landmarks and walls, without sensors.

    Args:
        simulator: the VMAS environment; its first world is drawn.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> VmasDrawing(make_env("vmas/navigation", seed=0).base_env._env)().shape
        (480, 480, 3)
    """

    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator
        width, height = simulator.scenario.viewer_size
        self._aspect = width / height
        size = (_PIXELS / _DPI * max(1.0, self._aspect), _PIXELS / _DPI / min(1.0, self._aspect))
        # Neither pyplot nor a backend's window: this works without a display.
        self._canvas = FigureCanvasAgg(Figure(figsize=size, dpi=_DPI))
        self._axes = self._canvas.figure.add_axes((0.0, 0.0, 1.0, 1.0))

    def __call__(self) -> npt.NDArray[Any]:
        """The world as it is now, `uint8` `[H, W, 3]`."""
        axes = self._axes
        axes.clear()
        axes.set_axis_off()
        x, y = self._simulator.scenario.render_origin
        wide, high = max(1.0, self._aspect), max(1.0, 1 / self._aspect)
        half = self._half_size(x, y, wide, high)
        axes.set_xlim(x - half * wide, x + half * wide)
        axes.set_ylim(y - half * high, y + half * high)
        for entity in self._simulator.world.entities:
            if entity.is_rendering[0]:
                axes.add_patch(_patch(entity))
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def _half_size(self, x: float, y: float, wide: float, high: float) -> float:
        """Half of the shorter side that is shown: the scenario's, or more to show all agents."""
        agents = self._simulator.world.agents
        room = 2 * max(agent.shape.circumscribed_radius() for agent in agents)
        places = [agent.state.pos[0].tolist() for agent in agents]
        needed = [max((abs(px - x) + room) / wide, (abs(py - y) + room) / high) for px, py in places]
        return max(float(self._simulator.scenario.viewer_zoom), *needed)


def _patch(entity: Any) -> Patch:
    from vmas.simulator.core import Box, Sphere

    shape = entity.shape
    x, y = entity.state.pos[0].tolist()
    colour = np.asarray(entity.color, dtype=float)
    # A scenario may give every world its own colour.
    colour = colour[0] if colour.ndim > 1 else colour
    alpha = float(getattr(entity, "_alpha", 1.0))
    if isinstance(shape, Sphere):
        return Circle((x, y), shape.radius, color=colour, alpha=alpha)
    # A line has no width in the world, only on the screen.
    length, width = (shape.length, shape.width) if isinstance(shape, Box) else (shape.length, 0.0)
    angle = math.degrees(float(entity.state.rot[0]))
    corner = (x - length / 2, y - width / 2)
    return Rectangle(
        corner, length, width, angle=angle, rotation_point="center", color=colour, alpha=alpha, linewidth=1.5
    )
