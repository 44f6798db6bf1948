"""Files of ours, cut, changed or of another kind: one `DataError` that names them, or the right content."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from omiga_torchrl.behaviors import load_behaviour
from omiga_torchrl.data import OfflineDataset, bundled_behaviours, find_dataset, read_card
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.recording.shards import ShardFolder
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import file_sha256
from omiga_torchrl.modules import make_actor
from omiga_torchrl.policies import load_policy, save_policy
from omiga_torchrl.report import load_runs
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import load_checkpoint
from tests.data.conftest import make_card, make_episodes

FORMER = Path(__file__).parent / "files" / "former"


class Case(NamedTuple):
    """A file of ours: how it is made in a folder, and what is read of it as comparable text."""

    make: Callable[[Path], Path]
    read: Callable[[Path], str]


def copy(source: Path) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        content = source.read_bytes()
        path = folder / source.name.removesuffix(".gz")
        path.write_bytes(gzip.decompress(content) if source.suffix == ".gz" else content)
        return path

    return make


def of_module(module: torch.nn.Module) -> str:
    return repr([(name, value.double().sum().item()) for name, value in module.state_dict().items()])


def of_checkpoint(path: Path) -> str:
    leaves, _ = torch.utils._pytree.tree_flatten(load_checkpoint(path))
    return repr([one.double().sum().item() if isinstance(one, torch.Tensor) else one for one in leaves])


def make_run(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        shutil.copytree(next((FORMER / "runs").iterdir()), folder / "run")
        return folder / "run" / name

    return make


def of_run(path: Path) -> str:
    (run,) = load_runs(path.parent)
    return repr((run.info, run.evaluations))


def make_recording(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from omiga_torchrl.data import write_recording

        episodes = make_episodes((3, 2, 4))
        write_recording(folder / "mine", episodes, make_card(episodes))
        return folder / "mine" / name

    return make


def of_recording(path: Path) -> str:
    dataset = OfflineDataset(path.parent, root=path.parents[1] / "cache", reward_scale=None)
    return of_dataset(dataset)


def of_dataset(dataset: OfflineDataset) -> str:
    sums = {str(key): value.double().sum().item() for key, value in dataset.data.items(True, True)}
    return repr((sums, dataset.card, str(dataset.ends)))


def of_arrays(path: Path) -> str:
    return repr({name: values.tobytes() for name, values in Episodes.load(path).arrays().items()})


def make_arrays(folder: Path) -> Path:
    make_episodes((3, 2, 4)).save(folder / "data.npz")
    return folder / "data.npz"


def make_plan(folder: Path) -> Path:
    return ShardFolder(folder / "new", {"task": "toy", "seed": 3}).path / "plan.json"


def make_policy(folder: Path) -> Path:
    torch.manual_seed(0)
    spec = TeamSpec(2, 3, 1, 4)
    return save_policy(folder / "policy.pt", make_actor(spec, hidden_sizes=[4]), spec=spec)


def of_plan(path: Path) -> str:
    try:
        return str(ShardFolder(path.parent.with_name("new"), {"task": "toy", "seed": 3}).count(0))
    except ValueError as error:  # a changed plan is another one
        raise DataError(str(error)) from error


CASES = {
    "checkpoint": Case(copy(FORMER / "bc.checkpoint.pt.gz"), of_checkpoint),
    "policy": Case(make_policy, lambda path: of_module(load_policy(path))),
    "former policy": Case(copy(FORMER / "omiga.policy.pt"), lambda path: of_module(load_policy(path))),
    "behavior": Case(
        copy(Path(bundled_behaviours("vmas/navigation")[0])), lambda path: of_module(load_behaviour(path))
    ),
    "run": Case(make_run("run.json"), of_run),
    "evaluations": Case(make_run("evaluations.jsonl"), of_run),
    "card": Case(make_recording("card.json"), lambda path: repr(read_card(path.parent))),
    "recording": Case(make_recording("data.npz"), of_recording),
    "arrays": Case(make_arrays, of_arrays),
    "plan": Case(make_plan, of_plan),
}


def require_refused_or_right(case: Case, path: Path, expected: str, *, may_differ: bool = False) -> bool:
    """Whether a file is refused, by one error that names it; otherwise it is read as it was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the last line that a crash has cut
        try:
            found = case.read(path)
        except DataError as error:
            assert path.name in str(error) or path.parent.name in str(error), error
            return True
    assert may_differ or found == expected
    return False


