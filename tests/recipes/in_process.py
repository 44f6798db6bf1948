"""Recipes in the process of a test, as the command line would run them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

RECIPES = Path(__file__).parents[2] / "recipes"


@lru_cache
def load(recipe: str) -> ModuleType:
    """The recipe's module."""
    spec = importlib.util.spec_from_file_location(f"omiga_torchrl_recipe_{recipe}", RECIPES / f"{recipe}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def configs(*recipes: str) -> Iterator[None]:
    """Inside the block settings of these recipes can be composed."""
    GlobalHydra.instance().clear()
    for recipe in recipes:
        load(recipe)  # it enters its dataclass
    with initialize_config_dir(str(RECIPES / "configs"), version_base="1.3"):
        yield


def settings(recipe: str, *overrides: str) -> Any:
    """An instance of the recipe's dataclass."""
    return OmegaConf.to_object(compose(recipe, list(overrides)))


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Inside the block a folder, which is made, is the current one."""
    before = Path.cwd()
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
