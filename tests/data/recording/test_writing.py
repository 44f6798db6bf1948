"""Writing a recording to disk."""

from __future__ import annotations

import pytest

from omiga_torchrl.data import write_recording
from tests.data.conftest import make_card


def test_other_folders_are_not_replaced(tmp_path, episodes):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="refusing to replace"):
        write_recording(tmp_path, episodes, make_card(episodes))
    assert (tmp_path / "notes.txt").read_text() == "mine"
