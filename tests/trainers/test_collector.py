"""The stand-in for a collector has nothing."""

from __future__ import annotations

from omiga_torchrl.trainers.collector import NoCollector


def test_there_is_nothing_to_collect_to_save_or_to_stop() -> None:
    collector = NoCollector()
    assert list(collector) == [] and collector.state_dict() == {} and collector.init_random_frames == 0
    collector.load_state_dict({"a": 1})
    collector.update_policy_weights_()
    collector.shutdown()
