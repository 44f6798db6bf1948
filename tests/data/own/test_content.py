"""The checksum of transitions: of every array, its name, type and shape, and of nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.own.content import ContentDigest, observed
from tests.data.conftest import make_episodes, make_hunt


def digest(*blocks, told=()):
    found = ContentDigest()
    for block in blocks:
        found.add(block)
    return found.hexdigest(*told)


def test_blocks_may_be_cut_anywhere():
    whole = make_hunt((3, 1, 4), absent=True, own_reward=True)
    parts = [whole.part(0, 1), whole.part(1, 1), whole.part(1, 3)]
    assert digest(whole) == digest(*parts) and len(digest(whole)) == 64
    assert digest(*reversed(parts)) != digest(whole)


@pytest.mark.parametrize(
    "name", ["observation", "action", "reward", "terminated", "truncated", "state", "action_mask"]
)
def test_every_array_counts(name):
    options = {"masked": name == "action_mask", "stored_state": True}
    before, after = make_episodes(**options), make_episodes(**options)
    value = getattr(after, name)
    value.flat[-1] = ~value.flat[-1] if value.dtype == bool else value.flat[-1] + 1
    assert digest(before) != digest(after)


def test_lengths_names_and_shapes_count():
    one = make_episodes((2, 4))
    assert digest(one) != digest(one.replaced(length=np.array([4, 2])))
    hunt = make_hunt()
    renamed = hunt.replaced(groups=dict(zip(("wolves", "prey"), hunt.groups.values(), strict=True)))
    assert digest(hunt) != digest(renamed)
    flat = one.replaced(state=np.zeros((8, 2)))
    assert digest(flat) != digest(one.replaced(state=np.zeros((8, 4))))


def test_precision_that_is_not_stored_does_not_count():
    one = make_episodes()
    double = one.replaced(reward=one.reward.astype(np.float64))
    assert digest(one) == digest(double)
    assert digest(one) != digest(one.replaced(reward=np.zeros(8, np.int64)))


def test_what_else_is_told_counts():
    one = make_episodes()
    assert (
        len({digest(one), digest(one, told=["a"]), digest(one, told=["a", "b"]), digest(one, told=["b"])})
        == 4
    )


def test_observed_blocks_pass_by_unchanged():
    blocks, found = [make_episodes((2,)), make_episodes((3,))], ContentDigest()
    passing = observed(iter(blocks), found)
    assert next(passing) is blocks[0] and found.hexdigest() == digest(blocks[0])
    assert list(passing) == blocks[1:] and found.hexdigest() == digest(*blocks)
