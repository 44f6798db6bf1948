"""The import arrows between the parts of the package: none leads back up."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "omiga_torchrl"


def part_of(module: str) -> str:
    """Where a module stands: its first-level package, or within ``data`` the file or folder."""
    names = module.split(".")[1:]
    return ".".join(names[:2] if names[:1] == ["data"] else names[:1])


def arrows(root: Path) -> dict[str, set[str]]:
    """For each part, the parts that its files import when they are imported themselves."""
    found: dict[str, set[str]] = {}
    for file in sorted((root / PACKAGE).rglob("*.py")):
        names = file.relative_to(root).with_suffix("").parts
        part = part_of(".".join(names[:-1] if names[-1] == "__init__" else names))
        for statement in ast.parse(file.read_text()).body:
            if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(PACKAGE):
                modules = [f"{statement.module}.{alias.name}" for alias in statement.names]
                found.setdefault(part, set()).update(filter(None, map(existing_part(root), modules)))
    return {part: imported - {part} for part, imported in found.items()}


def existing_part(root: Path):
    """A function from an imported name to its part; '' for names of the package itself."""

    def part(name: str) -> str:
        path = root.joinpath(*name.split("."))
        is_module = path.is_dir() or path.with_suffix(".py").is_file()
        return part_of(name if is_module else name.rpartition(".")[0])

    return part


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """Parts that import each other in a circle, and those above them; empty if there is no circle."""
    left = {part: set(imported) for part, imported in graph.items()}
    while free := [part for part, imported in left.items() if not imported & left.keys()]:
        for part in free:
            del left[part]
    return sorted(left)


def test_no_part_imports_one_above_it() -> None:
    assert cycle_in(arrows(ROOT)) == []


def test_conversion_needs_no_statistics() -> None:
    graph = arrows(ROOT)
    reached, queue = set(), ["data.conversion"]
    while queue:
        part = queue.pop()
        queue += graph.get(part, set()) - reached
        reached |= graph.get(part, set())
    assert "data.layouts" in reached
    assert not reached & {"data", "data.statistics", "data.published", "data.recording", "behaviors", "envs"}


def test_a_cycle_is_found() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["a", "b", "c", "d"]
    assert cycle_in({"a": {"b", "x"}, "b": set()}) == []
