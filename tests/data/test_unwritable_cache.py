"""A cache that cannot be written names the setting to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from omiga_torchrl.data import OfflineDataset


@pytest.mark.parametrize("below", ["file/x", "file"])
def test_the_error_names_the_setting(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"cannot be written \(.*\)\. Pass root= .*OMIGA_TORCHRL_HOME"):
        OfflineDataset("vmas/navigation/mixed", root=tmp_path / below)
