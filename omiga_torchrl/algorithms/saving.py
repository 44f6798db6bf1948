"""Trained policies on disk: weights with what is needed to rebuild the network around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tensordict.nn import TensorDictModuleBase

from omiga_torchrl.algorithms.registry import make_algorithm
from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import require_entries
from omiga_torchrl.files import atomic_write, load_plain
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.plain import plain
from omiga_torchrl.renames import rename_arguments, rename_entries
from omiga_torchrl.specs import TeamSpec

FORMAT = 1
_ENTRIES = ("algorithm", "arguments", "spec", "policy")


def save_policy(
    path: str | Path,
    policy: TensorDictModuleBase,
    *,
    algorithm: str,
    spec: AnyTeamSpec,
    arguments: dict[str, Any],
    metadata: dict[str, Any] | None = None,
) -> Path:
    """Write a policy atomically.

    Args:
        path: file to write.
        policy: the policy of ``make_algorithm(algorithm, spec, **arguments)``.

    Keyword Args:
        algorithm: the algorithm's name.
        spec: sizes of the task.
        arguments: the algorithm's keyword arguments, plain values.
        metadata: further plain values, e.g. the task; numpy's scalars and paths are converted.

    Raises:
        TypeError: something in ``arguments`` or ``metadata`` could not be read back; nothing is written.

    Examples:
        >>> import tempfile
        >>> spec = TeamSpec(3, 5, 2, 7)
        >>> policy = make_algorithm("bc", spec, hidden_sizes=[8]).policy
        >>> file = save_policy(
        ...     f"{tempfile.mkdtemp()}/policy.pt",
        ...     policy,
        ...     algorithm="bc",
        ...     spec=spec,
        ...     arguments={"hidden_sizes": [8]},
        ... )
        >>> load_policy(file)[1]["algorithm"]
        'bc'
    """
    path = Path(path)
    content = {
        "format": FORMAT,
        "algorithm": algorithm,
        "arguments": plain("save_policy", "arguments", arguments),
        "spec": plain("save_policy", "spec", spec.to_dict()),
        "metadata": plain("save_policy", "metadata", metadata or {}),
        "policy": policy.state_dict(),
    }
    with atomic_write(path) as file:
        torch.save(content, file)
    return path


def load_policy(path: str | Path) -> tuple[TensorDictModuleBase, dict[str, Any]]:
    """Read a policy written by :func:`save_policy` of this or a former version; no code in the file is run.

    Args:
        path: the file.

    Returns:
        The policy, and the other entries of the file, the algorithm's arguments under their present names.

    Raises:
        DataError: the file is no policy of this library, or of an algorithm or with arguments that it does
            not know.
    """
    content = load_plain("load_policy", path)
    require_entries(
        "load_policy",
        path,
        content,
        {"format": FORMAT, **dict.fromkeys(_ENTRIES)},
        kind="a policy",
        hint="Pass one written by save_policy, e.g. policy.pt of a run.",
    )
    name = content["algorithm"]
    content["arguments"] = rename_arguments(name, content["arguments"], warn=False)
    try:
        policy = make_algorithm(name, TeamSpec.from_dict(content["spec"]), **content["arguments"]).policy
    except (TypeError, ValueError) as error:
        raise DataError(
            f"load_policy: {path} must be of a known algorithm and its arguments, got {name!r}: {error} "
            f"Import the module of an algorithm of your own first."
        ) from error
    policy.load_state_dict(_weights(path, content.pop("policy"), policy.state_dict()))
    return policy, content


def _weights(path: str | Path, saved: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The saved weights under the names of the policy's own."""
    weights = rename_entries(saved, own)
    wrong = sorted(weights.keys() ^ own.keys())
    wrong += [key for key in weights.keys() & own.keys() if weights[key].shape != own[key].shape]
    if wrong:
        raise DataError(
            f"load_policy: {path} must hold the weights of the policy that its arguments make, got "
            f"others, e.g. {wrong[0]!r}. Train it again, or load it with the version that wrote it."
        )
    return weights
