"""The report as one HTML file that needs nothing else: pictures and style are in it."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from omiga_torchrl.benchmark.aggregate_tables import aggregates, by_dataset, improvements
from omiga_torchrl.benchmark.page_texts import (
    AGGREGATE_TEXT,
    CELL_TEXT,
    COST_TEXT,
    DATASET_TEXT,
    IMPROVEMENT_TEXT,
    OVERVIEW_TEXT,
    PROFILE_TEXT,
    RANKING_TEXT,
    STYLE,
    TUNING_TEXT,
)
from omiga_torchrl.benchmark.pictures import (
    SIZE,
    Look,
    aggregate_picture,
    draw_curves,
    draw_histogram,
    draw_profiles,
    looks,
    panel,
    reference_looks,
)
from omiga_torchrl.benchmark.published import published_table
from omiga_torchrl.benchmark.records import Record
from omiga_torchrl.benchmark.scores import Scores, is_trial
from omiga_torchrl.benchmark.statistics import STATISTICS
from omiga_torchrl.benchmark.table_forms import Table
from omiga_torchrl.benchmark.tables import cell_table, number, overview, ranking
from omiga_torchrl.benchmark.tuning import tuning_table


def report_page(
    title: str,
    scores: Scores,
    records: Sequence[Record],
    protocol: Mapping[str, Any],
    *,
    notes: Sequence[str] = (),
    links: Mapping[str, str],
    exports: Sequence[str] = (),
) -> str:
    """The whole page.

    Args:
        title: heading.
        scores: of the records.
        records: all of them, trials too.
        protocol: name and version.

    Keyword Args:
        notes: what is missing, was set aside or kept apart.
        links: key of a record to its address, relative to the page.
        exports: names of files beside the page.
    """
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _summary(scores, records, protocol, exports),
        _notes([*notes, *scores.notes]),
        _over_all(scores),
        "<h2>Every cell</h2>", OVERVIEW_TEXT, overview(scores).to_html(),
        "<h3>Best checkpoint</h3>", overview(scores, "best").to_html(),
        _ranking(scores),
        "<h2>Cell by cell</h2>", CELL_TEXT, _legend(looks(scores.algorithms), reference_looks()),
        *(_cell(scores, cell) for cell in scores.cells),
        _published(scores),
        _tuning(records),
        "<h2>Compute</h2>", COST_TEXT, _costs(scores, records).to_html(),
        "<h2>Records</h2>", _links(records, links),
    ]  # fmt: skip
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style></head>\n<body><main>\n{body}\n"
        "</main></body></html>\n"
    )


def _summary(
    scores: Scores, records: Sequence[Record], protocol: Mapping[str, Any], exports: Sequence[str]
) -> str:
    budgets = sorted({one.values["protocol"]["steps"] for one in records})
    finals = sorted({one.values["protocol"]["final_episodes"] for one in records})
    seeds = sorted({len(entry.final) for entry in scores.entries.values()})
    runs = sum(not is_trial(one) for one in records)
    facts = [
        f"{runs} runs of {len(scores.algorithms)} algorithms in {len(scores.cells)} cells",
        f"{_range(seeds)} seeds",
        f"{_range(budgets)} gradient steps",
        f"{_range(finals)} fresh episodes for the final policy and the best checkpoint",
        f"protocol {protocol['name']}, version {protocol['version']}",
    ]
    files = "".join(f' <a href="{name}">{name}</a>' for name in exports)
    return f"<p class=lead>{html.escape('; '.join(facts))}.</p>" + (f"<p>Files:{files}</p>" if files else "")


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,}" if values[0] == values[-1] else f"{values[0]:,} to {values[-1]:,}"


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return "<div class=notes><ul>" + "".join(f"<li>{html.escape(one)}</li>" for one in notes) + "</ul></div>"


def _ranking(scores: Scores) -> str:
    if not scores.has_ranking:
        return ""
    return f"<h3>Best or tied</h3>\n{RANKING_TEXT}\n{ranking(scores).to_html()}"


def _over_all(scores: Scores) -> str:
    if not scores.has_aggregates:
        return ""
    left = [one for one in scores.algorithms if one not in scores.complete]
    parts = ["<h2>Over all cells</h2>", AGGREGATE_TEXT]
    if left:
        parts.append(f"<p>Not in all cells, and so without aggregates: {html.escape(', '.join(left))}.</p>")
    panels = [_image(aggregate_picture(scores, name), name) for name in STATISTICS]
    parts += ["<h3>Final policy</h3>", aggregates(scores).to_html()]
    parts += ["<h3>Best checkpoint</h3>", aggregates(scores, "best").to_html(), _row(panels)]
    parts += ["<h3>By kind of data</h3>", DATASET_TEXT, by_dataset(scores).to_html()]
    shown = {name: look for name, look in looks(scores.algorithms).items() if name in scores.complete}
    profile = _image(panel(partial(draw_profiles, scores)), "performance profiles")
    parts += ["<h3>Performance profiles</h3>", PROFILE_TEXT, _legend(shown), _row([profile])]
    parts += ["<h3>Probability of improvement</h3>", IMPROVEMENT_TEXT, improvements(scores).to_html()]
    return "\n".join(parts)


def _cell(scores: Scores, cell: str) -> str:
    record = next(entry.records[0] for entry in scores.in_cell(cell).values() if entry.records)
    data = record.values["data"]
    pictures = [_image(panel(partial(draw_curves, scores, cell)), f"learning curves in {cell}")]
    if data.get("histogram"):
        pictures.append(_image(panel(partial(draw_histogram, data)), f"returns in the data of {cell}"))
    return "\n".join(
        [
            f"<section><h3>{html.escape(cell)}</h3>",
            f"<p class=card>{html.escape(data_text(record))}</p>",
            _row(pictures),
            cell_table(scores, cell).to_html(),
            "</section>",
        ]
    )


def data_text(record: Record) -> str:
    """The card of a record's data in a sentence.

    Args:
        record: any of the cell.
    """
    data, simulator = record.values["data"], record.values["versions"]
    told = [f"Data: {data.get('source', data.get('name'))}, fingerprint {data['fingerprint'][:12]}"]
    if "transitions" in data:
        unique = data["unique_joint"] / data["transitions"]
        told.append(f"{data['transitions']:,} transitions, {100 * unique:.1f} % of them unique")
        told.append(f"{data['episodes']:,} episodes, {data['duplicate_episodes']} of them copies")
        spread = data["return"]
        told.append(
            f"return {number(spread['mean'])} ± {number(spread['std'])}, from {number(spread['minimum'])} to "
            f"{number(spread['maximum'])}"
        )
        told.append(f"{100 * data['terminated']:.0f} % end by the task, the others by time")
    family = str(record.values["task"]).partition("/")[0]
    package = {"smax": "jaxmarl"}.get(family, family)
    if package in simulator:
        told.append(f"simulator {package} {simulator[package]}")
    return "; ".join(told) + "."


def _published(scores: Scores) -> str:
    table, sources = published_table(scores)
    if not table.rows:
        return ""
    listed = "".join(f"<li>{html.escape(one)}</li>" for one in sources)
    return f"<h2>Published numbers beside ours</h2>\n{table.to_html()}\n<ul>{listed}</ul>"


def _tuning(records: Sequence[Record]) -> str:
    table = tuning_table(records)
    if not table.rows:
        return ""
    folded = f"<details><summary>{len(table.rows)} trials</summary>{table.to_html()}</details>"
    return f"<h2>Tuning</h2>\n{TUNING_TEXT}\n{folded}"


def _costs(scores: Scores, records: Sequence[Record]) -> Table:
    groups = {
        algorithm: [r for (_, name), e in scores.entries.items() if name == algorithm for r in e.records]
        for algorithm in scores.algorithms
    }
    groups["trials"] = [one for one in records if is_trial(one)]
    rows = []
    for name, members in groups.items():
        costs = [one.values["cost"] for one in members]
        wall = sum(one["wall_seconds"] / one["runs_together"] for one in costs)
        cpu = sum((one["cpu_seconds"] or 0.0) / one["runs_together"] for one in costs)
        peak = max((one["peak_memory_mib"] or 0.0 for one in costs), default=0.0)
        rows.append([name, str(len(costs)), f"{wall / 3600:.2f}", f"{cpu / 3600:.2f}", f"{peak:.0f}"])
    shown = [row for row in rows if row[1] != "0"]
    return Table(["", "runs", "hours", "processor hours", "largest memory, MiB"], shown)


def _links(records: Sequence[Record], links: Mapping[str, str]) -> str:
    lines = "".join(
        f'<li><a href="{html.escape(links[one.key])}">{html.escape(one.key)}</a></li>' for one in records
    )
    return f"<details><summary>{len(records)} files</summary><ul class=records>{lines}</ul></details>"


def _image(svg: str, what: str) -> str:
    code = base64.b64encode(svg.encode()).decode()
    width = round(SIZE[0] * 96)
    return f'<img width={width} alt="{html.escape(what)}" src="data:image/svg+xml;base64,{code}">'


def _row(pictures: Sequence[str]) -> str:
    return f"<div class=row>{''.join(pictures)}</div>"


def _legend(*kinds: Mapping[str, Look]) -> str:
    items = []
    for name, (colour, line) in (one for kind in kinds for one in kind.items()):
        dashes = {"-": "", "--": "6 3", ":": "2 3", "-.": "6 3 2 3"}.get(line, "1 4")
        drawn = (
            f'<line x1=0 y1=6 x2=26 y2=6 stroke="{colour}" stroke-width=2.5 stroke-dasharray="{dashes}" />'
        )
        items.append(f"<span><svg width=26 height=12>{drawn}</svg> {html.escape(name)}</span>")
    return f"<p class=legend>{''.join(items)}</p>"
