"""The maps of SMAX, and what is said about wrong ones."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from omiga_torchrl.envs import available_tasks, make_env
from omiga_torchrl.envs.smax_maps import OWN_MAPS, find_scenario, import_smax, smax_tasks

if importlib.util.find_spec("jaxmarl") is None:
    pytest.skip("jaxmarl is missing", allow_module_level=True)


def test_look_alikes_of_smac_maps():
    for name, allies, enemies in (("2s_vs_64zg", 2, 64), ("6z_vs_24zg", 6, 24)):
        scenario = find_scenario(name)
        assert (scenario.num_allies, scenario.num_enemies) == (allies, enemies)
        assert scenario.unit_types.tolist() == [*OWN_MAPS[name].allies, *OWN_MAPS[name].enemies]
        assert f"smax/{name}" in available_tasks()
    types = import_smax().SMAX().unit_type_names
    assert [types[one] for one in (2, 3, 4)] == ["stalker", "zealot", "zergling"]


def test_listed_maps_exist():
    for name in smax_tasks():
        assert find_scenario(name).num_allies > 0


def test_importing_leaves_the_streams_alone(capfd):
    before = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("jaxmarl")}
    try:
        import_smax()
    finally:
        sys.modules.update(kept)
    assert (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("3mm", {}, r"unknown task 'smax/3mm'; did you mean 'smax/3m'"),
        ("3m", {"action_type": "continuous"}, r"action_type='continuous' with smax/3m; expected 'discrete'"),
    ],
)
def test_bad_arguments(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_env(f"smax/{name}", **options)


def test_a_missing_package_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "jaxmarl" else find(name, *a)
    )
    with pytest.raises(ImportError, match=r'jaxmarl is missing. pip install "omiga-torchrl\[smax\]"'):
        make_env("smax/3m")
