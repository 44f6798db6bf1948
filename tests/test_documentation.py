"""README and pages: their Python blocks run, their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
# Pages that `make docs` generates are in folders that git ignores.
GENERATED = ("algorithms", "api", "_build", "_generated")
PAGES = [
    README,
    *sorted(ROOT.glob("[A-Z]*.md")),
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if not set(GENERATED) & set(p.relative_to(ROOT).parts)),
]
# Pages of tutorials are written from the scripts beside them.
WRITTEN = ("published.md", "changelog.md", "contributing.md")
PAGES = [
    page for page in dict.fromkeys(PAGES) if not (page.with_suffix(".py").exists() or page.name in WRITTEN)
]


def blocks(page: Path, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """In order, in one namespace for each page, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), namespace)


def test_the_readme_is_short_and_shows_code():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150
    assert len(blocks(README)) >= 2


def test_every_kind_of_block_is_meant():
    """A block is run (`python`), or says that it is not (`python notest`)."""
    for page in PAGES:
        languages = set(re.findall(r"^```(python\b.*)$", page.read_text(encoding="utf-8"), flags=re.M))
        assert languages <= {"python", "python notest"}, page


def test_the_shortest_program_on_own_data_is_short():
    program = blocks(ROOT / "docs" / "own_data.md")[0]
    assert "from_arrays" in program and "trainer.train()" in program
    assert sum(bool(line.strip()) for line in program.splitlines()) <= 15


def test_the_example_algorithm_trains_from_its_two_files(tmp_path):
    page = ROOT / "docs" / "adding_algorithms.md"
    python = next(block for block in blocks(page) if "register_algorithm(" in block)
    yaml = blocks(page, "yaml")[0]
    assert len(python.splitlines()) + len(yaml.splitlines()) < 60
    (tmp_path / "configs" / "algorithm").mkdir(parents=True)
    (tmp_path / "my_module.py").write_text(python, encoding="utf-8")
    (tmp_path / "configs" / "algorithm" / "reward_bc.yaml").write_text(yaml, encoding="utf-8")

    def run(recipe, *arguments):
        command = [sys.executable, str(ROOT / "recipes" / recipe), *arguments, "imports=[my_module]"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)

    small = ("trainer.steps=4", "trainer.batch_size=8", "trainer.progress_bar=false", "evaluation.interval=4")
    episodes = ("evaluation.episodes=4", "evaluation.final_episodes=4")
    done = run("train.py", "--config-dir", "configs", "algorithm=reward_bc", "out=runs", *small, *episodes)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "reward_bc__vmas-navigation__mixed__seed0"
    done = run("evaluate.py", f"policy={folder}", "episodes=4", "num_envs=4")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_recipes_that_it_names_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|(?<!tests/)(recipes/\w+\.py)", text):
        link, recipe = target
        if recipe:
            assert (ROOT / recipe).exists(), recipe
        elif not re.match(r"\w+:", link):
            path = (page.parent / link).resolve()
            generated = path.parent.name in GENERATED or path.name in ("published.md", "changelog.md")
            assert generated or path.exists(), link
