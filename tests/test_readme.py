"""The README's Python blocks run, in order and in one namespace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) >= 2
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), namespace)


def test_python_blocks_of_the_docs_run():
    for page in sorted((README.parent / "docs").glob("*.md")):
        namespace: dict[str, object] = {}
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
            exec(compile(block, str(page), "exec"), namespace)


def test_the_shortest_program_on_own_data_is_short():
    page = (README.parent / "docs" / "own_data.md").read_text(encoding="utf-8")
    program = re.findall(r"```python\n(.*?)```", page, flags=re.S)[0]
    assert "from_arrays" in program and "trainer.train()" in program
    assert sum(bool(line.strip()) for line in program.splitlines()) <= 15


def test_the_example_algorithm_trains_from_its_two_files(tmp_path):
    text = README.read_text(encoding="utf-8")
    python = next(
        b for b in re.findall(r"```python\n(.*?)```", text, flags=re.S) if "register_algorithm(" in b
    )
    yaml = next(b for b in re.findall(r"```yaml\n(.*?)```", text, flags=re.S))
    assert len(python.splitlines()) + len(yaml.splitlines()) < 60
    (tmp_path / "configs" / "algorithm").mkdir(parents=True)
    (tmp_path / "my_module.py").write_text(python, encoding="utf-8")
    (tmp_path / "configs" / "algorithm" / "reward_bc.yaml").write_text(yaml, encoding="utf-8")

    def run(recipe, *arguments):
        command = [sys.executable, str(README.parent / "recipes" / recipe), *arguments, "imports=[my_module]"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(README.parent)])}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)

    small = ("trainer.steps=4", "trainer.batch_size=8", "trainer.progress_bar=false", "evaluation.interval=4")
    episodes = ("evaluation.episodes=4", "evaluation.final_episodes=4")
    done = run("train.py", "--config-dir", "configs", "algorithm=reward_bc", "out=runs", *small, *episodes)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "reward_bc__vmas-navigation__mixed__seed0"
    done = run("evaluate.py", f"policy={folder}", "episodes=4", "num_envs=4")
    assert done.returncode == 0, done.stderr


def test_pictures_and_recipes_that_it_names_exist():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)|(recipes/\w+\.py)", text):
        path = next(filter(None, target))
        if not path.startswith("http"):
            assert (README.parent / path).exists(), path
