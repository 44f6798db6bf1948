"""Settings of recipes, changed at random: each is refused by a message that names it, or works.

``python -m tests.recipes.fuzz_settings --cases 10000 --seed 0`` tries so many over all recipes, lists those
that end in an error which is none of the library's, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import os
import random
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.command_line import checked_overrides, is_told, told
from omiga_torchrl.errors import require_fields
from tests.recipes.in_process import RECIPES, configs, load, settings, working_in

# Name of every recipe, its dataclass, and its function.
NAMES = {
    "train": ("TrainConfig", "train"), "evaluate": ("EvaluateConfig", "run"),
    "report": ("ReportConfig", "report"), "record_dataset": ("RecordDataset", "run"),
    "export_dataset": ("ExportConfig", "export"), "inspect_dataset": ("InspectConfig", "inspect"),
    "select_policy": ("SelectConfig", "select"),
}  # fmt: skip
WRONG = (
    "abc", "''", "true", "null", "0", "-1", "1.5", "1e-3", "-0.0", "nan", "inf", "1e30", "3", "7", "[]",
    "[0]", "[abc]", "[1,2]", "{}", "{a:1}", "policy.pt/x", "../x", "2147483648", "a:b", "vmas/navigatoin",
    "0.5",
)  # fmt: skip
OUTCOMES = ("refused", "hydra", "right", "accepted", "raw")
# Right values of these would take long, or much room.
SMALL = {
    "train": ("trainer.steps=2", "trainer.batch_size=8", "evaluation.episodes=2",
              "evaluation.final_episodes=2", "trainer.progress_bar=false", "logger=null",
              "++algorithm.hidden_sizes=[4]", "+task_kwargs.max_steps=5"),
    "evaluate": ("policy=policy.pt", "episodes=2", "num_envs=2", "+task_kwargs.max_steps=3"),
    "report": ("runs=runs",),
    "record_dataset": ("tier=random", "transitions=10", "num_envs=2", "progress=false",
                       "+task_kwargs.max_steps=3", "eval_episodes=2", "total_frames=10"),
    "export_dataset": ("dataset=data", "layout=omiga-mujoco", "out=exported"),
    "inspect_dataset": ("dataset=data", "progress=false"),
    "select_policy": ("runs=runs", "fqe.steps=2", "fqe.batch_size=8", "fqe.behavior_steps=2", "fqe.seeds=1",
                      "critics=[auto]"),
}  # fmt: skip
# Numbers that only make a right run longer or larger: of these, large ones are not tried to the end.
SIZES = {
    "steps", "batch_size", "episodes", "final_episodes", "num_envs", "transitions", "total_frames",
    "eval_episodes", "max_steps", "chunk", "shard_transitions", "behavior_steps", "seeds", "online_pulls",
}  # fmt: skip
LARGE = ("2147483648", "1e30", "inf")
# Keys that start processes, compilers or other work; right values of them are not tried to the end.
COSTLY = {
    "workers", "train_behaviour", "launcher", "background_evaluation", "device", "video", "threads",
    "imports", "compile",
}  # fmt: skip


@dataclass
class Case:
    """A recipe with changed settings, and what became of it.

    Attributes:
        recipe: its name.
        changes: overrides.
        outcome: ``refused``, ``hydra``, ``right``, ``accepted`` (and not tried to the end) or ``raw``.
        message: of the error.
    """

    recipe: str
    changes: list[str]
    outcome: str = ""
    message: str = ""


@lru_cache
def keys_of(recipe: str, algorithm: str = "omiga") -> list[str]:
    """All keys of a recipe's configuration, nested ones dotted."""
    composed = OmegaConf.to_container(
        compose(recipe, [f"algorithm={algorithm}"] if recipe == "train" else [])
    )
    return sorted(_leaves(composed))


