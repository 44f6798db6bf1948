"""The report: a page of its own, the same bytes for the same records, and exports that say the same."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.benchmark import load_records, write_record
from omiga_torchrl.benchmark.aggregate_tables import aggregate_spread
from omiga_torchrl.benchmark.report import write_benchmark_report
from omiga_torchrl.benchmark.scores import Scores
from omiga_torchrl.benchmark.statistics import mean
from omiga_torchrl.benchmark.tables import cell_table, overview, ranking, spread
from tests.benchmark.fake_records import CELLS, fake_record, write_fakes

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    write_fakes(path / "records")
    write_benchmark_report(
        load_records(path / "records").records, path, "Fakes & more", notes=["1 < 2 missing"]
    )
    return path


def test_the_page_needs_nothing_else_and_links_every_record(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "<title>Fakes &amp; more</title>" in page and "1 &lt; 2 missing" in page
    assert not re.search(r'(src|href)="(https?:|//)|@import|url\(', page)
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 5 + 12 and all((folder / link).is_file() for link in links)
    for word in ("Over all cells", "Performance profiles", "Probability of improvement", "Compute", *CELLS):
        assert word in page
    assert page.count("data:image/svg+xml;base64,") == 4 + 1 + 2 * 2
    assert "90.0 % of them unique" in page and "vmas 1.5" in page and "3 ↑" in page


def test_the_same_records_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_fakes(tmp_path / "records")
    write_benchmark_report(
        load_records(tmp_path / "records").records[::-1], tmp_path, "Fakes & more", notes=["1 < 2 missing"]
    )
    names = {path.name for path in folder.iterdir() if path.is_file()}
    exports = {"scores.csv", "marl_eval.json", "rliable.npz", "table.md", "table.tex"}
    assert names == {"report.html", "iqm.svg", *exports}
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_report_of_one_cell_has_no_aggregate(folder: Path, tmp_path: Path) -> None:
    found = load_records(folder / "records").records
    write_benchmark_report([one for one in found if "navigation" in one.key], tmp_path, "One cell")
    assert "Over all cells" not in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "iqm.svg").exists()


def test_exports_agree_with_the_records(folder: Path) -> None:
    records = {one.key: one for one in load_records(folder / "records").records}
    rows = list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))
    assert len(rows) == 12
    for row in rows:
        run = records[row["record"].removesuffix(".json")].run
        assert run.final is not None and run.best is not None
        assert float(row["final"]) == pytest.approx(run.final.mean_return)
        assert float(row["scaled_best"]) == pytest.approx((run.best.mean_return + 1) / 2)
        assert row["values"] == ("" if run.info.algorithm == "bc" else "rising")
    with np.load(folder / "rliable.npz") as file:
        matrices = dict(file)
    assert matrices["omiga"].shape == (3, 2)
    by_cell = {(r["task"], r["algorithm"], r["seed"]): float(r["scaled_final"]) for r in rows}
    assert matrices["bc"][1].tolist() == [
        by_cell["vmas/balance", "bc", "1"],
        by_cell["vmas/navigation", "bc", "1"],
    ]
    exported = json.loads((folder / "marl_eval.json").read_text())["vmas"]["balance/medium"]["omiga"][
        "seed_2"
    ]
    assert exported["step_4"]["step_count"] == 100 and len(exported["absolute_metrics"]["return"]) == 8
    assert r"\toprule" in (folder / "table.tex").read_text()
    assert "Best checkpoint" in (folder / "table.md").read_text()


def test_few_seeds_are_points_and_five_are_an_interval(tmp_path: Path) -> None:
    assert spread([3.0, 1.0, 2.0, 4.0]) == "1.000, 2.000, 3.000, 4.000"
    assert re.fullmatch(r"\[[\d.]+, [\d.]+\]", spread([3.0, 1.0, 2.0, 4.0, 5.0]))
    write_fakes(tmp_path, seeds=5)
    five = Scores.of(load_records(tmp_path).records)
    interval, points = aggregate_spread(five, "omiga", mean)
    assert interval is not None and len(points) == 5 and interval[0] < np.mean(points) < interval[1]
    fewer = Scores.of(
        [
            one
            for one in load_records(tmp_path).records
            if one.key != five.entries[CELLS[0], "omiga"].records[0].key
        ]
    )
    assert aggregate_spread(fewer, "omiga", mean)[0] is None
    assert aggregate_spread(fewer, "bc", mean)[0] is not None
    table = cell_table(fewer, CELLS[0])
    assert [row[1] for row in table.rows[:2]] == ["4", "5"] and table.columns[
        3
    ] == "95 % bootstrap, or seeds' returns"


def test_bold_and_references(folder: Path) -> None:
    scores = Scores.of(load_records(folder / "records").records)
    table = overview(scores)
    assert table.columns[1:3] == ["bc", "omiga"] and table.bold == {(0, 2), (1, 2)}
    assert table.rows[0][-4:] == ["0.00", "1.500", "1.000", "-1.000"]


def test_where_no_test_tells_any_apart_all_are_tied(tmp_path: Path) -> None:
    for algorithm in ("bc", "omiga"):
        for cell, level in zip(CELLS, (0.3, 0.9 if algorithm == "bc" else 0.1), strict=True):
            for seed in range(3):
                write_record(tmp_path, fake_record(algorithm, cell, seed, level))
    table = ranking(Scores.of(load_records(tmp_path).records))
    assert {row[0]: row[3] for row in table.rows} == {"bc": "2", "omiga": "1"}
    write_record(tmp_path, fake_record("bc", "vmas/other/mixed"))  # alone there: no comparison
    table = ranking(Scores.of(load_records(tmp_path).records))
    assert {row[0]: row[1] for row in table.rows} == {"bc": "2", "omiga": "2"}


def test_a_mean_of_zero_ranks_above_a_negative_one(tmp_path: Path) -> None:
    for algorithm, value in (("bc", -1.0), ("omiga", 0.0)):
        finals = [
            {"label": label, "step": 100, "returns": [value] * 8, "lengths": [20]}
            for label in ("final", "best")
        ]
        write_record(tmp_path, fake_record(algorithm, evaluations=finals))
    table = cell_table(Scores.of(load_records(tmp_path).records), CELLS[0])
    assert [row[0] for row in table.rows[:2]] == ["omiga", "bc"]


def test_a_cell_without_a_scale_has_no_aggregate_but_its_table(tmp_path: Path) -> None:
    unknown = {"behaviour": 0.5, "best_checkpoint": None, "random": None}
    for seed in range(2):
        write_record(tmp_path / "records", fake_record(seed=seed, references=unknown))
        write_record(tmp_path / "records", fake_record("omiga", CELLS[1], seed))
    records = load_records(tmp_path / "records").records
    scores = Scores.of(records)
    assert scores.scaled_cells == [CELLS[1]] and scores.complete == ["omiga"]
    page = write_benchmark_report(records, tmp_path, "Some").read_text()
    assert "Over all cells" not in page and CELLS[0] in page


def test_published_scores_stand_beside_ours(tmp_path: Path) -> None:
    write_record(tmp_path / "records", fake_record("omiga", "mujoco/hopper-3x1/expert"))
    page = write_benchmark_report(load_records(tmp_path / "records").records, tmp_path, "Some").read_text()
    assert "859.6 ± 709.0" in page and "arXiv:2307.11620" in page


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({"bound": 0.5}, "2 ↑, 2 ⇑"),
        ({"bound": 1.0}, "2 ↑"),
        ({"bound": None}, "2 ↑"),
        ({"bound": 9.0, "lower_bound": 1.5}, "2 ↑, 2 ⇓"),
        ({"bound": 9.0, "lower_bound": 1.0}, "2 ↑"),
    ],
)
def test_values_outside_the_data_are_marked(
    tmp_path: Path, bounds: dict[str, float | None], told: str
) -> None:
    for seed in (0, 1):
        record = fake_record("omiga", seed=seed)
        write_record(tmp_path, {**record, "values": {**record["values"], **bounds}})
    table = cell_table(Scores.of(load_records(tmp_path).records), CELLS[0])
    assert table.rows[0][table.columns.index("values")] == told
    for sign, mark in ((r"$\Uparrow$", "⇑"), (r"$\Downarrow$", "⇓")):
        assert (sign in table.to_latex()) == (mark in told)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [((0.4, 0.926), "0.40 to 0.93"), ((0.991, 0.989), "0.99"), ((None, 0.5), "0.50"), ((None, None), "")],
)
def test_what_weights_rest_on_stands_beside_the_score(
    tmp_path: Path, sizes: tuple[float | None, ...], told: str
) -> None:
    for seed, size in enumerate(sizes):
        write_record(tmp_path, {**fake_record("omiga", seed=seed), "effective_sample_size": size})
    table = cell_table(Scores.of(load_records(tmp_path).records), CELLS[0])
    assert table.rows[0][table.columns.index("weights")] == told
