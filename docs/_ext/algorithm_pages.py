"""One page an algorithm, from the registry, the docstrings and the table of results."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from algorithm_notes import NOTES, Note

from omiga_torchrl.algorithms import ALGORITHMS, AlgorithmConfig, RegisteredAlgorithm, make_algorithm
from omiga_torchrl.benchmark import load_records
from omiga_torchrl.cli import recipes_folder
from omiga_torchrl.report import plot_learning_curves
from omiga_torchrl.specs import TeamSpec


def note_of(name: str) -> Note:
    """The facts of an algorithm; of one that has none yet, its name only."""
    return NOTES.get(name, Note(name, "", name, ""))


def loss_class(algorithm: RegisteredAlgorithm[Any]) -> type:
    """The class of its loss."""
    discrete = "continuous" not in algorithm.actions
    spec = TeamSpec(n_agents=2, observation_size=3, action_size=2, state_size=6, discrete=discrete)
    return type(make_algorithm(algorithm.name, spec, hidden_sizes=(4,)).loss)


def attribute_texts(config: type[AlgorithmConfig]) -> dict[str, str]:
    """The text of every field, from the ``Attributes`` sections of the class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        lines = (inspect.cleandoc(vars(base).get("__doc__") or "")).partition("Attributes:\n")[2].splitlines()
        name = ""
        for line in lines:
            start = re.match(r"    (\w+(?:, \w+)*): (.*)", line)
            if start:
                name, found[start[1]] = start[1], start[2]
            elif line.startswith("     ") and name:
                found[name] += " " + line.strip()
    return found


def as_markdown(text: str) -> str:
    """A docstring's line in a table."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`").replace("|", "\\|").replace("\n", " ")


def options(config: type[AlgorithmConfig]) -> str:
    """The table of arguments: its own first, then those that others have, too."""
    texts, shared = attribute_texts(config), {field.name for field in fields(AlgorithmConfig)}
    own = vars(config).get("__annotations__", {})

    def rank(name: str) -> int:
        return 0 if name in own and name not in shared else 2 if name in shared else 1

    def default(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else repr(value)

    rows = [
        f"| `{field.name}` | `{default(field.default)}` | {as_markdown(texts.get(field.name, ''))} |"
        for field in sorted(fields(config), key=lambda field: rank(field.name))
    ]
    return "\n".join(["| argument | default | |", "|---|---|---|", *rows])


def result_rows(name: str, label: str, site: Path) -> str:
    """The algorithm's row of the aggregates on VMAS, or of older results, with cloning below it."""
    results = (site / "reference" / "results.md").read_text(encoding="utf-8")
    rows = _rows(results.partition("<!-- results: vmas-aggregates -->")[2], name, "bc")
    if rows:
        text = "Mean over the cells of [VMAS](../reference/results.md#vmas-cooperative-tasks), random actions 0, the best behaviour checkpoint 1:"
        return "\n".join([text, "", *rows])
    older = (site / "reference" / "older_results.md").read_text(encoding="utf-8")
    rows = _rows(older.partition("## Every algorithm")[2], label, "BC", "*behaviour (dataset mean)*")
    if rows:
        text = "Final returns, mean of 3 seeds [95 % bootstrap], from [older runs without records](../reference/older_results.md):"
        return "\n".join([text, "", *rows])
    return "It is not in the [tables](../reference/results.md) yet."


def _rows(text: str, name: str, *others: str) -> list[str]:
    """The head of a text's first table and the rows of these names; nothing without the first of them."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    wanted = list(dict.fromkeys((name, *others)))
    found = {one: line for line in reversed(lines) for one in wanted if line.startswith(f"| {one} |")}
    return [*lines[:2], *(found[one] for one in wanted if one in found)] if name in found else []


def preset(name: str) -> str:
    """What the recipes' preset changes."""
    path = Path(recipes_folder()) / "configs" / "algorithm" / f"{name}.yaml"
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8").strip()
    return f"The recipe's preset deviates from the defaults (`recipes/configs/algorithm/{name}.yaml`):\n\n```yaml\n{text}\n```\n"


