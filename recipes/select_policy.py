"""Rank the policies of runs without an environment, and choose one.

It is not called ``select``: Python's own module of that name would no longer be found beside it.

The launch command and examples are in ``configs/select_policy.yaml``.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from omiga_torchrl.command_line import checked_overrides, run_once
from omiga_torchrl.errors import SettingsError, unknown_name
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.files import atomic_write
from omiga_torchrl.plain import plain
from omiga_torchrl.plugins import import_modules
from omiga_torchrl.policies import save_policy
from omiga_torchrl.report import load_runs
from omiga_torchrl.selection import (
    Candidate,
    FQEConfig,
    Selection,
    UCBResult,
    find_candidates,
    normalised_score,
    open_candidate,
    open_data,
    plot_selection,
    select_policies,
    ucb,
)
from omiga_torchrl.typed import make_checked

_LOG = logging.getLogger("select")


def _fqe_defaults() -> dict[str, Any]:
    return {name: value for name, value in asdict(FQEConfig()).items() if name != "critic"}


@dataclass
class SelectConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        runs: folder of runs of one task and dataset, or one run's folder.
        checkpoints: ``all`` of every run, or the ``last`` policy.
        dataset: data to judge on, as of ``recipes/train.py``, e.g. held-out episodes; null: the runs' own.
        data_root: folder of the converted data; null is the runs'.
        critics: names of the fitted critics: ``auto``, ``linear``, ``vdn``, ``qmix``, ``none`` or ``joint``;
            the first ranks, the others are checks.
        fqe: fields of ``omiga_torchrl.selection.FQEConfig``.
        deterministic: judge the most likely actions instead of samples.
        least_coverage: share of a policy's actions that must have a like in the data to be ranked, in units
            of that of the data's own actions.
        online_pulls: episodes to play in the environment, chosen by UCB; 0 plays none.
        online_policies: so many of the highest fitted values are tried online; null: all that have a rank.
        seed: first seed of the fits, and of the episodes.
        out: folder of the results; null means ``<runs>/selection``.
    """

    imports: list[str] = field(default_factory=list)
    runs: str = MISSING
    checkpoints: str = "all"
    dataset: str | None = None
    data_root: str | None = None
    critics: list[str] = field(default_factory=lambda: ["auto", "joint"])
    fqe: dict[str, Any] = field(default_factory=_fqe_defaults)
    deterministic: bool = True
    least_coverage: float = 0.95
    online_pulls: int = 0
    online_policies: int | None = None
    seed: int = 0
    out: str | None = None


ConfigStore.instance().store("select_policy_schema", SelectConfig)


def select(config: SelectConfig) -> Selection:
    """Rank the policies below ``config.runs``, print and write the result."""
    import_modules(config.imports)
    critics = _critics(config)
    found = find_candidates(load_runs(config.runs), cast(Any, config.checkpoints))
    dataset = open_data(found.candidates[0].run, config.dataset, config.data_root)
    selection = select_policies(
        found.candidates,
        dataset,
        critics,
        deterministic=config.deterministic,
        least_coverage=config.least_coverage,
        seed=config.seed,
        notes=found.notes,
    )
    by_name = {one.name: one for one in found.candidates}
    out = Path(config.out or Path(config.runs) / "selection")
    records: dict[str, Any] = {**selection.to_dict(), "dataset": dataset.card.name}
    chosen = by_name[selection.chosen.name]
    if config.online_pulls:
        tried, names = _try_online(config, selection, by_name)
        records["online"] = {"policies": names, **vars(tried)}
        chosen = by_name[names[tried.best[-1]]]
        records["chosen"] = chosen.name
    _write(out, selection, records, chosen)
    return selection


def _critics(config: SelectConfig) -> list[FQEConfig]:
    if not config.critics:
        raise SettingsError("select: critics must name at least one critic, got none, e.g. [auto,joint].")
    for name in config.fqe:
        if name not in _fqe_defaults():
            raise SettingsError(str(unknown_name("select_policy", "key", f"fqe.{name}", _fqe_defaults())))
    return [make_checked("select", FQEConfig, {**config.fqe, "critic": name}) for name in config.critics]


def _try_online(
    config: SelectConfig, selection: Selection, candidates: dict[str, Candidate]
) -> tuple[UCBResult, list[str]]:
    """Episodes in the environment, in the order of the fitted values and then by UCB."""
    names = [one.name for one in selection.ranked][: config.online_policies]
    info = candidates[names[0]].run.info
    low, high = info.random_return, info.best_checkpoint_return
    if low is None or high is None or not high > low:
        raise SettingsError(
            "select: online_pulls needs the returns of random actions and of the best behaviour to normalise "
            f"scores, got {low} and {high} in run.json. Evaluate candidates with recipes/evaluate.py."
        )
    policies = [open_candidate(candidates[name]).team_policy for name in names]
    env = policies[0].facts.make_env(num_envs=1, seed=config.seed)  # raw: each scales observations itself
    seeds = iter(range(config.seed, config.seed + config.online_pulls))

    def pull(arm: int) -> float:
        played = evaluate(
            policies[arm], env, episodes=1, seed=next(seeds), deterministic=config.deterministic
        )
        return normalised_score(played.mean_return, low, high)

    return ucb(pull, len(names), config.online_pulls), names


def _write(out: Path, selection: Selection, records: dict[str, Any], chosen: Candidate) -> None:
    """The ranking as text, JSON and picture, and the chosen policy in a folder of its own."""
    opened = open_candidate(chosen)
    save_policy(
        out / "chosen" / "policy.pt",
        opened.policy,
        algorithm=opened.algorithm,
        spec=opened.spec,
        arguments=dict(opened.arguments),
        metadata={**opened.facts.to_dict(), "selected": chosen.name},
    )
    with atomic_write(out / "selection.json") as file:
        file.write(json.dumps(_finite(plain("select", "records", records)), indent=1).encode())
    lines = [f"- {text}" for text in (*selection.warnings, *selection.notes)]
    text = "\n\n".join(["# Selection", f"Chosen: `{chosen.name}`", selection.table(), "\n".join(lines)])
    with atomic_write(out / "selection.md") as file:
        file.write(f"{text}\n".encode())
    sys.stdout.write(selection.table("terminal") + "\n")
    for warning in selection.warnings:
        _LOG.warning("select: %s", warning)
    for note in selection.notes:
        _LOG.info("select: %s", note)
    picture = plot_selection(selection, out / "selection.png", records["dataset"])
    for path in (out / "selection.json", out / "selection.md", picture):
        _LOG.info("wrote %s", path)
    _LOG.info("chosen: %s\nnext: python -m omiga_torchrl run evaluate policy=%s", chosen.name, out / "chosen")


def _finite(value: Any) -> Any:
    """Plain values with None in place of NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@hydra.main(version_base="1.3", config_path="configs", config_name="select_policy")
def main(config: Any) -> None:
    """Rank the policies of the runs that the configuration names."""
    run_once("select_policy", config, select)


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("select_policy", sys.argv[1:], SelectConfig, configs)
    main()
