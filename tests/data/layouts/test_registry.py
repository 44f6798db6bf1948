"""Registering layouts: names, the order of detection, and the options of reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omiga_torchrl.data import (
    LAYOUTS,
    READ_OPTIONS,
    Layout,
    OfflineDataset,
    Reading,
    ReadOptions,
    find_layout,
    register_layout,
    unregister_layout,
)
from tests.data.conftest import make_episodes

BUILT_IN = [
    "recording", "omiga-mujoco", "pymarl-h5", "d4rl", "d3rlpy", "minari", "vault", "pymarl-npy", "omar",
    "rllib", "omiga-smac",
]  # fmt: skip


class ToyLayout(Layout):
    summary = "a file that ends with .toy"

    def matches(self, path: Path) -> bool:
        return path.suffix == ".toy"

    def read(self, path: Path, options: ReadOptions) -> Reading:
        return Reading([make_episodes()])


@pytest.fixture
def toy_file(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "data.toy").write_text("toy")
    yield tmp_path / "data.toy"
    unregister_layout("toy")
    unregister_layout("other")


def test_built_in_layouts_are_asked_in_this_order() -> None:
    assert list(LAYOUTS) == BUILT_IN
    assert all(layout.name == name for name, layout in LAYOUTS.items())


def test_a_registered_layout_is_found_and_read(toy_file: Path) -> None:
    register_layout("toy")(ToyLayout)
    assert list(LAYOUTS)[-1] == "toy"
    dataset = OfflineDataset(toy_file)
    assert len(dataset) == make_episodes().steps and dataset.source.layout.name == "toy"
    unregister_layout("toy")
    assert list(LAYOUTS) == BUILT_IN
    with pytest.raises(ValueError, match="unknown layout 'toy'"):
        find_layout(toy_file, "toy")


@pytest.mark.parametrize(("priority", "first"), [(0, "toy"), (1, "other"), (-1, "toy")])
def test_priority_decides_who_is_asked_first(toy_file: Path, priority: int, first: str) -> None:
    register_layout("toy")(ToyLayout)
    register_layout("other", priority=priority)(type("OtherLayout", (ToyLayout,), {}))
    assert find_layout(toy_file).name == first


def test_a_name_is_given_once(toy_file: Path) -> None:
    with pytest.raises(ValueError, match="got 'd4rl', which is D4rlLayout"):
        register_layout("d4rl")(ToyLayout)
    assert list(LAYOUTS) == BUILT_IN
    register_layout("toy")(ToyLayout)
    replaced = register_layout("toy", replace=True)(type("NewLayout", (ToyLayout,), {}))
    assert type(LAYOUTS["toy"]) is replaced and list(LAYOUTS) == [*BUILT_IN, "toy"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"actions": "round"}, r"actions must be one of .*'scale', None\), got 'round'"),
        ({"team_reward": "max"}, "team_reward must be one of .*got 'max'"),
        ({"incomplete": None}, "incomplete must be one of .*got None"),
        ({"max_steps": 0}, "max_steps must be an integer >= 1, got 0"),
        ({"max_steps": "10"}, "max_steps must be an integer >= 1, got '10'"),
    ],
)
def test_impossible_options(option: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadOptions(**option)


def test_every_field_is_an_option() -> None:
    assert tuple(vars(ReadOptions())) == READ_OPTIONS
