"""What is built, and what an installed copy can do without the checkout."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import omiga_torchrl

ROOT = Path(__file__).resolve().parent.parent
CORE = ("filelock", "numpy", "tensordict", "torch", "torchrl")
PARTS = (".ci", "omiga_torchrl", "recipes", "tests", "LICENSE", "Makefile", "README.md")
# A PYTHONPATH would bring the checkout into environments that are to have the wheel alone.
CLEAN = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
PARTS += (".gitignore", "constraints.txt", "hatch_build.py", "pyproject.toml")

PROBE = '''"""Show where a recipe runs."""
import hydra, os
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="configs", config_name="probe")
def main(cfg: DictConfig) -> None:
    print("PROBE", cfg.word, os.getcwd())


if __name__ == "__main__":
    main()
'''


def project() -> dict[str, str]:
    """The lines of pyproject.toml, by table (its oldest Python has no parser for it)."""
    tables = re.split(r"^\[([\w.-]+)\]$", (ROOT / "pyproject.toml").read_text(), flags=re.M)
    return dict(zip(tables[1::2], tables[2::2], strict=True))


def run(command: Iterable[object], folder: Path) -> str:
    """Run a command; on failure, show what it said."""
    done = subprocess.run(list(map(str, command)), cwd=folder, env=CLEAN, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_requirements(distributions: Iterable[str]) -> set[str]:
    """These distributions and everything that they require, without any extra."""
    found: set[str] = set()
    queue = list(distributions)
    while queue:
        name = canonicalize_name(queue.pop())
        if name not in found:
            found.add(name)
            wanted = map(Requirement, importlib.metadata.requires(name) or ())
            queue += [each.name for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


def make_environment(folder: Path, wheel: Path) -> tuple[Path, Path]:
    """An empty environment with nothing but the wheel: its python and its site-packages."""
    run([sys.executable, "-m", "venv", folder], folder.parent)
    python = folder / "bin" / "python"
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], folder)
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder)
    return python, Path(site.strip())


def test_every_direct_dependency_has_a_tested_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {Requirement(line).name for line in lines if line and not line.startswith("#")}
    tables = project()
    core = re.search(r"^dependencies = \[(.*?)^\]", tables["project"], flags=re.M | re.S)
    assert core is not None
    assert {Requirement(text).name for text in re.findall(r'"(.+?)"', core[1])} == set(CORE)
    extras = re.sub(r"^smax = .*$", "", tables["project.optional-dependencies"], flags=re.M)
    wanted = {Requirement(text).name for text in re.findall(r'"(.+?)"', core[1] + extras)}
    assert wanted - {"omiga-torchrl"} <= pinned


def test_every_part_imports_without_optional_packages() -> None:
    """What `make demo` installs, and less: the slow tests try real environments."""
    code = """
import importlib, pkgutil, sys
for module in ("vmas", "mujoco", "mpe2", "jaxmarl", "h5py", "tensorstore", "minari", "matplotlib", "PIL",
               "hydra", "scipy", "tensorboard", "tqdm", "jaxtyping", "beartype", "hypothesis",
               "onnx", "onnxruntime", "onnxscript", "safetensors"):
    sys.modules[module] = None
import omiga_torchrl
for module in pkgutil.iter_modules(omiga_torchrl.__path__, "omiga_torchrl."):
    if module.name not in ("omiga_torchrl.__main__", "omiga_torchrl.testing"):
        importlib.import_module(module.name)
