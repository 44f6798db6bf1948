"""The shards of a recording in progress."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.recording.shards import ShardFolder
from tests.data.conftest import make_episodes

PLAN = {"task": "toy", "seed": 0, "task_kwargs": {"sizes": (1, 2)}, "policies": ["a" * 64, "b" * 64]}


def test_shards_of_each_part_in_the_order_of_writing(tmp_path):
    shards = ShardFolder(tmp_path / "data", PLAN)
    parts = [make_episodes((2, 1)), make_episodes((3,), seed=1), make_episodes((4, 1), seed=2)]
    for part, episodes in ((0, parts[0]), (1, parts[2]), (0, parts[1])):
        shards.write(part, episodes)
    again = ShardFolder(tmp_path / "data", PLAN)
    assert (again.count(0), again.count(1), again.count(2)) == (2, 1, 0)
    assert (again.steps(0), again.steps(1), again.steps(2)) == (6, 5, 0)
    read = again.read(0)
    assert read.length.tolist() == [2, 1, 3]
    np.testing.assert_array_equal(read.action[3:], parts[1].action)
    again.remove()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_leaves_does_not_count(tmp_path):
    shards = ShardFolder(tmp_path / "data", PLAN)
    shards.write(0, make_episodes())
    (shards.path / ".000-00001.npz.abc123").write_bytes(b"half")
    assert shards.count(0) == 1 and shards.steps(0) == make_episodes().steps


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "with seed=0, not 1"),
        ({"task": "other", "seed": 2}, "with seed=0, not 2; task='toy', not 'other'"),
        ({"policies": ["c" * 64]}, "with other policies"),
        ({"workers": 2}, "with workers=None, not 2"),
    ],
)
def test_another_plan_is_refused(tmp_path, change, said):
    kept = ShardFolder(tmp_path / "data", PLAN)
    kept.write(0, make_episodes())
    with pytest.raises(ValueError, match="or delete the folder") as raised:
        ShardFolder(tmp_path / "data", {**PLAN, **change})
    assert said in str(raised.value)
    assert kept.count(0) == 1
