"""Pictures of VMAS worlds: what is where, and how large."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from matplotlib.patches import Circle, Rectangle

pytest.importorskip("vmas")

from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation.vmas_drawing import VmasDrawing, _patch


def test_the_drawing_shows_agents_where_they_are() -> None:
    env = make_env("vmas/navigation", num_envs=1, seed=0).base_env._env
    for i, agent in enumerate(env.world.agents):
        agent.set_pos(torch.tensor([[0.5 * (i - 1), 0.0]]), batch_index=None)
    for goal in env.world.landmarks:
        goal.set_pos(torch.tensor([[0.0, 0.9]]), batch_index=None)
    frame = VmasDrawing(env)()
    unit = 240 / env.scenario.viewer_zoom

    def is_white(x: float, y: float) -> bool:
        return bool((frame[round(240 - y * unit), round(240 + x * unit)] == 255).all())

    assert not any(is_white(x, 0.0) for x in (-0.5, 0.0, 0.5))
    assert is_white(-0.25, 0.0) and is_white(0.25, 0.0)
    assert not is_white(0.0, 0.9) and is_white(0.0, -0.9)


@pytest.mark.parametrize(("size", "shape"), [((700, 350), (480, 960, 3)), ((350, 700), (960, 480, 3))])
def test_the_drawing_has_the_sides_of_the_viewer(size: tuple[int, int], shape: tuple[int, ...]) -> None:
    env = make_env("vmas/navigation", num_envs=1, seed=0).base_env._env
    env.scenario.viewer_size = size
    for agent in env.world.agents:
        agent.set_pos(torch.zeros(1, 2), batch_index=None)
    for goal in env.world.landmarks:
        goal.set_pos(torch.tensor([[0.9, 0.9]]), batch_index=None)
    frame = VmasDrawing(env)()
    assert frame.shape == shape
    y, x = (frame != 255).any(-1).nonzero()
    unit = 240 / env.scenario.viewer_zoom  # pixels; the shorter side shows the zoom in both directions
    assert abs(x.min() - (shape[1] / 2 - 0.1 * unit)) < 4 and abs(y.max() - (shape[0] / 2 + 0.1 * unit)) < 4


def test_agents_of_any_size_are_shown_whole() -> None:
    env = make_env("vmas/navigation", num_envs=1, seed=0).base_env._env
    large, *others = env.world.agents
    large.shape._radius = 0.5
    for agent in others:
        agent.set_pos(torch.zeros(1, 2), batch_index=None)
    large.set_pos(torch.tensor([[3.0, 0.0]]), batch_index=None)
    # The largest agent's size twice, beyond the place of the one that is farthest out.
    assert VmasDrawing(env)._half_size(0.0, 0.0, 1.0, 1.0) == pytest.approx(3.0 + 2 * 0.5)
    assert VmasDrawing(env)._half_size(1.0, 0.0, 1.0, 1.0) == pytest.approx(2.0 + 2 * 0.5)  # another origin
    large.set_pos(torch.tensor([[0.0, 3.0]]), batch_index=None)
    assert VmasDrawing(env)._half_size(0.0, 1.0, 1.0, 1.0) == pytest.approx(2.0 + 2 * 0.5)


def test_bodies_have_their_places_and_sizes() -> None:
    from vmas.simulator.core import Box, Line, Sphere

    state = SimpleNamespace(pos=torch.tensor([[1.0, 2.0]]), rot=torch.tensor([[torch.pi / 2]]))

    def patch(shape: object) -> Circle | Rectangle:
        return _patch(SimpleNamespace(shape=shape, state=state, color=(1.0, 0.0, 0.0)))

    box, line, circle = patch(Box(length=4.0, width=2.0)), patch(Line(length=4.0)), patch(Sphere(0.5))
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((-1.0, 1.0), 4.0, 2.0)
    assert box.angle == pytest.approx(90.0)
    assert (line.get_xy(), line.get_width(), line.get_height()) == ((-1.0, 2.0), 4.0, 0.0)
    assert (circle.center, circle.radius) == ((1.0, 2.0), 0.5)
