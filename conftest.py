"""Settings of the whole test run, docstring examples included."""

from __future__ import annotations

import os
import tempfile

import torch

# Small tensors: more threads only wait for each other.
torch.set_num_threads(1)

# Tests and docstring examples keep their converted datasets out of the user's cache.
os.environ.setdefault("OMIGA_TORCHRL_HOME", tempfile.mkdtemp(prefix="omiga-torchrl-tests-"))
