"""The commands ``ls``, ``cp``, ``run`` and ``--version``: recipes of the installed version."""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import platform
import re
import runpy
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from omiga_torchrl import __version__
from omiga_torchrl.errors import unknown_name

PROGRAM = "python -m omiga_torchrl"

# The extra that brings a module which recipes import.
EXTRAS = {
    "gymnasium": "mujoco",
    "gymnasium_robotics": "mujoco",
    "h5py": "data",
    "hydra": "recipes",
    "jaxmarl": "smax",
    "matplotlib": "plot",
    "mlflow": "mlflow",
    "mujoco": "mujoco",
    "omegaconf": "recipes",
    "scipy": "recipes",
    "tensorboard": "recipes",
    "tqdm": "recipes",
    "vmas": "vmas",
    "wandb": "wandb",
}


class CommandError(Exception):
    """A mistake in a command: its message is all that the user sees, and the exit code is 2."""


def recipes_folder() -> Path:
    """The folder of recipes: inside an installed package, or the one of an editable checkout.

    Raises:
        CommandError: if there is neither.
    """
    package = Path(__file__).resolve().parent
    installed = package / "_recipes"
    if installed.is_dir():
        return installed
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "recipes").is_dir():
        return checkout / "recipes"
    raise CommandError(f"omiga_torchrl: no recipes at {installed}. Is the installation complete?")


def available_recipes() -> dict[str, Path]:
    """Every recipe's name and script, sorted by name."""
    scripts = sorted(recipes_folder().glob("*.py"))
    return {script.stem: script for script in scripts if not script.stem.startswith("_")}


def find_recipe(command: str, name: str) -> Path:
    """The script of the recipe ``name``, given with or without ``.py``.

    Args:
        command: the command that asks, for the message.
        name: the recipe's name.

    Raises:
        CommandError: if there is no such recipe; it lists the choices and the nearest.
    """
    recipes = available_recipes()
    stem = name.removesuffix(".py")
    if stem not in recipes:
        raise CommandError(unknown_name(f"omiga_torchrl {command}", "recipe", name, recipes))
    return recipes[stem]


def summary(script: Path) -> str:
    """The first line of a script's docstring, read without running it."""
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def list_recipes() -> None:
    """Print every recipe with its one-line summary."""
    recipes = available_recipes()
    width = max(map(len, recipes), default=0)
    for name, script in recipes.items():
        print(f"{name:<{width}}  {summary(script)}".rstrip())


def config_folder(script: Path) -> Path | None:
    """The folder that a recipe names as Hydra's ``config_path``; None if it names none."""
    named = re.search(r"config_path\s*=\s*[\"']([^\"']+)[\"']", script.read_text(encoding="utf-8"))
    folder = script.parent / named[1] if named else None
    return folder if folder and folder.is_dir() else None


def files_to_copy(script: Path, destination: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs of (file of the recipe, where it goes): the script and all of its configs.

    Args:
        script: the recipe.
        destination: a folder, or the new script's path if it ends with ``.py``.
    """
    renamed = destination.suffix == ".py"
    folder = destination.parent if renamed else destination
    yield script, destination if renamed else folder / script.name
    configs = config_folder(script)
    for source in sorted(configs.rglob("*")) if configs else []:
        if source.is_file() and "__pycache__" not in source.parts:
            yield source, folder / source.relative_to(script.parent)


def copy_recipe(name: str, destination: Path, force: bool = False) -> None:
    """Copy a recipe and its configs, to be edited.

    Args:
        name: the recipe's name.
        destination: a folder, or the new script's path if it ends with ``.py``.
        force: replace files that are already there.

    Raises:
        CommandError: if a file is already there and ``force`` is off (nothing is copied then), or
            the destination cannot be written.
    """
    pairs = list(files_to_copy(find_recipe("cp", name), destination))
    present = [target for _, target in pairs if target.exists()]
    if present and not force:
        more = f" and {len(present) - 1} more" if len(present) > 1 else ""
        raise CommandError(f"omiga_torchrl cp: {present[0]}{more} already there; --force replaces them.")
    for source, target in pairs:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        except OSError as error:
            raise CommandError(f"omiga_torchrl cp: {target} cannot be written: {error}") from error
        print(target)


def run_recipe(name: str, overrides: Sequence[str]) -> None:
    """Run a recipe as if its script had been called in the current folder.

    Args:
        name: the recipe's name.
        overrides: what follows on the command line, e.g. Hydra's ``seed=1``.

    Raises:
        CommandError: if the recipe needs a package that is not installed; names the extra.
    """
    script = find_recipe("run", name)
    argv, path = sys.argv, sys.path
    sys.argv = [str(script), *overrides]
    sys.path = [str(script.parent), *path]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise CommandError(
            f"omiga_torchrl run: {script.stem} needs {module}, which is not installed. "
            f"Try: pip install 'omiga-torchrl[{EXTRAS[module]}]'"
        ) from error
    finally:
        sys.argv, sys.path = argv, path


def versions() -> str:
    """The version of the library, and of what its numbers depend on, as ``--version`` prints them."""
    found = [f"omiga-torchrl {__version__}", f"python {platform.python_version()}"]
    for package in ("torch", "torchrl", "tensordict"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} is missing")
    return ", ".join(found)


def make_parser() -> argparse.ArgumentParser:
    """The command line's parser."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="The recipes of the installed version.")
    parser.add_argument("--version", action="version", version=versions())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("ls", help="list the recipes")
    cp = commands.add_parser("cp", help="copy a recipe and its configs, to be edited")
    cp.add_argument("recipe", metavar="RECIPE")
    cp.add_argument(
        "destination",
        metavar="DEST",
        type=Path,
        nargs="?",
        default=Path("."),
        help="folder, or a new name.py",
    )
    cp.add_argument("--force", action="store_true", help="replace files that are already there")
    run = commands.add_parser(
        "run", help="run a recipe in the current folder", epilog="Example: run train algorithm=omiga seed=1"
    )
    run.add_argument("recipe", metavar="RECIPE")
    run.add_argument(
        "overrides", metavar="OVERRIDE", nargs=argparse.REMAINDER, help="everything else, for the recipe"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command line; default ``sys.argv[1:]``.

    Returns:
        The exit code: 0, or 2 for a mistake in the command. A recipe's own failure passes through.
    """
    parsed = make_parser().parse_args(arguments)
    try:
        if parsed.command == "ls":
            list_recipes()
        elif parsed.command == "cp":
            copy_recipe(parsed.recipe, parsed.destination, parsed.force)
        else:
            run_recipe(parsed.recipe, parsed.overrides)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
