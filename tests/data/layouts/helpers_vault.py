"""Vaults written by Flashbax, and by plain tensorstore."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from omiga_torchrl.data.layouts.vault_files import VaultFiles

# What the vault in this folder holds: it was written by flashbax 0.1.3, by `write_with_flashbax`.
FIXTURE = Path(__file__).parent / "vault_fixture" / "toy.vlt"


def vault_experience():
    """The rows of a vault `[T, ...]`: a terminated episode, two time-outs, and the start of a fourth.

    Agent 1 is dead from row 1 on in the first episode.
    """
    rows, agents, t = 10, 2, np.arange(10)
    terminals, truncations = np.zeros((2, rows, agents), bool)
    terminals[2], terminals[1, 1] = True, True
    truncations[6], truncations[7] = True, True
    by_agent = t[:, None] + np.arange(agents) / 10
    return {
        "observations": (by_agent[..., None] + np.arange(3) / 100).astype(np.float32),
        "actions": ((t[:, None] + np.arange(agents)) % 4).astype(np.int32),
        "rewards": np.repeat(t[:, None] / 2, agents, 1).astype(np.float32),
        "terminals": terminals,
        "truncations": truncations,
        "infos": {
            "state": np.stack([t, -t, t**2], 1).astype(np.float32),
            "legals": np.ones((rows, agents, 4), bool) & (np.arange(4) != 3) | (t % 2 == 0)[:, None, None],
        },
    }


def write_with_flashbax(folder, experience, splits=(0,)):
    """Write rows `[T, ...]` by Flashbax itself, in several goes.

    Args:
        folder: ``{somewhere}/{scenario}.vlt/{uid}``.
        experience: a tree of arrays.
        splits: the first row of every go.
    """
    import flashbax
    import jax
    from flashbax.vault import Vault

    rows = len(experience["rewards"])
    buffer = flashbax.make_trajectory_buffer(
        max_length_time_axis=rows + 5,
        min_length_time_axis=1,
        sample_batch_size=1,
        add_batch_size=1,
        sample_sequence_length=1,
        period=1,
    )
    state = buffer.init(jax.tree.map(lambda x: x[0], experience))
    vault = Vault(
        folder.parent.name, state.experience, rel_dir=str(folder.parent.parent), vault_uid=folder.name
    )
    for first, last in zip(splits, (*splits[1:], rows), strict=True):
        state = buffer.add(state, jax.tree.map(lambda x: x[None, first:last], experience))  # noqa: B023
        vault.write(state)


def flatten(tree, prefix=""):
    flat = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def write_slowly(folder, experience, *, room=10_000, chunk=4, index=None, version=1.2):
    """A vault of rows `[T, ...]`, row by row and leaf by leaf as its description has it."""
    folder.mkdir(parents=True, exist_ok=True)
    store = {"driver": "ocdbt", "base": f"file://{folder}/"}
    rows, flat = len(experience["observations"]), flatten(experience)
    shapes, dtypes = {}, {}
    import tensorstore as ts

    context = ts.Context({"file_io_sync": False})  # nobody cuts the power of a test
    for name, values in flat.items():
        spec = {"driver": "zarr", "kvstore": {**store, "path": f"{name}./"}}
        spec["metadata"] = {"chunks": [1, chunk, *values.shape[1:]], "compressor": {"id": "zlib", "level": 1}}
        shape, dtype = (1, room, *values.shape[1:]), values.dtype.name
        array = ts.open(spec, create=True, shape=shape, dtype=dtype, context=context).result()
        array[:, :rows].write(values[None]).result()
        for tree, value in ((shapes, str(shape)), (dtypes, dtype)):
            *parents, leaf = name.split(".")
            for parent in parents:
                tree = tree.setdefault(parent, {})
            tree[leaf] = value
    spec = {"driver": "zarr", "kvstore": {**store, "path": "vault_index/"}}
    array = ts.open(spec, create=True, shape=(1,), dtype="int32", context=context).result()
    array.write(rows if index is None else index).result()
    metadata = {"version": version, "structure_shape": shapes, "structure_dtype": dtypes, "made": "by hand"}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


def make_experience(ends, *, agents=2, seed=0):
    """Random rows; ``ends`` has "t" (terminated), "l" (time limit) or "." for every row."""
    rng, rows = np.random.default_rng(seed), len(ends)

    def marks(kind):
        return np.repeat(np.array([end == kind for end in ends])[:, None], agents, 1)

    return {
        "observations": rng.normal(size=(rows, agents, 3)).astype(np.float32),
        "actions": rng.integers(4, size=(rows, agents)).astype(np.int32),
        "rewards": np.repeat(rng.normal(size=(rows, 1)), agents, 1).astype(np.float32),
        "terminals": marks("t"),
        "truncations": marks("l"),
        "infos": {
            "state": rng.normal(size=(rows, 5)).astype(np.float32),
            "legals": rng.integers(2, size=(rows, agents, 4)).astype(np.float32),
        },
    }


class _InMemory(np.ndarray):
    """An array that knows the bytes of a row, as one of a vault does."""

    @property
    def row_bytes(self):
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def in_memory(arrays, metadata=None):
    """An open vault whose leaves are in memory.

    Args:
        arrays: leaves by their path.
        metadata: its description.
    """
    return VaultFiles(metadata or {}, {name: np.asarray(a).view(_InMemory) for name, a in arrays.items()})
