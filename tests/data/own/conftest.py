"""Every test has a cache of its own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", str(tmp_path / "cache"))