def _leaves(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _leaves(one, f"{name}.{key}" if name else str(key))
    elif name:
        yield name


def changes_of(recipe: str, order: random.Random) -> list[str]:
    """Some overrides at random: wrong values, wrong names, and keys that are not there."""
    algorithm = order.choice(sorted(name for name in ALGORITHMS if "behaviour" not in name))
    chosen = [f"algorithm={algorithm}"] if recipe == "train" else []
    for _ in range(order.choice((1, 1, 1, 2, 3))):
        key, value = order.choice(keys_of(recipe, algorithm)), order.choice(WRONG)
        kind = order.random()
        if kind < 0.1:
            at = order.randrange(len(key))
            key = key[:at] + key[at + 1 :] or "x"
        elif kind < 0.15:
            key = f"+{key.rpartition('.')[0] + '.' if '.' in key else ''}nonsense"
        chosen.append(f"{key}={value}")
    return chosen


def run_case(case: Case) -> Case:
    """Runs a case in the current folder, as the command line would."""
    schema, function = (getattr(load(case.recipe), name) for name in NAMES[case.recipe])
    overrides = [*SMALL[case.recipe], *case.changes]
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            overrides = checked_overrides(case.recipe, overrides, schema, RECIPES / "configs")
            config = require_fields(case.recipe, settings(case.recipe, *overrides))
            case.outcome = _try(case, config, function)
    except SystemExit:
        case.outcome, case.message = "refused", output.getvalue()
    except (HydraException, OmegaConfBaseException) as error:
        case.outcome, case.message = "hydra", str(error)
    except Exception as error:
        case.outcome = "refused" if is_told(error) else "raw"
        case.message = told(error) if is_told(error) else traceback.format_exc(limit=-4)
    return case


def _try(case: Case, config: Any, function: Callable[[Any], Any]) -> str:
    if case.recipe == "train":
        from omiga_torchrl.trainers.settings import check_settings

        check_settings(config)
    for one in case.changes:
        key, _, value = one.partition("=")
        name = key.lstrip("+").rpartition(".")[2]
        if name in COSTLY or (name in SIZES and value in LARGE):
            return "accepted"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function(config)
    return "right"


def run_cases(count: int, seed: int, recipes: tuple[str, ...] = tuple(NAMES)) -> list[Case]:
    """So many cases over some recipes, each in a folder of its own with a small dataset, policy and run."""
    order, found = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder, working_in(Path(folder) / "inner"), configs(*NAMES):
        make_files()
        for number in range(count):
            recipe = recipes[number % len(recipes)]
            changes = changes_of(recipe, order)
            # Every case writes elsewhere.
            place = {"train": f"out=out{number}", "record_dataset": f"out=out{number}/x"}.get(recipe)
            found.append(run_case(Case(recipe, [*changes, *([place] if place else [])])))
    return found


def make_files() -> None:
    """A recording, a trained policy and a run, in the current folder."""
    load("record_dataset").run(settings("record_dataset", *SMALL["record_dataset"], "out=data"))
    load("train").train(settings("train", *SMALL["train"], "dataset=data", "out=runs"))
    (policy,) = Path("runs").rglob("policy.pt")
    os.link(policy, "policy.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipes", nargs="*", choices=NAMES, default=tuple(NAMES))
    parser.add_argument("--show", nargs="*", choices=OUTCOMES, default=("raw",), help="cases to list")
    chosen = parser.parse_args()
    cases = run_cases(chosen.cases, chosen.seed, tuple(chosen.recipes))
    for recipe in chosen.recipes:
        counts = collections.Counter(case.outcome for case in cases if case.recipe == recipe)
        sys.stdout.write(f"{recipe}: {dict(counts)}\n")
    for case in cases:
        if case.outcome in chosen.show:
            sys.stdout.write(f"\n{case.outcome}: {case.recipe} {' '.join(case.changes)}\n{case.message}")
    raise SystemExit(any(case.outcome == "raw" for case in cases))


if __name__ == "__main__":
    main()