def foreign_contents() -> dict[str, bytes]:
    """Files of other kinds."""
    made: dict[str, bytes] = {
        "empty": b"",
        "zeros": bytes(5000),
        "text": b"no such thing",
        "other bytes": bytes(range(128, 256)) * 9,
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(500),
        "pickle": pickle.dumps(Evil()),
        "null": b"null",
        "list": b"[1, 2]",
        "deep": b"[" * 100_000,
        "number": b'{"seed": ' + b"9" * 9999 + b"}",
    }
    for name, content in {
        "module": torch.nn.Linear(3, 2),
        "state_dict": torch.nn.Linear(3, 2).state_dict(),
        "tensor": torch.zeros(3),
        "code": {"format": 1, "x": Evil()},
        "nothing": {},
    }.items():
        made[name] = saved(content)
    for name in ("bc.checkpoint.pt.gz", "omiga.policy.pt"):
        content = (FORMER / name).read_bytes()
        made[name] = gzip.decompress(content) if name.endswith(".gz") else content
    made["behavior"] = Path(bundled_behaviours("vmas/navigation")[0]).read_bytes()
    made["npz"] = (find_dataset("vmas/navigation/mixed") / "data.npz").read_bytes()
    return made


class Evil:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(Path.cwd() / "evil"),))


def saved(content: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def offsets(size: int, times: int) -> list[int]:
    ends = {1, 2, 4, size // 2, size - 100, size - 22, size - 2, size - 1}
    return sorted(
        {at for at in ends | set(np.linspace(0, size - 1, times).astype(int).tolist()) if 0 <= at < size}
    )


def cut_and_change(case: Case, folder: Path, times: int, seed: int) -> tuple[int, int]:
    """Cuts a file at many bytes, and changes single ones; how many were tried, and how many refused."""
    path = case.make(folder)
    whole, expected = path.read_bytes(), case.read(path)
    is_lines, refused = path.suffix == ".jsonl", 0
    for at in offsets(len(whole), times):
        path.write_bytes(whole[:at])
        refused += require_refused_or_right(case, path, expected, may_differ=is_lines)
        if not is_lines and at < len(whole.rstrip()):
            assert refused, f"cut at {at} is not seen"
    rng, is_text = np.random.default_rng(seed), path.suffix in (".json", ".jsonl")
    for at in rng.integers(len(whole), size=times).tolist():
        changed = bytearray(whole)
        changed[at] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        # Another number or name in a text is as good as the first: the card has no checksum of itself.
        refused += require_refused_or_right(case, path, expected, may_differ=is_text)
    path.write_bytes(whole)
    assert case.read(path) == expected
    return len(offsets(len(whole), times)) + times, refused


@pytest.mark.parametrize("name", CASES)
def test_cut_and_changed_files_are_refused_or_right(name: str, tmp_path: Path) -> None:
    tried, refused = cut_and_change(CASES[name], tmp_path, times=25, seed=0)
    assert refused > tried // 4


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_thousand_cut_and_changed_files(name: str, tmp_path: Path) -> None:
    cut_and_change(CASES[name], tmp_path, times=500, seed=1)


@pytest.mark.parametrize("name", CASES)
def test_files_of_other_kinds_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = CASES[name].make(tmp_path)
    whole = path.read_bytes()
    for kind, content in foreign_contents().items():
        is_policy = "policy" in name and kind in ("omiga.policy.pt", "behavior")
        if content == whole or is_policy or (name, kind) in (("evaluations", "empty"), ("arrays", "npz")):
            continue  # as good as the file itself
        path.write_bytes(content)
        assert require_refused_or_right(CASES[name], path, ""), kind
        assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", CASES)
def test_pipes_and_folders_are_refused(name: str, tmp_path: Path) -> None:
    path = CASES[name].make(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="must be a file, got a pipe"):
        CASES[name].read(path)


def test_every_file_of_the_cache_is_checked_and_made_anew(tmp_path: Path) -> None:
    path = make_recording("data.npz")(tmp_path)
    expected = of_recording(path)
    (folder,) = {card.parent for card in (tmp_path / "cache").rglob("card.json")}
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 12
    for file in files:
        whole = file.read_bytes()
        flipped = bytes([*whole[:-1], whole[-1] ^ 1])
        for content in (whole[: len(whole) // 2], b"", flipped, None):
            file.unlink()
            if content is not None:
                file.write_bytes(content)
            assert of_recording(path) == expected, file


def test_a_copied_cache_is_read_without_conversion(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = make_recording("data.npz")(tmp_path)
    expected = of_recording(path)
    for file in (tmp_path / "cache").rglob("*"):
        if file.is_file():
            os.utime(file, (1, 1))
    assert of_recording(path) == expected and "made anew" not in caplog.text


def test_a_small_file_of_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = make_recording("data.npz")(tmp_path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez_compressed(path, **{**arrays, "state": np.zeros((2**22, 16))})
    card = json.loads((path.parent / "card.json").read_text())
    card["data_sha256"] = file_sha256(path)
    (path.parent / "card.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=r"arrays in .*data\.npz have 512 MiB, expected at most"):
        of_recording(path)
