"""The commands `ls`, `cp` and `run`, on a small folder of recipes."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import omiga_torchrl
from omiga_torchrl import cli

PLAIN = '''"""Write down the arguments.

More about it.
"""
import json, pathlib, sys
import omiga_torchrl

if __name__ == "__main__":
    pathlib.Path("seen.json").write_text(json.dumps(sys.argv[1:]))
    if "fail" in sys.argv:
        raise SystemExit(3)
'''

HYDRA = '''"""Write down the config."""
import pathlib
import hydra
from omegaconf import DictConfig, OmegaConf


@hydra.main(version_base="1.3", config_path="configs", config_name="learn")
def main(cfg: DictConfig) -> None:
    pathlib.Path(f"seed{cfg.seed}.yaml").write_text(OmegaConf.to_yaml(cfg))


if __name__ == "__main__":
    main()
'''

CONFIG = """
seed: 0
defaults: [{algorithm: omiga}, {override hydra/job_logging: stdout}, _self_]
hydra:
  output_subdir: null
  run: {dir: .}
  sweep: {dir: ., subdir: .}
"""


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "installed"
    (folder / "configs" / "algorithm").mkdir(parents=True)
    (folder / "plain.py").write_text(PLAIN)
    (folder / "learn.py").write_text(HYDRA)
    (folder / "_private.py").write_text("raise RuntimeError('imported')")
    (folder / "configs" / "learn.yaml").write_text(CONFIG)
    (folder / "configs" / "algorithm" / "omiga.yaml").write_text("alpha: 10\n")
    monkeypatch.setattr(cli, "recipes_folder", lambda: folder)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"omiga-torchrl {omiga_torchrl.__version__}, python 3.")
    assert re.search(r"torch \d.*, torchrl \d.*,\stensordict \d", printed)


def test_ls_prints_one_line_for_each_recipe(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ls"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "learn  Write down the config.",
        "plain  Write down the arguments.",
    ]


def test_cp_brings_the_configs_that_the_script_names(recipes: Path) -> None:
    assert cli.main(["cp", "learn", "mine"]) == 0
    assert names(Path("mine")) == ["configs/algorithm/omiga.yaml", "configs/learn.yaml", "learn.py"]


def test_cp_brings_no_configs_that_the_script_does_not_name(recipes: Path) -> None:
    assert cli.main(["cp", "plain.py"]) == 0
    assert names(Path()) == ["plain.py"]


def test_cp_to_a_new_name(recipes: Path) -> None:
    assert cli.main(["cp", "learn", "mine/own.py"]) == 0
    assert names(Path("mine")) == ["configs/algorithm/omiga.yaml", "configs/learn.yaml", "own.py"]


def test_cp_overwrites_only_when_forced(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("configs").mkdir()
    Path("configs/learn.yaml").write_text("mine: 1\n")
    assert cli.main(["cp", "learn"]) == 2
    assert "configs/learn.yaml already there; --force replaces" in capsys.readouterr().err
    assert names(Path()) == ["configs/learn.yaml"]  # nothing was copied
    assert cli.main(["cp", "learn", "--force"]) == 0
    assert Path("configs/learn.yaml").read_text() == CONFIG


def test_cp_to_where_nothing_can_be_written(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert cli.main(["cp", "plain", "file"]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["cp", "run"])
def test_an_unknown_recipe_lists_the_choices_and_the_nearest(
    recipes: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert cli.main([command, "lern"]) == 2
    message = capsys.readouterr().err
    assert f"omiga_torchrl {command}: unknown recipe 'lern'; did you mean 'learn'?" in message
    assert "learn, plain" in message


def test_run_passes_every_argument_on(recipes: Path) -> None:
    argv = list(sys.argv)
    assert cli.main(["run", "plain", "-m", "seed=0,1", "--help", "--", "x"]) == 0
    assert json.loads(Path("seen.json").read_text()) == ["-m", "seed=0,1", "--help", "--", "x"]
    assert names(Path()) == ["seen.json"]
    assert sys.argv == argv


def test_run_passes_the_exit_code_of_the_recipe_on(recipes: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", "plain", "fail"])
    assert caught.value.code == 3


@pytest.mark.parametrize(("module", "extra"), [("hydra", "recipes"), ("vmas", "vmas")])
def test_a_missing_package_names_its_extra(
    recipes: Path, capsys: pytest.CaptureFixture[str], module: str, extra: str
) -> None:
    error = f"ModuleNotFoundError('No module named {module}', name='{module}.main')"
    (recipes / "learn.py").write_text(f"raise {error}")
    assert cli.main(["run", "learn"]) == 2
    assert f"pip install 'omiga-torchrl[{extra}]'" in capsys.readouterr().err


def test_another_missing_module_is_an_error_of_the_recipe(recipes: Path) -> None:
    (recipes / "learn.py").write_text("import module_that_nobody_has")
    with pytest.raises(ModuleNotFoundError, match="module_that_nobody_has"):
        cli.main(["run", "learn"])


@pytest.mark.parametrize("arguments", [[], ["walk"], ["cp"], ["run"]])
def test_a_wrong_command_line_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2


def test_hydra_recipes_find_their_configs_from_any_folder(recipes: Path) -> None:
    pytest.importorskip("hydra")
    code = (
        f"import pathlib, sys; sys.path.insert(0, {str(Path(cli.__file__).parent.parent)!r}); "
        "from omiga_torchrl import cli; "
        f"cli.recipes_folder = lambda: pathlib.Path({str(recipes)!r}); sys.exit(cli.main())"
    )
    command = [sys.executable, "-c", code]
    subprocess.run([*command, "run", "learn", "-m", "seed=3,4", "algorithm.alpha=2"], check=True)
    assert Path("seed4.yaml").read_text() == "algorithm:\n  alpha: 2\nseed: 4\n"
    assert [name for name in names(Path()) if not name.endswith("multirun.yaml")] == [
        "seed3.yaml",
        "seed4.yaml",
    ]


def test_without_an_installed_copy_the_checkout_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "package" / "cli.py"))
    (tmp_path / "recipes").mkdir()
    with pytest.raises(cli.CommandError, match="no recipes"):
        cli.recipes_folder()  # a folder called recipes beside the package, but no checkout
    (tmp_path / "pyproject.toml").write_text("")
    assert cli.recipes_folder() == tmp_path / "recipes"
    (tmp_path / "package" / "_recipes").mkdir()
    assert cli.recipes_folder() == tmp_path / "package" / "_recipes"


def test_the_recipes_of_this_checkout_can_be_copied_alone() -> None:
    """One line of docstring each, and no imports of other scripts, which `cp` would leave behind."""
    recipes = cli.available_recipes()
    assert not (cli.recipes_folder() / "__init__.py").exists()
    siblings = {path.stem for path in cli.recipes_folder().glob("*.py")}
    for name, script in recipes.items():
        assert cli.summary(script).endswith("."), f"{name}: the docstring begins with one full sentence"
        for node in ast.walk(ast.parse(script.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} has a relative import"
                assert node.module not in siblings, f"{name} imports {node.module}"
            elif isinstance(node, ast.Import):
                assert not siblings & {alias.name for alias in node.names}, f"{name} imports another recipe"
