"""Trained policies on disk: weights with what is needed to rebuild the network around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tensordict.nn import TensorDictModuleBase

from omiga_torchrl.algorithms.registry import make_algorithm
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import atomic_write
from omiga_torchrl.specs import TeamSpec

FORMAT = 1


def save_policy(
    path: str | Path,
    policy: TensorDictModuleBase,
    *,
    algorithm: str,
    spec: TeamSpec,
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
        metadata: further plain values, e.g. the task.

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
        "arguments": arguments,
        "spec": spec.to_dict(),
        "metadata": metadata or {},
        "policy": policy.state_dict(),
    }
    with atomic_write(path) as file:
        torch.save(content, file)
    return path


def load_policy(path: str | Path) -> tuple[TensorDictModuleBase, dict[str, Any]]:
    """Read a policy written by :func:`save_policy`; no code in the file is run.

    Args:
        path: the file.

    Returns:
        The policy, and the other entries of the file.

    Raises:
        DataError: the file is no policy of this library.
    """
    content = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(content, dict) or content.get("format") != FORMAT or "algorithm" not in content:
        raise DataError(
            f"load_policy: {path} is no policy file of format {FORMAT}; expected one written by "
            "save_policy, e.g. policy.pt of a run."
        )
    weights = content.pop("policy")
    spec = TeamSpec(**content["spec"])
    policy = make_algorithm(content["algorithm"], spec, **content["arguments"]).policy
    policy.load_state_dict(weights)
    return policy, content
