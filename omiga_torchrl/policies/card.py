"""The card of an exported policy: inputs and outputs, what it was trained on, and what it reached."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl import keys
from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import require_entries
from omiga_torchrl.files import file_sha256, library_versions
from omiga_torchrl.plain_files import read_json
from omiga_torchrl.policies.ports import Port, inputs_of, outputs_of
from omiga_torchrl.policies.team_policy import TeamPolicy
from omiga_torchrl.report import load_runs, mean_confidence_interval

CARD_FILE: Final = "card.json"
CARD_FORMAT: Final = 1
WEIGHTS_FILE: Final = "policy.safetensors"
_UNITS: Final = {
    "observation": "as the environment gives it, raw",
    "action_mask": "true = legal",
    "last_action": "the action of the step before",
    "memory": "none",
    "noise": "draws of a standard normal distribution",
    "action": "as the environment takes it",
}


def describe_policy(policy: TeamPolicy, *, source: Path | None = None, license: str = "") -> dict[str, Any]:
    """The entries of a card that describe a policy, without its file.

    Args:
        policy: the policy.

    Keyword Args:
        source: the folder of its run, or a file in it, which tells the score and the data.
        license: of the policy, an identifier such as ``"mit"``; empty is unknown.
    """
    return {
        "format": CARD_FORMAT,
        "inputs": [_described(policy, port) for port in inputs_of(policy)],
        "outputs": [_described(policy, port) for port in outputs_of(policy)],
        "agents": {name: list(agents) for name, agents in policy.team.group_map.items()},
        "task": policy.facts.task,
        "task_kwargs": dict(policy.facts.task_kwargs),
        "algorithm": policy.algorithm,
        "arguments": policy.arguments,
        "dataset": policy.facts.dataset,
        **_of_run(source),
        "license": license or "unknown",
        "versions": library_versions(),
    }


def _described(policy: TeamPolicy, port: Port) -> dict[str, Any]:
    """An input or output in plain values; bounds only where it has some."""
    plain = {name: value for name, value in asdict(port).items() if value not in ("", None)}
    plain["key"] = list(keys.key_path(port.key))
    plain["shape"] = ["batch", *port.shape]
    plain["units"] = _UNITS[port.role]
    if port.role in ("action", "last_action"):
        spec = policy.team.groups[port.group]
        low, high = (0, spec.action_size - 1) if spec.discrete else (spec.action_low, spec.action_high)
        plain |= {"low": np.asarray(low).tolist(), "high": np.asarray(high).tolist()}
    return plain


def port_of(described: dict[str, Any]) -> Port:
    """An input or output of a card.

    Args:
        described: as the card has it.
    """
    own = {name: described[name] for name in ("name", "dtype", "role")}
    more = {name: described[name] for name in ("group", "initial", "carried_from") if name in described}
    return Port(key=tuple(described["key"]), shape=tuple(described["shape"][1:]), **own, **more)


def _of_run(source: Path | None) -> dict[str, Any]:
    """Score, seed and data of the run that a policy is of; nothing of a policy without one."""
    folder = source if source is None or source.is_dir() else source.parent
    if folder is None or not (folder / "run.json").is_file():
        return {}
    (run,) = load_runs(folder)
    found: dict[str, Any] = {
        "data": {"name": run.info.dataset, **dict(run.info.identity.get("data", {}))},
        "seed": run.info.seed,
    }
    if run.final is not None:
        returns = run.final.returns
        found["score"] = {
            "mean_return": run.final.mean_return,
            "interval_95": list(mean_confidence_interval(returns)) if len(returns) > 1 else None,
            "episodes": len(returns),
            "deterministic": run.final.deterministic,
            "behavior_return": run.info.behaviour_return,
            "random_return": run.info.random_return,
        }
    return found


def read_policy_card(folder: Path) -> dict[str, Any]:
    """The card in the folder of an exported policy.

    Args:
        folder: the folder.

    Raises:
        DataError: there is none, or it is damaged or of another version.
    """
    hint = "Export the policy again."
    if not (folder / CARD_FILE).is_file():
        raise DataError(
            f"load_exported: {folder} must hold {CARD_FILE}, got none: unfinished, or no export. {hint}"
        )
    card = read_json("load_exported", folder / CARD_FILE, hint)
    require_entries(
        "load_exported",
        folder / CARD_FILE,
        card,
        {"format": CARD_FORMAT, **dict.fromkeys(("kind", "file", "sha256", "inputs", "outputs"))},
        kind="the card of an exported policy",
        hint=hint,
    )
    return card


def require_whole(folder: Path, card: dict[str, Any]) -> Path:
    """The file of an export, if it is the one that the card describes.

    Args:
        folder: of the export.
        card: its card.

    Raises:
        DataError: it is missing or another.
    """
    path = folder / str(card["file"])
    if not path.is_file() or path.parent != folder or file_sha256(path) != card["sha256"]:
        found = "another content" if path.is_file() else "none"
        raise DataError(
            f"load_exported: {path} must be as {CARD_FILE} says, got {found}. Export the policy again."
        )
    return path
