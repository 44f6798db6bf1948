"""Policy files of former versions, and behaviour checkpoints, as whole policies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omiga_torchrl.behaviors import load_behaviour, read_behaviour
from omiga_torchrl.blueprints import Blueprint
from omiga_torchrl.policies.team_policy import TeamPolicy
from omiga_torchrl.renames import rename_arguments
from omiga_torchrl.specs import TeamSpec


def of_algorithm(algorithm: str, arguments: Mapping[str, Any], spec: Mapping[str, Any]) -> Blueprint:
    """The blueprint of the policy of a whole algorithm, which is built to get it.

    Args:
        algorithm: its name.
        arguments: its arguments.
        spec: sizes of the task as plain values.
    """
    return {"kind": "algorithm", "algorithm": algorithm, "arguments": dict(arguments), "spec": dict(spec)}


def present_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a policy file of format 1, which names the algorithm only, as that of this version.

    Args:
        content: the entries of the file.
    """
    arguments = rename_arguments(content["algorithm"], content["arguments"], warn=False)
    blueprint = of_algorithm(content["algorithm"], arguments, content["spec"])
    return {"metadata": {}, **content, "arguments": arguments, "blueprint": blueprint}


def is_behaviour(content: Mapping[str, Any]) -> bool:
    """Whether the entries of a file are those of a behaviour checkpoint.

    Args:
        content: the entries.
    """
    return {"info", "weights"} <= content.keys()


def from_behaviour(path: Path) -> TeamPolicy:
    """The whole policy of a behaviour checkpoint.

    Args:
        path: a file of :func:`omiga_torchrl.behaviors.save_behaviour`.

    Raises:
        DataError: it is of another version.
    """
    info, _ = read_behaviour(path)
    metadata = {"task": info.task, "task_kwargs": info.task_kwargs}
    spec = TeamSpec.from_dict(info.spec)
    return TeamPolicy(load_behaviour(path), spec, algorithm="ppo", arguments=info.settings, metadata=metadata)
