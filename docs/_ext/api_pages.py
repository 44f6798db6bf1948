"""Pages of the API: one a package, with a table of its public names and all their texts."""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from functools import cache
from typing import Any

PACKAGE = "omiga_torchrl"
# In the order of the site; each with what it is for.
MODULES = {
    "objectives": "losses",
    "algorithms": "networks, loss and parameters of each algorithm, by name",
    "modules": "mixers, networks, policies",
    "functional": "pure kernels",
    "data": "datasets, layouts, statistics",
    "envs": "environments",
    "trainers": "training and resuming",
    "evaluation": "judging policies",
    "policies": "whole policies: loaded, called, saved",
    "selection": "choosing policies by data alone",
    "online": "from offline to online",
    "report": "records, tables, pictures",
    "benchmark": "suites of runs, their records and reports",
    "behaviors": "behaviour policies that record data",
    "testing": "contracts for parts of your own",
    "specs": "sizes of a team task",
    "groups": "teams of several groups",
    "keys": "TensorDict keys",
    "errors": "messages",
    "blueprints": "networks by their builder and arguments",
    "plugins": "parts from other packages",
    "sweeps": "jobs of recipes",
}


@cache
def public(module: str) -> dict[str, Any]:
    """The public names of a module and what they are; of modules without ``__all__`` their own."""
    loaded = importlib.import_module(f"{PACKAGE}.{module}")
    names = getattr(loaded, "__all__", None)
    if names is None:
        own = {name: value for name, value in vars(loaded).items() if not name.startswith("_")}
        names = [name for name, value in own.items() if getattr(value, "__module__", None) == loaded.__name__]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return {name: getattr(loaded, name) for name in names}


def homes() -> dict[int, tuple[str, str]]:
    """Where each thing is described, by its id: the module it is in, or the first that exports it."""
    found: dict[int, tuple[str, str]] = {}
    for module in MODULES:
        for name, value in public(module).items():
            at_home = (getattr(value, "__module__", None) or "").startswith(f"{PACKAGE}.{module}")
            if at_home or not hasattr(value, "__module__"):
                own_name = getattr(value, "__name__", name) == name
                if own_name or id(value) not in found:
                    found[id(value)] = (module, name)
    for module in MODULES:
        for name, value in public(module).items():
            found.setdefault(id(value), (module, name))
    return found


def first_line(value: Any) -> str:
    """The first paragraph of a text, as Markdown in a table; of a plain value its type."""
    documented = (
        inspect.isclass(value) or inspect.isroutine(value) or type(value).__module__.startswith(PACKAGE)
    )
    text = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ") if documented else repr(value)
    if not documented:
        return f"`{text[:60]}{'...' if len(text) > 60 else ''}`"
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    return text.partition("::")[0].replace("|", "\\|")


def directive(value: Any) -> str:
    """The directive of autodoc that describes it."""
    if inspect.isclass(value):
        return "autoclass"
    if inspect.isroutine(value):
        return "autofunction"
    # Of a plain value autodoc would show the text of its type.
    return "autodata" if type(value).__module__.startswith(PACKAGE) else "py:data"


def api_page(module: str, places: dict[int, tuple[str, str]]) -> str:
    """One module: a table, then every name that is at home here."""
    loaded = importlib.import_module(f"{PACKAGE}.{module}")
    rows, bodies = [], []
    for name, value in sorted(public(module).items(), key=lambda item: item[0].lower()):
        where, known_as = places[id(value)]
        link = f"[`{name}`](#{PACKAGE}.{where}.{known_as})"
        rows.append(f"| {link} | {first_line(value)} |")
        if (where, known_as) == (module, name):
            kind = directive(value)
            members = "   :members:\n   :show-inheritance:\n" if kind == "autoclass" else ""
            quiet = "   :no-value:\n" if kind == "autodata" else ""
            bodies.append(f"```{{eval-rst}}\n.. {kind}:: {PACKAGE}.{module}.{name}\n{members}{quiet}```\n")
    intro = (inspect.getdoc(loaded) or "").split("\n\n")[0].replace("``", "`").replace("\n", " ")
    table = "\n".join(["| | |", "|---|---|", *rows])
    return f"# {module}\n\n`{PACKAGE}.{module}`: {intro}\n\n{table}\n\n" + "\n".join(bodies)


def api_index() -> str:
    """The list of modules."""
    rows = [
        f"| [{PACKAGE}.{name}]({name}.md) | {about} | {len(public(name))} |"
        for name, about in MODULES.items()
    ]
    toc = "\n".join(MODULES)
    return (
        "# API\n\nEvery public name, written from its docstring; the examples run as tests.\n\n"
        + "\n".join(["| module | | names |", "|---|---|---|", *rows])
        + f"\n\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"
    )
