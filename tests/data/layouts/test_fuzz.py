"""Files of every layout, changed at random: refused with a `DataError`, or read with the right returns."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from omiga_torchrl.data import write_recording
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts.vault_files import VaultFiles
from omiga_torchrl.data.layouts.vault_writing import write_vault
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import file_sha256
from tests.data.conftest import make_card, make_episodes
from tests.data.layouts import test_d3rlpy, test_d4rl, test_minari, test_omiga_mujoco, test_rllib
from tests.data.layouts.fuzzing import change_arrays, fuzz, require_refused_or_right
from tests.data.layouts.helpers_files import make_omar, make_padded, make_smac, write_npys, write_smac
from tests.data.layouts.helpers_hdf5 import write_h5
from tests.data.layouts.helpers_vault import flatten, make_experience

h5py = pytest.importorskip("h5py")
pytest.importorskip("tensorstore")


def split(rewards, ended):
    """Sums of rewards up to every end; rows behind the last one are an episode, too."""
    returns, total = [], 0.0
    for row, (reward, end) in enumerate(zip(rewards, ended, strict=True)):
        total += float(reward)
        if end or row == len(rewards) - 1:
            returns.append(total)
            total = 0.0
    return returns


def d4rl_returns(path):
    with h5py.File(path) as file:
        rows = {
            name: file[name][:]
            for name in file
            if isinstance(file[name], h5py.Dataset) and name != "metadata"
        }
    ended = rows["terminals"].reshape(-1) != 0
    ended |= rows["timeouts"].reshape(-1) != 0 if "timeouts" in rows else False
    if "next_observations" in rows:
        after, now = (rows[name].astype(np.float32) for name in ("next_observations", "observations"))
        ended |= np.append((after[:-1] != now[1:]).any(1), True)
    return split(rows["rewards"].reshape(-1), ended)


def omiga_returns(path):
    with h5py.File(path) as file:
        return split(file["r"][:].reshape(len(file["r"]), -1)[:, 0], file["d"][:].reshape(-1) == 1)


def minari_returns(path):
    with h5py.File(path / "data" / "main_data.hdf5") as file:
        return [float(np.sum(file[name]["rewards"][:].astype(np.float64))) for name in file]


def d3rlpy_returns(path):
    with h5py.File(path) as file:
        episodes = int(file["num_episodes"][()])
        return [float(file[f"rewards_{one}"][:].astype(np.float64).sum()) for one in range(episodes)]


def rllib_returns(path):
    found, total = {}, 0
    for line in path.read_text().splitlines():
        batch = json.loads(line)
        for row, reward in enumerate(batch["rewards"]):
            episode = batch["eps_id"][row] if "eps_id" in batch else f"unnumbered {total}"
            found[episode] = found.get(episode, 0.0) + float(reward)
            total += any(batch[name][row] for name in ("terminateds", "truncateds") if name in batch)
    return list(found.values())


def omar_returns(path):
    rows = {file.stem: np.load(file) for file in path.glob("*.npy")}
    agents = range(sum(name.startswith("acs_") for name in rows))
    ended = np.all([rows[f"dones_{i}"].reshape(-1) == 1 for i in agents], 0)
    for i in agents:
        after, now = (rows[name].astype(np.float32) for name in (f"next_obs_{i}", f"obs_{i}"))
        ended |= np.append((after[:-1] != now[1:]).any(1), True)
    return split(rows["rews_0"].reshape(-1), ended)


def vault_returns(path):
    arrays = VaultFiles.open(path, ("rewards", "terminals"), ("truncations",)).arrays
    ended = arrays["terminals"][:] != 0
    ended = ended | (arrays["truncations"][:] != 0) if "truncations" in arrays else ended
    return split(arrays["rewards"][:][:, 0], ended.all(1))


def padded_returns(fields):
    returns, rows = [], fields["obs"].shape[1]
    for e, reward in enumerate(fields["reward"].reshape(*fields["reward"].shape[:2], -1)[..., 0]):
        filled = (
            fields["filled"][e].reshape(-1) != 0
            if "filled" in fields
            else (fields["avail_actions"][e] != 0).any((1, 2))
        )
        if len(filled) < rows and "filled" in fields:  # one row a step, observations have one more
            filled = np.append(True, filled)
        ends = fields["terminated"][e].reshape(-1) != 0
        last = int(filled.sum())
        over = np.flatnonzero(ends[:last] & filled[: len(ends)][:last])
        returns.append(float(reward[: over[0] + 1 if len(over) else last].astype(np.float64).sum()))
    return returns


def pymarl_h5_returns(path):
    with h5py.File(path) as file:
        return padded_returns({name: file[name][:] for name in file})


def pymarl_npy_returns(path):
    return padded_returns({file.stem: np.load(file) for file in path.glob("*.npy")})


def smac_returns(path):
    episodes = [torch.load(file, weights_only=True) for file in sorted(path.iterdir())]
    return [sum(float(np.reshape(step[3], -1)[0]) for step in one[0]) for one in episodes]


def recording_returns(path):
    with np.load(path / "data.npz") as file:
        last = np.cumsum(file["length"]) - 1
        return split(file["reward"], np.isin(np.arange(len(file["reward"])), last))


def h5_writer(arrays, flags=()):
    def write(folder, rng):
        return write_h5(folder / "a.hdf5", change_arrays(arrays, flags, rng))

    return write


def npy_writer(arrays, flags=()):
    def write(folder, rng):
        return write_npys(folder / "a", change_arrays(arrays, flags, rng))

    return write


def vault_writer(folder, rng):
    arrays = change_arrays(flatten(make_experience("..t...l.tt.....l")), ("terminals", "truncations"), rng)
    path = folder / "a.vlt" / "Good"
    path.mkdir(parents=True)
    try:
        write_vault(path, [arrays], {})
    except Exception:
        return None  # tensorstore has no such arrays
    return path


def minari_writer(folder, rng):
    arrays = test_minari.make_arrays([3, 2, 4])
    flags = [name for name in arrays if "terminations" in name or "truncations" in name]
    return test_minari.write_minari(folder, change_arrays(arrays, flags, rng))


def d3rlpy_writer(folder, rng):
    arrays = test_d3rlpy.make_dump([(3, True), (2, False), (4, True)])
    told = {name: arrays.pop(name) for name in ("columns", "version")}
    return write_h5(folder / "a.h5", told | change_arrays(arrays, (), rng))


def rllib_writer(folder, rng):
    batches = test_rllib.make_batches([3, 2, 4])
    lines = [batches[0], *test_rllib.cut_up(batches[1], 2), batches[2]]
    for batch in [lines[i] for i in rng.integers(4, size=rng.integers(1, 3))]:
        columns = {name: np.asarray(values) for name, values in batch.items() if name != "type"}
        changed = change_arrays(columns, ("terminateds", "truncateds"), rng)
        for name in columns.keys() - changed.keys():
            del batch[name]
        for name, values in changed.items():
            batch[name] = (values.astype(str) if values.dtype.kind in "cS" else values).tolist()
    return test_rllib.write_lines(folder / "a.json", lines)


def smac_writer(folder, rng):
    episodes = [make_smac(3, seed=1), make_smac(4, seed=2), make_smac(2, seed=3)]
    for _ in range(rng.integers(1, 3)):
        agents = episodes[rng.integers(3)]
        steps = agents[rng.integers(len(agents))]
        if not steps:
            continue
        step = steps[rng.integers(len(steps))]
        field, kind = rng.integers(6), rng.integers(5)
        new = (None, "text", [], [[1.0]], float(rng.choice([np.nan, np.inf, 0, 1, 5.5, -1])))[kind]
        if kind == 4 and isinstance(step[field], list) and step[field]:
            step[field][rng.integers(len(step[field]))] = new
        elif rng.random() < 0.3:
            step[field] = new
        elif rng.random() < 0.3:
            del steps[-1]
    return write_smac(folder / "a", episodes)


def recording_writer(folder, rng):
    episodes = make_episodes((3, 2, 4))
    path = folder / "a"
    write_recording(path, episodes, make_card(episodes))
    with np.load(path / "data.npz") as file:
        arrays = change_arrays(dict(file), ("terminated", "truncated"), rng)
    np.savez(path / "data.npz", **arrays)
    card = json.loads((path / "card.json").read_text())
    card["data_sha256"] = file_sha256(path / "data.npz")  # as if it had been recorded so
    (path / "card.json").write_text(json.dumps(card))
    return path


D4RL = [(3, test_d4rl.TERMINAL), (4, test_d4rl.TIMEOUT), (2, test_d4rl.TERMINAL), (3, test_d4rl.TIMEOUT)]
D4RL_ARRAYS = {
    following: {
        name: a for name, a in test_d4rl.make_arrays(D4RL, following=following).items() if "/" not in name
    }
    for following in (True, False)
}
TIMES = 10_000
RAW = ReadOptions(actions="raw")
CASES = {
    "d4rl": (h5_writer(D4RL_ARRAYS[False], ("terminals", "timeouts")), d4rl_returns, RAW),
    "d4rl with next observations": (
        h5_writer(D4RL_ARRAYS[True], ("terminals", "timeouts")),
        d4rl_returns,
        RAW,
    ),
    "d3rlpy": (d3rlpy_writer, d3rlpy_returns, RAW),
    "minari": (minari_writer, minari_returns, RAW),
    "omar": (npy_writer(make_omar([3, 4, 2], done=(1,)), ("dones_0", "dones_1")), omar_returns, RAW),
    "omiga-mujoco": (h5_writer(test_omiga_mujoco.make_arrays([3, 4, 2]), ("d",)), omiga_returns, RAW),
    "omiga-smac": (smac_writer, smac_returns, ReadOptions()),
    "pymarl-h5": (
        h5_writer(make_padded([3, 2, 4], [True, False, True]), ("terminated", "filled")),
        pymarl_h5_returns,
        None,
    ),
    "pymarl-npy": (
        npy_writer(make_padded([3, 2, 4], [True, False, True]), ("terminated", "filled")),
        pymarl_npy_returns,
        None,
    ),
    "recording": (recording_writer, recording_returns, RAW),
    "rllib": (rllib_writer, rllib_returns, RAW),
    "vault": (vault_writer, vault_returns, RAW),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_a_hundred_changed_files(case, tmp_path):
    write, returns, options = CASES[case]
    fuzz(case.split(" ")[0], write, returns, tmp_path, times=100, options=options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_ten_thousand_changed_files(case, tmp_path):
    write, returns, options = CASES[case]
    fuzz(case.split(" ")[0], write, returns, tmp_path, times=TIMES, seed=1, options=options)


def test_the_fuzzer_sees_wrong_returns(tmp_path):
    """The check can fail."""
    path = write_h5(tmp_path / "a.hdf5", D4RL_ARRAYS[True])
    assert require_refused_or_right("d4rl", path, tmp_path / "out", d4rl_returns, RAW)
    with pytest.raises(AssertionError):
        require_refused_or_right("d4rl", path, tmp_path / "out", lambda path: d4rl_returns(path)[:-1], RAW)
    path.write_bytes(b"none")
    assert not require_refused_or_right("d4rl", path, tmp_path / "out", d4rl_returns, RAW)
    with pytest.raises(DataError):
        raise DataError("refused")
