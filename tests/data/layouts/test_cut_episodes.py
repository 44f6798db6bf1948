"""Which episodes just stop, where others of a single step are left out before them, in every layout."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omiga_torchrl.data import Episodes
from omiga_torchrl.data.layouts import LAYOUTS, ReadOptions
from tests.data.layouts.helpers_files import make_smac, write_smac
from tests.data.layouts.helpers_hdf5 import write_h5
from tests.data.layouts.helpers_vault import make_experience, write_slowly

TRUNCATED = ReadOptions(incomplete="truncated")


def read(layout, path, options=TRUNCATED):
    """Lengths of the episodes of a file, which of them terminated, and which were cut."""
    reading = LAYOUTS[layout].read(path, options)
    episodes = Episodes.concatenate(list(reading.blocks))
    last = np.cumsum(episodes.length) - 1
    assert reading.steps in (None, episodes.steps)
    cut = reading.ends.is_cut(len(episodes))
    return episodes.length.tolist(), episodes.terminated[last].tolist(), cut.tolist()


def d4rl(ends, *, following=None):
    """Rows of which ``ends`` has a "t" or "l"; with the next observations, which breaks change."""
    rows = len(ends)
    seen = np.arange(rows, dtype=float)[:, None]
    arrays = {
        "observations": seen,
        "actions": np.ones((rows, 1)),
        "rewards": np.ones(rows),
        "terminals": np.array([end == "t" for end in ends]),
        "timeouts": np.array([end == "l" for end in ends]),
    }
    if following is None:
        return arrays
    return arrays | {"next_observations": seen + 1 + 0.5 * np.isin(np.arange(rows), following)[:, None]}


def test_d4rl(tmp_path):
    path = write_h5(tmp_path / "a.hdf5", d4rl("l..t.."))
    assert read("d4rl", path) == ([3, 1], [True, False], [False, True])
    path = write_h5(tmp_path / "b.hdf5", d4rl("t..l.."))
    assert read("d4rl", path) == ([1, 2, 1], [True, False, False], [False, False, True])


def test_d4rl_with_what_was_seen_next(tmp_path):
    path = write_h5(tmp_path / "a.hdf5", d4rl("l..t...", following=[0, 3, 5]))
    # Where the next row does not go on there is no mark, either.
    assert read("d4rl", path) == ([1, 3, 2, 1], [False, True, False, False], [False, False, True, True])


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ("l..t..", ([3, 1], [True, False], [False, True])),
        ("t..l..", ([1, 2, 1], [True, False, False], [False, False, True])),
        ("l..l.", ([2], [False], [False])),
    ],
)
def test_vaults(tmp_path, ends, expected):
    pytest.importorskip("tensorstore")
    experience = make_experience(ends)
    experience["actions"][:] = 1
    path = write_slowly(tmp_path / "a", experience)
    assert read("vault", path) == expected


def rllib(path, *episodes, following):
    """A line an episode: its number of steps and its end."""
    lines = []
    for steps, end in episodes:
        last = np.arange(steps) == steps - 1
        columns = {
            "obs": np.arange(steps)[:, None],
            "actions": np.ones((steps, 1)) / 2,
            "rewards": np.ones(steps),
            "terminateds": last & (end == "t"),
            "truncateds": last & (end == "l"),
            "eps_id": np.full(steps, len(lines)),
        }
        if following:
            columns["new_obs"] = columns["obs"] + 1
        values = {name: column.tolist() for name, column in columns.items()}
        lines.append(json.dumps({"type": "SampleBatch", **values}))
    path.write_text("\n".join(lines))
    return path


def test_rllib(tmp_path):
    episodes = ((1, "l"), (3, "t"), (1, "t"), (3, "."))
    path = rllib(tmp_path / "a.json", *episodes, following=False)
    assert read("rllib", path) == ([3, 1, 2], [True, True, False], [False, False, True])
    path = rllib(tmp_path / "b.json", *episodes, following=True)
    assert read("rllib", path) == ([1, 3, 1, 3], [False, True, True, False], [False, False, False, True])


def test_omiga_smac(tmp_path):
    episodes = [
        make_smac(steps, ended=ended) for steps, ended in ((1, False), (3, True), (1, True), (3, False))
    ]
    path = write_smac(tmp_path, episodes)
    assert read("omiga-smac", path, ReadOptions(incomplete="truncated", team_reward="first")) == (
        [3, 1, 2], [True, True, False], [False, False, True],
    )  # fmt: skip
