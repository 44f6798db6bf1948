"""Results under version control: every number is what the records say."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.benchmark import load_failures, load_records, parse_suite
from omiga_torchrl.benchmark.exports import scores_csv
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.benchmark.results import BLOCK, fill_page, render_results
from omiga_torchrl.benchmark.scores import Scores, is_trial
from omiga_torchrl.errors import DataError
from tests.benchmark.fake_records import write_fakes
from tests.recipes.in_process import configs, settings

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "recipes" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "choosing.md", ROOT / "docs" / "reference" / "results.md")

pytest.importorskip("matplotlib")

in_a_checkout = pytest.mark.skipif(not RESULTS.is_dir(), reason="no checkout: the records are not there")
of_every_suite = pytest.mark.parametrize(
    "folder", sorted(one.parent for one in RESULTS.glob("*/records")), ids=lambda path: path.name
)


def test_a_page_is_filled_from_the_records(tmp_path: Path) -> None:
    write_fakes(tmp_path / "fake" / "records")
    tables = render_results(tmp_path)
    page = "before\n<!-- results: fake -->\nold\n<!-- end of results -->\nafter"
    filled = fill_page(page, tables)
    ranked = fill_page(page.replace("fake", "fake-aggregates"), tables).splitlines()
    assert ranked[3].split(" | ")[1:] == ["runs", "mean", "median", "IQM", "optimality gap |"]
    assert [line.split(" | ")[0] for line in ranked[5:7]] == ["| omiga", "| bc"]
    assert "old" not in filled and "| vmas/balance/medium |" in filled and filled.endswith("after")
    assert fill_page(filled, tables) == filled
    assert (tmp_path / "fake" / "report.html").is_file()
    with pytest.raises(
        DataError,
        match="a table of 'other', of which there are no records; expected one of fake, fake-aggregates",
    ):
        fill_page(page.replace("fake", "other"), tables)


def test_a_damaged_record_is_no_result(tmp_path: Path) -> None:
    write_fakes(tmp_path / "fake" / "records")
    next((tmp_path / "fake" / "records").glob("*.json")).write_text("{")
    with pytest.raises(DataError, match="set aside"):
        render_results(tmp_path)


@in_a_checkout
@of_every_suite
def test_committed_numbers_are_those_of_the_records(folder: Path) -> None:
    found = load_records(folder / "records")
    assert found.records and not found.notes
    failures = load_failures(folder / "records")
    fresh, kept = (
        list(csv.DictReader(text.splitlines()))
        for text in (scores_csv(Scores.of(found.records, failures)), (folder / "scores.csv").read_text())
    )
    finals = sum(not is_trial(one) for one in found.records) + sum(not one.trial for one in failures)
    assert len(fresh) == len(kept) == finals
    for one, other in zip(fresh, kept, strict=True):
        for name, value in one.items():
            numeric = re.fullmatch(r"-?[\d.]+(e-?\d+)?", value) and name != "fingerprint"
            assert float(other[name]) == pytest.approx(float(value)) if numeric else other[name] == value, (
                name
            )


@in_a_checkout
@of_every_suite
def test_committed_records_count_as_done(folder: Path, tmp_path: Path) -> None:
    """Whoever adds seeds to a suite copies its records: none has settings that it no longer asks for."""
    with configs("benchmark"):
        suite = parse_suite(folder.name, settings("benchmark", f"suite={folder.name}").suite)
    asked = {key for _, key in Grid(suite, tmp_path, str(tmp_path)).specs}
    records = load_records(folder / "records").records
    kept = {one.values["key"] for one in records if is_trial(one) or not suite.needs_trials}
    assert kept and not kept - asked


def prose(text: str) -> str:
    """A page without its tables of records, code, addresses."""
    text = BLOCK.sub("", text)
    for left_out in (r"```.*?```", r"`[^`]*`", r"\]\([^)]*\)"):
        text = re.sub(left_out, "", text, flags=re.S)
    return text


def precise_numbers(text: str) -> set[str]:
    """Numbers with three significant digits or more: results rather than settings."""
    numbers = re.findall(r"(?<![\w.,^])\d+(?:\.\d+)?(?![\w,]*\d)", text)
    return {one for one in numbers if len(one.replace(".", "").strip("0")) > 2}


def test_precise_numbers_are_told_from_settings() -> None:
    text = "1.13 and 2349, not 30,000 steps, 0.98, 300 episodes, 5e-4; but 0.123."
    assert precise_numbers(text) == {"1.13", "2349", "0.123"}


@in_a_checkout
@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_sentences_have_no_results_that_tables_lack(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tables = " ".join(found[0] for found in BLOCK.finditer(text))
    assert precise_numbers(prose(text)) <= precise_numbers(tables)


@in_a_checkout
def test_the_page_says_how_alpha_auto_compares_with_a_tuned_alpha() -> None:
    def means(suite: str, algorithm: str) -> np.ndarray:
        scores = Scores.of(load_records(RESULTS / suite / "records").records)
        return np.array([one.mean() for one in scores.scaled(algorithm)])

    auto, tuned = means("vmas", "omiga-auto"), means("vmas_tuned", "omiga")
    above, below = auto > 1.02 * tuned, auto < 0.98 * tuned
    lost, even = 100 * (1 - auto / tuned)[below], len(auto) - sum(above | below)
    told = (
        f"within 2 % of it in {even} of {len(auto)} cells, above that in {sum(above)}, and below it in "
        f"{sum(below)}, by {min(lost):.0f} to {max(lost):.0f} %"
    )
    assert told in " ".join(PAGES[-1].read_text(encoding="utf-8").split())


@in_a_checkout
def test_pages_say_what_the_records_say(tmp_path: Path) -> None:
    for records in RESULTS.glob("*/records"):
        (tmp_path / records.parent.name).mkdir()
        (tmp_path / records.parent.name / "records").symlink_to(records)
    tables = render_results(tmp_path)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert "<!-- results: " in text
        assert fill_page(text, tables) == text
