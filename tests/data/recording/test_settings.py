"""`RecordingSettings`: defaults and what cannot be."""

from __future__ import annotations

import pytest

from omiga_torchrl.data import RecordingSettings


def test_defaults_play_in_this_process():
    settings = RecordingSettings()
    assert (settings.launcher, settings.workers, settings.seed) == ("local", 1, 0)
    assert settings.shard_transitions == 50_000 and settings.progress is False


def test_limits():
    RecordingSettings(shard_transitions=1, seed=0, workers=1)
    RecordingSettings("process", workers=1)
    RecordingSettings("process", workers=3)
    with pytest.raises(ValueError, match="shard_transitions=0; expected at least 1"):
        RecordingSettings(shard_transitions=0)
    with pytest.raises(ValueError, match="seed=-1; expected at least 0"):
        RecordingSettings(seed=-1)
    for launcher, workers in (("local", 2), ("local", 0), ("process", 0)):
        with pytest.raises(ValueError, match=f"workers={workers} with launcher='{launcher}'"):
            RecordingSettings(launcher, workers=workers)
    with pytest.raises(ValueError, match="unknown launcher 'proces'; did you mean 'process'"):
        RecordingSettings("proces")
