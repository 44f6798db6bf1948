"""Files in the published layouts other than HDF5, written by plain numpy and torch."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from tests.data.layouts.helpers_vault import FIXTURE


def write_npys(folder, arrays):
    """Every array in a file ``{name}.npy`` of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return folder


def fingerprint(folder):
    """Names, contents and times of all files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest()) for path in files]


def make_omar(lengths, *, agents=2, sizes=(3, 2), done=(), states=None, seed=0, dtype=np.float64):
    """OMAR's arrays of one seed, by plain loops.

    Args:
        lengths: steps of every episode.
        agents: number of agents.
        sizes: features of observations and actions.
        done: the episodes that terminate.
        states: ``"same"`` for one state, ``"own"`` for one per agent.
        seed: of the values.
        dtype: of floats.
    """
    rng = np.random.default_rng(seed)
    fields = ("obs", "acs", "rews", "next_obs", "dones") + (("states", "next_states") if states else ())
    rows = {f"{name}_{i}": [] for name in fields for i in range(agents)}
    for number, length in enumerate(lengths):
        seen = rng.normal(size=(length + 1, agents, sizes[0]))
        state = rng.normal(size=(length + 1, agents, 4))
        if states == "same":
            state[:] = state[:, :1]
        for t in range(length):
            reward = rng.normal()
            for i in range(agents):
                rows[f"obs_{i}"].append(seen[t, i])
                rows[f"next_obs_{i}"].append(seen[t + 1, i])
                rows[f"acs_{i}"].append(rng.uniform(-1, 1, sizes[1]))
                rows[f"rews_{i}"].append(reward)
                rows[f"dones_{i}"].append(number in done and t == length - 1)
                if states:
                    rows[f"states_{i}"].append(state[t, i])
                    rows[f"next_states_{i}"].append(state[t + 1, i])
    return {name: np.array(values, dtype) for name, values in rows.items()}


def write_every_layout(folder):
    """A small dataset in every layout: ``{name: path}``."""
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("no data")
    (folder / "recording").mkdir()
    (folder / "recording" / "card.json").write_text("{}")
    np.savez(folder / "recording" / "data.npz", reward=np.zeros(2))
    return {
        "empty": folder / "empty",
        "text": folder / "text.txt",
        "missing": folder / "missing",
        "recording": folder / "recording",
        "omar": write_npys(folder / "omar", make_omar([2])),
        "pymarl-npy": write_npys(folder / "pymarl", make_padded([2], [True])),
        "omiga-smac": write_smac(folder / "smac", [make_smac(2)]),
        "vault": FIXTURE / "Good",
    }


def make_padded(lengths, terminates, *, steps_only=False, seed=0):
    """PyMARL's arrays of two agents; garbage in all padding, so that reading it shows.

    Args:
        lengths: steps of every episode.
        terminates: whether they terminate.
        steps_only: actions, rewards, ends and ``filled`` have one row less than observations.
        seed: of the values.
    """
    rng = np.random.default_rng(seed)
    rows = max(lengths) + 1
    fewer = rows - steps_only
    episodes = len(lengths)
    filled, terminated = np.zeros((episodes, fewer, 1), np.int64), np.zeros((episodes, fewer, 1), np.uint8)
    for e, (length, ends) in enumerate(zip(lengths, terminates, strict=True)):
        filled[e, : length + (not steps_only)] = 1
        if length:
            terminated[e, length - 1] = ends
        elif not steps_only:
            filled[e] = 0
    return {
        "actions": rng.integers(4, size=(episodes, fewer, 2, 1)),
        "avail_actions": rng.integers(2, size=(episodes, rows, 2, 4)),
        "filled": filled,
        "obs": rng.normal(size=(episodes, rows, 2, 3)).astype(np.float32),
        "reward": rng.normal(size=(episodes, fewer, 1)).astype(np.float32),
        "state": rng.normal(size=(episodes, rows, 5)).astype(np.float32),
        "terminated": terminated,
    }


def make_smac(length, *, agents=2, ended=True, seed=0, lists=True):
    """An episode ``[agent][step] = [g, o, a, r, d, ava]`` of OMIGA's and MADT's StarCraft data.

    Args:
        length: number of steps.
        agents: number of agents; if there are more, agent 0 dies in the middle.
        ended: whether all agents are done in the last step.
        seed: of the values.
        lists: values in lists, as MADT's code collects them; otherwise in arrays.
    """
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=length).astype(np.float32)
    episode = []
    for i in range(agents):
        steps = []
        for t in range(length):
            done = (ended and t == length - 1) or (i == 0 < agents - 1 and t >= length // 2)
            values = [
                rng.normal(size=4).astype(np.float32),
                rng.normal(size=3).astype(np.float32),
                np.array([rng.integers(5)]),
                rewards[t : t + 1],
                np.bool_(done),
                rng.integers(2, size=5).astype(np.float64),
            ]
            steps.append([value.tolist() for value in values] if lists else values)
        episode.append(steps)
    return episode


def write_smac(folder, episodes, **options):
    """One file of ``torch.save`` per episode."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, episode in enumerate(episodes):
        torch.save(episode, folder / f"{number:04}", **options)
    return folder
