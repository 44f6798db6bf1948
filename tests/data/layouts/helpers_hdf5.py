"""Files in the published HDF5 layouts, written by plain h5py, and damage of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.errors import DataError

h5py = pytest.importorskip("h5py")


def write_h5(path, arrays, **options):
    """Every array under its name; names with a slash are in groups."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, **options)
    return path


def read_all(layout, path, **options):
    """All episodes of a file as one block."""
    reading = layout.read(path, ReadOptions(**options))
    episodes = Episodes.concatenate(list(reading.blocks))
    assert reading.steps in (None, episodes.steps)
    return episodes


def assert_same(got, expected):
    """Bit for bit the same episodes."""
    assert got.arrays().keys() == expected.arrays().keys()
    for name, values in expected.arrays().items():
        np.testing.assert_array_equal(getattr(got, name), values, err_msg=name, strict=True)


def transitions(episodes):
    """The episodes as a list of transitions, by plain Python loops."""
    out, step, row = [], 0, 0
    for number, length in enumerate(episodes.length.tolist()):
        for _ in range(length):
            one = {
                "episode": number,
                "observation": episodes.observation[row].tolist(),
                "next_observation": episodes.observation[row + 1].tolist(),
                "action": episodes.action[step].tolist(),
                "reward": float(episodes.reward[step]),
                "terminated": bool(episodes.terminated[step]),
                "truncated": bool(episodes.truncated[step]),
            }
            if episodes.state is not None:
                one |= {
                    "state": episodes.state[row].tolist(),
                    "next_state": episodes.state[row + 1].tolist(),
                }
            out.append(one)
            step, row = step + 1, row + 1
        row += 1
    return out


def mutate(data, rng):
    """One damaged copy of the bytes of a file."""
    data, kind = bytearray(data), rng.integers(4)
    start, stop = np.sort(rng.integers(len(data), size=2)).tolist()
    if kind == 0:
        return bytes(data[:stop])
    if kind == 1:
        data[start : min(stop, start + 64)] = bytes(min(stop, start + 64) - start)
    else:  # mostly where the structure is described: the first kilobytes
        for place in rng.integers(len(data) if kind == 2 else min(len(data), 4096), size=4).tolist():
            data[place] = rng.integers(256)
    return bytes(data)


def assert_survives_damage(layout, path, *, file=None, times=120, seed=0):
    """Damaged files are refused with a ``DataError``, or read as sound episodes.

    Args:
        layout: reads ``path``.
        path: an undamaged file or folder.
        file: what is damaged, if ``path`` is a folder.
        times: number of damaged copies.
        seed: of the damage.
    """
    file = file or path
    rng, whole = np.random.default_rng(seed), file.read_bytes()
    refused = 0
    for _ in range(times):
        file.write_bytes(mutate(whole, rng))
        layout.matches(path)
        try:
            for block in layout.read(path, ReadOptions()).blocks:
                assert len(block.observation) == block.steps + len(block)
        except DataError:
            refused += 1
    file.write_bytes(whole)
    assert refused
