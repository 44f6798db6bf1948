"""Settings of the whole test run, docstring examples included."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from jaxtyping import config

from omiga_torchrl import plugins
from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.data import LAYOUTS
from omiga_torchrl.envs import registry as envs

# Small tensors: more threads only wait for each other.
torch.set_num_threads(1)

# Tests and docstring examples keep their converted datasets out of the user's cache.
os.environ.setdefault("OMIGA_TORCHRL_HOME", tempfile.mkdtemp(prefix="omiga-torchrl-tests-"))


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a test or an example registers is forgotten: the next one may choose the same name."""
    for group in plugins.GROUPS:
        plugins.load_plugins(group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ALGORITHMS, "registered", dict(ALGORITHMS.registered))
        patch.setattr(LAYOUTS, "_entries", list(LAYOUTS._entries))
        patch.setattr(envs, "_FAMILIES", dict(envs._FAMILIES))
        yield


@pytest.fixture
def compiles() -> Iterator[Callable[..., Callable[..., Any]]]:
    """``torch.compile`` in one graph, and without the checks of shapes, which do not compile.

    Backend ``eager`` shows what Dynamo refuses, and takes a tenth of inductor's time.
    """
    config.update("jaxtyping_disable", True)
    torch._dynamo.reset()
    yield partial(torch.compile, fullgraph=True, backend="eager")
    torch._dynamo.reset()
    config.update("jaxtyping_disable", False)
