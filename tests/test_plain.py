"""What is written can be read back."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.errors import DataError
from omiga_torchrl.plain import plain
from omiga_torchrl.policies import load_policy, save_policy
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import load_checkpoint, readable_checkpoint, save_checkpoint

GIVEN = {"a": np.float64(1.5), "b": [np.int64(3), (np.bool_(True),)], "p": Path("x/y"), "z": np.arange(2)}
KEPT = {"a": 1.5, "b": [3, (True,)], "p": "x/y", "z": [0, 1]}


def test_numpy_and_paths_become_plain() -> None:
    found = plain("x", "m", GIVEN)
    assert found == KEPT and type(found["a"]) is float and type(found["b"][1][0]) is bool
    assert plain("x", "m", OrderedDict(t=torch.ones(1)))["t"].item() == 1


def test_checkpoints_and_policies_are_read_back(tmp_path: Path) -> None:
    file = save_checkpoint(tmp_path / "a.pt", {"lr": np.float64(0.1)}, step=3, metadata=GIVEN)
    content = load_checkpoint(file)
    assert content["metadata"] == KEPT and content["trainer"] == {"lr": 0.1}
    spec = TeamSpec(2, 3, 1, 4)
    policy = make_algorithm("bc", spec, hidden_sizes=[8]).policy
    arguments = {"hidden_sizes": (np.int64(8),)}
    save_policy(tmp_path / "p.pt", policy, algorithm="bc", spec=spec, arguments=arguments, metadata=GIVEN)
    assert load_policy(tmp_path / "p.pt").metadata == KEPT


def test_what_cannot_be_read_back_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(
        TypeError, match=r"save_checkpoint: metadata\['env'\]\[0\] is a object; expected plain"
    ):
        save_checkpoint(tmp_path / "a.pt", {}, step=3, metadata={"env": [object()]})
    assert not list(tmp_path.iterdir())


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    assert readable_checkpoint(tmp_path) is None
    old = save_checkpoint(tmp_path / "step_00000003.pt", {}, step=3, metadata={})
    new = save_checkpoint(tmp_path / "step_00000006.pt", {}, step=6, metadata={})
    assert readable_checkpoint(tmp_path) == new
    for content in (new.read_bytes()[:100], b"", b"PK\x03\x04nothing"):
        new.write_bytes(content)
        with pytest.warns(UserWarning, match=r"step_00000006\.pt .*Going on from step_00000003\.pt"):
            assert readable_checkpoint(tmp_path) == old
    old.write_bytes(b"")
    with pytest.raises(DataError, match="No other checkpoint is there: start anew with existing=overwrite"):
        readable_checkpoint(tmp_path)
