"""A file that is no policy is one DataError that says what is meant."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from omiga_torchrl.errors import DataError
from omiga_torchrl.trainers import save_checkpoint

RECIPE = Path(__file__).parents[2] / "recipes" / "evaluate.py"


def test_foreign_files_are_one_data_error(tmp_path: Path) -> None:
    net = torch.nn.Linear(3, 2)
    torch.save(net, tmp_path / "module.pt")
    torch.save(net.state_dict(), tmp_path / "state_dict.pt")
    save_checkpoint(tmp_path / "step_00000100.pt", {}, step=100, metadata={})
    (tmp_path / "model.zip").write_bytes(b"PK\x03\x04nothing")
    (tmp_path / "empty.pt").write_bytes(b"")
    recipe = runpy.run_path(str(RECIPE))
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(DataError, match=rf"load_policy: .*{file.name} must be"):
            recipe["open_policy"](recipe["EvaluateConfig"](policy=str(file)))
