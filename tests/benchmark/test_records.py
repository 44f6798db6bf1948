"""Records: never changed, never silently dropped, and of one protocol in a report."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from omiga_torchrl import plain_files
from omiga_torchrl.benchmark import load_records, parse_suite, read_record, write_record
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.benchmark.protocol import require_one_protocol
from omiga_torchrl.errors import DataError
from tests.benchmark.fake_records import fake_record


def test_a_record_comes_back_as_the_run_that_it_was(tmp_path: Path) -> None:
    values = fake_record("omiga", seed=2)
    record = read_record(write_record(tmp_path, values))
    run = record.run
    assert (record.cell, run.info.seed, run.info.best_checkpoint_return) == ("vmas/navigation/mixed", 2, 1.0)
    assert run.final is not None and run.final.returns == values["evaluations"][-2]["returns"]
    assert run.best is not None and (run.best.step, run.best.lengths) == (80, [20])
    assert [one.step for one in run.labelled("training")] == [20, 40, 60, 80, 100]


def test_a_record_is_written_once(tmp_path: Path) -> None:
    path = write_record(tmp_path, fake_record())
    before = path.read_bytes()
    # Another machine took longer for the same result: the first one stays.
    write_record(tmp_path, fake_record(cost={"wall_seconds": 99.0}, date="later"))
    assert path.read_bytes() == before
    with pytest.raises(DataError, match=r"holds another result of this run: evaluations differ"):
        write_record(tmp_path, fake_record(evaluations=fake_record(seed=1)["evaluations"]))
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "number", "schema", "entry"])
def test_a_damaged_record_is_named_and_set_aside(tmp_path: Path, damage: str) -> None:
    good, bad = (write_record(tmp_path, fake_record(seed=seed)) for seed in (0, 1))
    text = bad.read_text()
    values = json.loads(text)
    if damage == "schema":
        values["schema"] = 2
    if damage == "entry":
        del values["cost"]
    changed = {"cut": text[: len(text) // 2], "number": text.replace('"step": 100', '"step": 101')}
    bad.write_text(changed.get(damage, json.dumps(values)))
    found = load_records(tmp_path)
    assert [one.path for one in found.records] == [good]
    (note,) = found.notes
    assert bad.name in note and "set aside" in note
    aside = bad.with_name(bad.name + ".damaged")
    assert aside.read_text() == bad.read_text() if bad.exists() else aside.exists()
    assert load_records(tmp_path).notes == [f"{aside}: set aside earlier."]


def test_folders_of_two_machines_merge(tmp_path: Path) -> None:
    for machine, seeds in (("a", (0, 1)), ("b", (1, 2))):
        for seed in seeds:
            write_record(tmp_path / machine, fake_record(seed=seed, date=machine))
    found = load_records(tmp_path)
    assert [one.values["seed"] for one in found.records] == [0, 1, 2]
    assert len(found.notes) == 1 and "counted once" in found.notes[0]
    write_record(tmp_path / "c", fake_record(seed=2, evaluations=fake_record(seed=5)["evaluations"]))
    with pytest.raises(DataError, match=r"holds another result of this run than .*evaluations differ"):
        load_records(tmp_path)


def test_protocols_are_not_mixed(tmp_path: Path) -> None:
    protocol = fake_record()["protocol"]
    write_record(tmp_path, fake_record())
    assert require_one_protocol(load_records(tmp_path).records) == {"name": "fake", "version": 1}
    write_record(tmp_path / "other", fake_record(seed=1, protocol={**protocol, "version": 2}))
    with pytest.raises(DataError, match=r"records of one protocol, got 'fake 1' .* 'fake 2'"):
        require_one_protocol(load_records(tmp_path).records)
    write_record(tmp_path / "third", fake_record(seed=2, protocol={**protocol, "steps": 200}))
    third = [one for one in load_records(tmp_path).records if one.values["protocol"]["version"] == 1]
    with pytest.raises(DataError, match="were judged in 2 ways"):
        require_one_protocol(third)
    with pytest.raises(DataError, match="got no records"):
        require_one_protocol([])


def compressed(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()
    return packed


def test_a_compressed_record_is_the_same_record(tmp_path: Path) -> None:
    plain = read_record(write_record(tmp_path, fake_record()))
    packed = compressed(plain.path)
    assert read_record(packed).values == plain.values
    assert [one.path for one in load_records(tmp_path).records] == [packed]
    assert write_record(tmp_path, fake_record(date="later")) == packed and not plain.path.exists()
    with pytest.raises(DataError, match=r"json\.gz holds another result of this run: evaluations differ"):
        write_record(tmp_path, fake_record(evaluations=fake_record(seed=1)["evaluations"]))
    write_record(tmp_path / "copy", fake_record())
    (note,) = load_records(tmp_path).notes
    assert "the same run as" in note and len(load_records(tmp_path).records) == 1


@pytest.mark.parametrize("damage", ["cut", "plain", "bits", "block"])
def test_a_damaged_compressed_record_is_set_aside(tmp_path: Path, damage: str) -> None:
    packed = compressed(write_record(tmp_path, fake_record()))
    content = packed.read_bytes()
    middle = len(content) // 2
    bits = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    block = content[:10] + b"\xff" + content[11:]  # a kind of block that there is none of
    packed.write_bytes({"cut": content[:middle], "plain": b"{}", "bits": bits, "block": block}[damage])
    found = load_records(tmp_path)
    aside = packed.with_name(f"{packed.name}.damaged")
    assert not found.records and aside.exists() and packed.name in found.notes[0]
    assert load_records(tmp_path).notes == [f"{aside}: set aside earlier."]


def test_a_compressed_record_counts_as_done(tmp_path: Path) -> None:
    cells = {"navigation": {"task": "vmas/navigation", "tiers": ["mixed"]}}
    suite = parse_suite("small", {"cells": cells, "algorithms": {"bc": {}}, "seeds": [0, 1]})
    grid = Grid(suite, tmp_path)
    (_, first), (_, second) = grid.specs
    compressed(write_record(grid.records, fake_record(key=first)))
    assert grid.missing() == [second]


def test_text_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = compressed(write_record(tmp_path, fake_record()))
    monkeypatch.setattr(plain_files, "_LARGEST_TEXT", packed.stat().st_size)  # the file itself may be read
    with pytest.raises(DataError, match="is too large, expected text of at most 0 MiB"):
        read_record(packed)