def curves(name: str, folder: Path) -> str:
    """Learning curves of the algorithm beside cloning, a picture for every suite with records of it.

    Args:
        name: of the algorithm.
        folder: for the pictures; the page is beside it.
    """
    parts = []
    for suite in sorted((Path(recipes_folder()) / "results").glob("*/records")):
        runs = [one.run for one in load_records(suite).records]
        if not any(run.info.algorithm == name for run in runs):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f"{name}_{suite.parent.name}.png"
        plot_learning_curves([run for run in runs if run.info.algorithm in (name, "bc")], picture)
        parts.append(
            f"![Learning curves of {name} and behaviour cloning]({folder.name}/{picture.name})\n\n"
            f"From the [records](../reference/results.md) of `python recipes/benchmark.py suite={suite.parent.name}`."
        )
    return "\n\n".join(parts)


def algorithm_page(name: str, site: Path) -> str:
    """The page of one algorithm, for ``algorithms/<name>.md`` of the site; its curves are drawn beside it."""
    algorithm, note = ALGORITHMS[name], note_of(name)
    loss = loss_class(algorithm)
    mixers = (
        ", ".join(f"`{mixer}`" for mixer in algorithm.mixers)
        if "mixer" in attribute_texts(algorithm.config)
        else "none"
    )
    facts = [
        ("source", note.source or "–"),
        ("actions", ", ".join(algorithm.actions)),
        ("mixers", mixers),
        (
            "batches",
            "sequences `[B, T]`" if algorithm.sequences else "transitions `[B]` or sequences `[B, T]`",
        ),
        ("loss", f"[`{loss.__name__}`](#omiga_torchrl.objectives.{loss.__name__})"),
        ("config", f"[`{algorithm.config.__name__}`](#omiga_torchrl.algorithms.{algorithm.config.__name__})"),
    ]
    table = "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts)])
    slices = " algorithm.slice_len=16" if algorithm.sequences else ""
    return "\n\n".join(
        [
            f"# {note.title}",
            f'`algorithm={name}`, `make_algorithm("{name}", spec)`',
            table,
            f"## When to use it\n\n{note.use}" if note.use else "",
            f"## Command\n\n```bash\npython recipes/train.py algorithm={name} task=vmas/navigation dataset=mixed{slices}\n```"
            if "continuous" in algorithm.actions
            else f"## Command\n\n```bash\npython recipes/train.py algorithm={name} task=smax/3m dataset=runs/datasets/3m\n```",
            "## Equations, variants, and what differs from the released code",
            docstring(loss),
            f"## Options\n\n{options(algorithm.config)}",
            preset(name),
            f"## Results\n\n{result_rows(name, note.label, site)}",
            curves(name, site / "algorithms" / "_curves"),
        ]
    )


def docstring(loss: type) -> str:
    """The text of a loss up to its arguments, which the options below repeat."""
    text = inspect.cleandoc(loss.__doc__ or "")
    text = re.split(r"^(?:Args|Keyword Args|Raises|Examples):$", text, flags=re.M)[0].rstrip()
    return "```{eval-rst}\n.. currentmodule:: omiga_torchrl.objectives\n\n" + text + "\n```"


def algorithm_index() -> str:
    """The table of all algorithms."""
    rows = []
    for name, algorithm in ALGORITHMS.items():
        note = note_of(name)
        rows.append(
            f"| [`{name}`]({name}.md) | {note.title} | {', '.join(algorithm.actions)} | {note.source} |"
        )
    toc = "\n".join(ALGORITHMS)
    return (
        "# Algorithms\n\nAll of them work for teams and for one agent, with padded sequences, absent agents, action masks, "
        "recurrent agents, and agents that differ.\n\n"
        + "\n".join(["| `algorithm=` | | actions | source |", "|---|---|---|---|", *rows])
        + "\n\n![Scaled returns on VMAS](../../recipes/results/vmas/iqm.svg)\n\n"
        + "What the lines are: [results](../reference/results.md#vmas-cooperative-tasks). Adding one: [adding_algorithms.md](../adding_algorithms.md).\n"
        + f"\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"
    )
