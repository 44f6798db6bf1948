"""Commands that pages and configuration files show: every option and value in them is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from omiga_torchrl.benchmark import Suite, parse_suite
from omiga_torchrl.command_line import find_mistakes
from omiga_torchrl.trainers.grids import comma_lists
from tests.recipes.in_process import RECIPES, configs, load
from tests.test_documentation import PAGES

ROOT = Path(__file__).parents[1]
CONFIGS = RECIPES / "configs"
KNOWN = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
FILES = [*PAGES, *(ROOT / "docs" / "tutorials").glob("*.py"), *sorted(CONFIGS.rglob("*.yaml"))]
COMMAND = re.compile(r"python (?:recipes/(\w+)\.py|-m omiga_torchrl run (\w+))([^\n`]*)")
FENCED = re.compile(r"^```\w*\n(.*?)^```", flags=re.S | re.M)
# Of a suite and an algorithm that the reader has just written.
OF_THE_READER = ("--config-dir", "algorithm=reward_bc")


def commands(text: str, is_page: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Recipe and arguments of the commands in a text, but those with placeholders."""
    pieces = [re.sub(r"^ *#", "", text, flags=re.M)]
    if is_page:
        spans = re.findall(r"`([^`]+)`", FENCED.sub("", text))
        pieces = [*FENCED.findall(text), *(span.replace("\n", " ") for span in spans)]
    for piece in pieces:
        for script, module, rest in COMMAND.findall(re.sub(r"\\\n\s*", " ", piece)):
            words = tuple(shlex.split(re.split(r"[|;&]|\s\(", rest)[0], comments=True))
            if (script or module) in KNOWN and "..." not in rest and not set(OF_THE_READER) & set(words):
                yield script or module, words


DOCUMENTED = sorted(
    {
        command
        for file in FILES
        for command in commands(file.read_text(encoding="utf-8"), file.suffix == ".md")
    }
)


def mistakes(recipe: str, words: Sequence[str]) -> list[str]:
    """What the recipe would say of its arguments, keys of its algorithm and trainer included."""
    arguments = comma_lists([word for word in words if word != "-m"])
    found = list(find_mistakes(recipe, arguments, schema_of(recipe), CONFIGS))
    if found:
        return found
    parsed = OverridesParser.create().parse_overrides(arguments)
    choices, values = [], []
    for one in parsed:
        is_choice = one.is_delete() or one.package is not None or (CONFIGS / one.key_or_group).is_dir()
        (choices if is_choice or "." not in one.key_or_group else values).append(one)
    settings = compose(recipe, [first_choice(one) for one in choices])
    for one in values:
        parent, _, key = one.key_or_group.rpartition(".")
        if not one.key_or_group.startswith(("hydra.", "suite.algorithms")):
            known = OmegaConf.select(settings, parent)
            found += [] if known is not None and key in known else [f"{recipe}: no {one.key_or_group}"]
    if recipe == "benchmark":
        suite_of(settings)
    return found


def schema_of(recipe: str) -> type:
    """The dataclass of the recipe's fields; the one in Hydra's store may be that of a module that is gone."""
    stored = OmegaConf.get_type(ConfigStore.instance().repo[f"{recipe}_schema.yaml"].node)
    schema: type = getattr(load(recipe), stored.__name__)
    return schema


def suite_of(settings: Any) -> Suite:
    suite: Any = OmegaConf.to_container(settings.suite, resolve=True)
    return parse_suite("documented", suite).restricted(settings.algorithms, settings.cells)


def first_choice(override: Any) -> str:
    """The override, or of several values the first."""
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{override.get_key_element()}={next(override.sweep_iterator())}"


@pytest.fixture(autouse=True)
def composing() -> Iterator[None]:
    with configs(*KNOWN):
        yield


@pytest.mark.parametrize(
    ("recipe", "words"), DOCUMENTED, ids=[f"{recipe} {' '.join(words)}" for recipe, words in DOCUMENTED]
)
def test_a_documented_command_names_what_there_is(recipe: str, words: tuple[str, ...]) -> None:
    assert not mistakes(recipe, words)


@pytest.mark.parametrize(
    ("table", "cells"),
    [("omiga_table", 12 + 4 * 3), ("icq_table", 3 * 3 + 6 * 3)],
)
def test_the_tables_of_the_papers_have_all_their_cells(table: str, cells: int) -> None:
    (words,) = (words for _, words in DOCUMENTED if f"out=runs/{table}" in words)
    assert len({run.cell.name for run in suite_of(compose("benchmark", list(words))).runs()}) == cells


@pytest.mark.parametrize(
    ("recipe", "words", "told"),
    [
        ("train", ["algorithm=omega"], "unknown algorithm 'omega'"),
        ("train", ["algorithm=omiga", "algorithm.alhpa=3"], "no algorithm.alhpa"),
        ("train", ["trainer.stpes=3"], "stpes"),
        ("report", ["run=runs/demo"], "unknown key 'run'"),
    ],
)
def test_mistakes_would_be_seen(recipe: str, words: list[str], told: str) -> None:
    assert any(told in one for one in mistakes(recipe, words))
