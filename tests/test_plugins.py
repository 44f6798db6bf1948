"""Algorithms, environments and layouts of other installed packages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omiga_torchrl import plugins
from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.data import LAYOUTS, unregister_layout
from omiga_torchrl.envs import available_tasks, make_env, unregister_env
from omiga_torchrl.specs import TeamSpec

MODULE = """
from omiga_torchrl.data import Layout, Reading, register_layout
from omiga_torchrl.envs import make_tabular_env, register_env

register_env("fakeplugin", make_tabular_env, tasks=lambda: ["xor"])


@register_layout("fakelayout")
class FakeLayout(Layout):
    summary = "never matches"

    def matches(self, path):
        return False

    def read(self, path, options):
        return Reading([])
"""

ALGORITHM = """
from omiga_torchrl.algorithms import (
    Algorithm, AlgorithmConfig, NetworkBuilder, make_algorithm, register_algorithm
)
from omiga_torchrl.objectives import MultiAgentBCLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("fakealgorithm", AlgorithmConfig, actions=("continuous",))
def make_fake(spec, config):
    actor = NetworkBuilder(spec, config).actor()
    return Algorithm(actor, MultiAgentBCLoss(actor), {"actor": list(actor.parameters())})


make_algorithm("bc", TeamSpec(2, 3, 1, 4))  # looks something up while it is imported
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of packages on the path; nothing has been looked up yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_loaded", set())
    return tmp_path


def install(site: Path, name: str, module: str, *groups: str) -> None:
    """A distribution that announces `module` in each group."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"[{group}]\n{name} = {module}\n" for group in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))


def test_an_installed_package_adds_its_own(site: Path) -> None:
    (site / "fake_plugin.py").write_text(MODULE)
    install(site, "fake-plugin", "fake_plugin", "omiga_torchrl.envs", "omiga_torchrl.layouts")
    try:
        assert "fakeplugin/xor" in available_tasks()
        assert make_env("fakeplugin/xor", num_envs=2).batch_size == (2,)
        assert list(LAYOUTS)[-1] == "fakelayout" and LAYOUTS["fakelayout"].summary == "never matches"
    finally:
        unregister_env("fakeplugin")
        unregister_layout("fakelayout")
        sys.modules.pop("fake_plugin", None)


@pytest.mark.parametrize(
    "look_up",
    [
        lambda: make_algorithm("fakealgorithm", TeamSpec(2, 3, 1, 4), hidden_sizes=[4]).loss,
        lambda: ALGORITHMS["fakealgorithm"],
        lambda: "fakealgorithm" in ALGORITHMS,
        lambda: "fakealgorithm" in sorted(ALGORITHMS),
        lambda: len(ALGORITHMS) == len(ALGORITHMS.registered),
    ],
    ids=["make", "get", "in", "list", "len"],
)
def test_an_installed_package_adds_an_algorithm(site: Path, look_up: Callable[[], Any]) -> None:
    (site / "fake_algorithm.py").write_text(ALGORITHM)
    install(site, "fake-algorithm", "fake_algorithm", "omiga_torchrl.algorithms")
    try:
        assert "fakealgorithm" not in ALGORITHMS.registered  # nothing was imported before it is asked for
        assert look_up()
        assert "fakealgorithm" in ALGORITHMS.registered
    finally:
        ALGORITHMS.registered.pop("fakealgorithm", None)
        sys.modules.pop("fake_algorithm", None)


def test_a_group_is_loaded_once(site: Path) -> None:
    (site / "counted_plugin.py").write_text("import sys; sys.loaded = getattr(sys, 'loaded', 0) + 1")
    install(site, "counted-plugin", "counted_plugin", "omiga_torchrl.envs")
    try:
        plugins.load_plugins("omiga_torchrl.algorithms")
        assert not hasattr(sys, "loaded")
        for _ in range(2):
            plugins.load_plugins("omiga_torchrl.envs")
            sys.modules.pop("counted_plugin", None)
        assert sys.loaded == 1  # type: ignore[attr-defined]
    finally:
        if hasattr(sys, "loaded"):
            del sys.loaded


def test_a_broken_plugin_is_named_and_the_others_work(site: Path) -> None:
    (site / "broken_plugin.py").write_text("raise RuntimeError('no licence')")
    (site / "fake_plugin.py").write_text(MODULE)
    install(site, "a-broken", "broken_plugin", "omiga_torchrl.envs")
    install(site, "b-missing", "missing_plugin", "omiga_torchrl.envs")
    install(site, "c-works", "fake_plugin", "omiga_torchrl.envs")
    try:
        with pytest.warns(RuntimeWarning) as caught:
            tasks = available_tasks()
        messages = sorted(str(one.message) for one in caught)
        assert len(messages) == 2
        assert "'a-broken' (broken_plugin) of a-broken" in messages[0]
        assert "RuntimeError: no licence" in messages[0] and "b-missing" in messages[1]
        assert "fakeplugin/xor" in tasks and "vmas/navigation" in tasks
    finally:
        unregister_env("fakeplugin")
        unregister_layout("fakelayout")
        sys.modules.pop("fake_plugin", None)


def test_unknown_groups_are_refused() -> None:
    with pytest.raises(ValueError, match=r"group must be one of .*got 'omiga_torchrl\.env'"):
        plugins.load_plugins("omiga_torchrl.env")


def test_modules_by_name(site: Path) -> None:
    (site / "named_module.py").write_text("VALUE = 3")
    try:
        plugins.import_modules(["named_module"])
        assert sys.modules["named_module"].VALUE == 3
    finally:
        sys.modules.pop("named_module", None)
    with pytest.raises(ModuleNotFoundError, match="named_modul"):
        plugins.import_modules(["named_modul"])