"""
    run([sys.executable, "-c", code], ROOT)


SOURCE = "https://github.com/omiga-torchrl/omiga-torchrl"


def test_nothing_names_this_machine() -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run", ".gitignore"):
        text = (ROOT / name).read_text().replace(SOURCE, "")
        assert not re.search(r"https?:|file:|--index|--find-links|/(tmp|opt|home|work)/", text)


def test_one_version_and_one_address() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {omiga_torchrl.__version__}\n" in citation
    assert f"\nrepository-code: {SOURCE}\n" in citation
    assert f'Source = "{SOURCE}"' in (ROOT / "pyproject.toml").read_text()


def test_links_of_the_readme_work_on_a_package_index() -> None:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.absolute_links("![a](.github/a.png) [b](docs/b.md) [c](https://c.org) [d](#d)", SOURCE)
    picture = "https://raw.githubusercontent.com/omiga-torchrl/omiga-torchrl/main/.github/a.png"
    assert text == f"![a]({picture}) [b]({SOURCE}/blob/main/docs/b.md) [c](https://c.org) [d](#d)"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one more recipe."""
    folder = tmp_path_factory.mktemp("project") / "tree"
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, folder / part)
    (folder / "recipes" / "probe.py").write_text(PROBE)
    (folder / "recipes" / "configs" / "probe.yaml").write_text(
        "word: old\ndefaults: [{override hydra/job_logging: stdout}, _self_]\n"
        "hydra: {output_subdir: null, run: {dir: .}}\n"
    )
    return folder


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder], tree)
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, as a package index's users build it."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    source = next(path for path in folder.iterdir() if path.is_dir())
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], source)
    return next(folder.glob("*.whl"))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_source_distribution_is_complete(sdist: Path, tree: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
        about = archive.extractfile(next(name for name in archive.getnames() if name.endswith("/PKG-INFO")))
        assert about is not None and f"({SOURCE}/blob/main/docs/start.md)" in about.read().decode()
    assert files(tree) <= inside
    assert inside - files(tree) == {"PKG-INFO"}


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_assets_and_the_recipes(wheel: Path, tree: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    package = {f"omiga_torchrl/{name}" for name in files(tree / "omiga_torchrl")}
    in_folder = [name for name in files(tree / "recipes") if not name.startswith("results/")]
    recipes = {f"omiga_torchrl/_recipes/{name}" for name in in_folder}
    metadata = {name for name in inside if name.startswith("omiga_torchrl-")}
    assert inside - metadata == package | recipes
    assert {name.partition("/")[0] for name in metadata} == {f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}


@pytest.mark.slow
def test_the_core_needs_only_its_packages(wheel: Path, tmp_path: Path) -> None:
    """Only these and what they require lie in the environment (as links, to download nothing)."""
    python, site = make_environment(tmp_path / "env", wheel)
    for name in with_requirements(CORE):
        for file in importlib.metadata.files(name) or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(top))))
    code = """
import importlib, importlib.util, pkgutil, sys
for module in ("vmas", "hydra", "matplotlib", "tqdm", "tensorboard", "jaxtyping", "beartype", "pytest"):
    assert importlib.util.find_spec(module) is None, module
import omiga_torchrl
assert "site-packages" in omiga_torchrl.__file__
for module in pkgutil.iter_modules(omiga_torchrl.__path__, "omiga_torchrl."):
    if module.name not in ("omiga_torchrl.__main__", "omiga_torchrl.testing"):  # contracts need pytest
        importlib.import_module(module.name)
"""
    run([python, "-W", "error::ImportWarning", "-c", code], tmp_path)
    assert "probe" in run([python, "-m", "omiga_torchrl", "ls"], tmp_path)
    refused = subprocess.run(
        [python, "-m", "omiga_torchrl", "run", "probe"],
        cwd=tmp_path,
        env=CLEAN,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2
    assert "pip install 'omiga-torchrl[recipes]'" in refused.stderr


@pytest.mark.slow
def test_the_recipes_run_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    python, site = make_environment(tmp_path / "env", wheel)
    # Everything else comes from this environment; a plain line is no site folder, so that an editable
    # installation there stays unseen.
    (site / "rest.pth").write_text(str(Path(pytest.__file__).parent.parent) + "\n")
    work = tmp_path / "anywhere"
    work.mkdir()
    assert run([python, "-c", "import omiga_torchrl as o; print(o.__file__)"], work).startswith(str(site))
    printed = run([python, "-m", "omiga_torchrl", "run", "probe", "word=new"], work)
    assert f"PROBE new {work}" in printed
    assert files(work) == set()
    run([python, "-m", "omiga_torchrl", "cp", "probe"], work)
    assert "PROBE old" in run([python, "probe.py"], work)
