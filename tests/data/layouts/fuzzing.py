"""Small valid files, changed at random, and what reading them may do: raise a `DataError`, or be right."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace

import numpy as np

from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import LAYOUTS, ReadOptions
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_hdf5 import mutate

DTYPES = ("f2", "f4", "f8", "i1", "i8", "u1", "u8", "?", "c8", "S3", ">f4", ">i4")
VALUES = (np.nan, np.inf, -np.inf, 1e300, -1e30, 0.0, 1.0, 2.0, 0.5, -1.0, 7.0, 65536.0)


def change_values(values, rng):
    """Some entries, or a whole column, replaced."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed, new = values.copy(), rng.choice(VALUES)
        if not changed.size or changed.dtype.kind not in "fiub":
            return changed
        if changed.dtype.kind != "f":
            new = np.nan_to_num(new, posinf=1.0, neginf=0.0)
            new = np.clip(new, -100, 100) if changed.dtype.kind == "i" else abs(new) % 100
        if rng.random() < 0.3:
            changed[rng.integers(len(changed)) :] = np.array(new).astype(changed.dtype)
        else:
            flat = changed.reshape(-1)
            flat[rng.integers(flat.size, size=rng.integers(1, 4))] = np.array(new).astype(changed.dtype)
    return changed


def change_dtype(values, rng):
    if values.dtype.kind in "SU":  # changed before, perhaps to letters that are no numbers
        return values
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return values.astype(rng.choice(DTYPES))


def change_shape(values, rng):
    forms = (
        lambda a: a[:-1],
        lambda a: np.concatenate([a, a[-1:]]),
        lambda a: a[..., None],
        lambda a: a.reshape(len(a), -1),
        lambda a: np.swapaxes(a, 0, -1),
        lambda a: a[:0],
        lambda a: a.reshape(-1)[0],
        lambda a: a[..., :1],
        lambda a: a[:1],
        lambda a: a[:, None],
    )
    return np.ascontiguousarray(forms[rng.integers(len(forms))](values))


def change_flags(values, rng):
    """Of a flag: other ends, none, or all of them."""
    if values.dtype.kind not in "fiub" or not values.size:
        return values
    kind = rng.integers(4)
    if kind < 2:
        return np.full_like(values, kind)
    rows = rng.random(values.shape[:1]) < (0.2 if kind == 2 else 0.5)
    return np.where(rows.reshape(-1, *[1] * (values.ndim - 1)), 1, values).astype(values.dtype)


def change_arrays(arrays, flags, rng):
    """One or two changes of the arrays of a file."""
    arrays = dict(arrays)
    for _ in range(rng.integers(1, 3)):
        name = rng.choice(sorted(arrays))
        change = rng.choice([change_values, change_values, change_dtype, change_shape, None, change_flags])
        if change is change_flags:
            name = rng.choice(sorted(set(flags) & set(arrays)) or [name])
        if change is None:
            if rng.random() < 0.5 and len(arrays) > 1:
                del arrays[name]
            continue
        if arrays[name].ndim:
            arrays[name] = change(arrays[name], rng)
    return arrays


def damage(path, rng):
    """Bytes of one file of a dataset, cut or overwritten."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = files[rng.integers(len(files))]
    content = file.read_bytes()
    if len(content) > 1:
        file.write_bytes(mutate(content, rng))


def same_returns(found, expected):
    """The same returns in any order; episodes without any, such as padding, need not be there."""
    found, expected = (np.sort(np.asarray(one, np.float64)) for one in (found, expected))
    found, expected = found[np.abs(found) > 1e-9], expected[np.abs(expected) > 1e-9]
    return len(found) == len(expected) and np.allclose(found, expected, rtol=1e-4, atol=1e-5)


def require_refused_or_right(layout, path, folder, slow_returns, options=None):
    """Read and convert a file; whether it was read.

    Args:
        layout: name of its layout.
        path: the file or folder.
        folder: where to convert it to.
        slow_returns: reads the returns of all episodes from the file in its own way.
        options: how it is read.
    """
    options = options or ReadOptions()
    try:
        reading = LAYOUTS[layout].read(path, options)
        blocks = list(reading.blocks)
        convert(replace(reading, blocks=blocks), folder, options, name="fuzz")
    except DataError:
        return False
    finally:
        copy = folder.with_name(f"{folder.name}-done")
        shutil.rmtree(copy, ignore_errors=True)
        if folder.exists():
            folder.rename(copy)
    data = load_ted(copy)
    episode, reward = data["episode"].numpy().reshape(-1), data["next", "reward"].numpy().reshape(-1)
    stored = np.bincount(episode, reward.astype(np.float64))
    whole = reading.left_out.whole_returns(stored)
    notes = reading.ends.notes  # what was found out by itself is said
    expected = slow_returns(path)
    assert same_returns(whole, expected) or notes, (whole, expected)
    return True


def fuzz(layout, write, slow_returns, tmp_path, *, times, seed=0, options=None):
    """Changes files `times` times; some have to be refused, some to be read.

    Args:
        layout: name of the layout.
        write: ``(folder, rng)``, writes a changed file or folder, and returns it, or ``None`` if the changed
            arrays cannot be written.
        slow_returns: see :func:`require_refused_or_right`.
        tmp_path: a folder.
        times: how often.
        seed: of the changes.
        options: how files are read.
    """
    read = refused = 0
    for number in range(times):
        rng = np.random.default_rng([seed, number])
        folder = tmp_path / f"files{number}"
        folder.mkdir()
        path = write(folder, rng)
        if path is None:
            continue
        kept = [one for one in tmp_path.glob("files*") if one != folder]
        for one in kept:
            shutil.rmtree(one, ignore_errors=True)
        if rng.random() < 0.3:
            damage(path, rng)
        try:
            ok = require_refused_or_right(layout, path, tmp_path / "out", slow_returns, options)
        except Exception as error:
            raise AssertionError(
                f"{layout}: case {number} of seed {seed}: {type(error).__name__}: {error}"
            ) from error
        read, refused = read + ok, refused + (not ok)
    assert read > times / 20 and refused > times / 20, (read, refused)
