"""Policies on disk: how to build the actor, its weights, and what it needs to be played."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from tensordict.nn import TensorDictModuleBase

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.blueprints import blueprint_of
from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import require_entries
from omiga_torchrl.files import atomic_write, library_versions, load_plain
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.plain import plain
from omiga_torchrl.policies.card import CARD_FILE, read_policy_card, require_whole
from omiga_torchrl.policies.formats import require_packages
from omiga_torchrl.policies.former import from_behaviour, is_behaviour, of_algorithm, present_content
from omiga_torchrl.policies.networks import build_network, require_rebuildable
from omiga_torchrl.policies.team_policy import Mode, TeamPolicy
from omiga_torchrl.specs import TeamSpec

FORMAT: Final = 2
POLICY_FILE: Final = "policy.pt"
_ENTRIES: Final = ("algorithm", "arguments", "spec", "policy")
_NEW: Final = ("blueprint", "metadata")  # since format 2
_HINT: Final = "Pass one written by save_policy, e.g. policy.pt of a run."


def save_policy(
    path: str | Path,
    policy: TensorDictModuleBase,
    *,
    algorithm: str = "",
    spec: AnyTeamSpec | None = None,
    arguments: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Path:
    """Write a policy atomically: its actor alone, by the builder and arguments that made it.

    Args:
        path: file to write.
        policy: a :class:`TeamPolicy`, which knows all the rest, or its network: that of an algorithm, of
            :func:`omiga_torchrl.modules.make_actor`, or of a builder with
            :func:`omiga_torchrl.blueprints.rebuildable`.

    Keyword Args:
        algorithm: the algorithm's name, for the record.
        spec: sizes of the task; needed for a network.
        arguments: the algorithm's arguments, plain values, for the record.
        metadata: fields of :class:`omiga_torchrl.evaluation.PolicyFacts`, e.g. the task, and further plain
            values; numpy's scalars and paths are converted.

    Raises:
        TypeError: the network or something in ``arguments`` or ``metadata`` could not be read back; nothing
            is written.

    Examples:
        >>> import tempfile
        >>> from omiga_torchrl.modules import make_actor
        >>> spec = TeamSpec(3, 5, 2, 7)
        >>> policy = TeamPolicy(make_actor(spec, hidden_sizes=[8]), spec, metadata={"task": "mine"})
        >>> file = save_policy(f"{tempfile.mkdtemp()}/policy.pt", policy)
        >>> load_policy(file).facts.task
        'mine'
    """
    if not isinstance(policy, TeamPolicy):
        if spec is None:
            raise TypeError("save_policy: spec must be the sizes of the task, got none. Pass spec=.")
        policy = TeamPolicy(policy, spec, algorithm=algorithm, arguments=arguments, metadata=metadata)
    path, content = Path(path), content_of(policy)
    with atomic_write(path) as file:
        torch.save(content, file)
    return path


def content_of(policy: TeamPolicy) -> dict[str, Any]:
    """All entries of a policy file: plain values, and under ``"policy"`` the weights.

    Args:
        policy: the policy.

    Raises:
        TypeError: it could not be read back.
    """
    content = {
        "format": FORMAT,
        "algorithm": policy.algorithm,
        "arguments": plain("save_policy", "arguments", policy.arguments),
        "spec": plain("save_policy", "spec", policy.team.to_dict()),
        "metadata": plain("save_policy", "metadata", policy.metadata),
        "versions": library_versions(),
    }
    try:
        blueprint = blueprint_of(policy.network)
    except TypeError:
        if policy.algorithm not in ALGORITHMS:
            raise
        # An algorithm of one's own whose networks no builder with @rebuildable made.
        blueprint = of_algorithm(policy.algorithm, content["arguments"], content["spec"])
    require_rebuildable(policy.network, blueprint)
    return {**content, "blueprint": blueprint, "policy": policy.network.state_dict()}


def load_policy(path: str | Path, *, mode: Mode | None = None) -> TeamPolicy:
    """Read a whole policy of this or a former version; no code in the file is run.

    Args:
        path: folder of a run or of an export in safetensors, a ``policy.pt``, or a behaviour checkpoint.

    Keyword Args:
        mode: see :class:`TeamPolicy`.

    Returns:
        The policy, on the CPU; ``.to(device)`` moves it.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: it is no policy of this library, is unfinished or damaged, or of a builder or algorithm
            that it does not know.
    """
    path = policy_file(path)
    is_export = path.name == CARD_FILE
    content = _exported_content(path.parent) if is_export else load_plain("load_policy", path)
    policy = from_behaviour(path) if is_behaviour(content) else policy_of(path, content)
    policy.mode = mode
    return policy


def policy_of(path: Path, content: dict[str, Any]) -> TeamPolicy:
    """The policy in the content of a file.

    Args:
        path: of the file, for messages.
        content: see :func:`content_of`; of former versions, too.

    Raises:
        DataError: see :func:`load_policy`.
    """
    format = 1 if content.get("format") == 1 else FORMAT
    needed = {"format": format, **dict.fromkeys(_ENTRIES)}
    require_entries("load_policy", path, content, needed, kind="a policy", hint=_HINT)
    if format == 1:
        content = present_content(content)
    require_entries("load_policy", path, content, dict.fromkeys(_NEW), kind="a policy", hint=_HINT)
    try:
        network = build_network(content["blueprint"], content["policy"])
        policy = TeamPolicy(
            network,
            TeamSpec.from_dict(content["spec"]),
            algorithm=content["algorithm"],
            arguments=content["arguments"],
            metadata=content["metadata"],
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"load_policy: {path} must be of a known algorithm and its arguments, got "
            f"{content['algorithm']!r}: {error} Import the module of an algorithm or builder of your own "
            "first."
        ) from error
    return policy.eval()


def _exported_content(folder: Path) -> dict[str, Any]:
    """The content of an export of weights."""
    card = read_policy_card(folder)
    if card["kind"] != "safetensors":
        raise DataError(
            f"load_policy: {folder} must be an export in safetensors, got one of the kind {card['kind']!r}. "
            "Open programs with omiga_torchrl.policies.load_exported."
        )
    require_packages("load_policy", "safetensors")
    from safetensors.torch import load_file

    return {**card.get("policy", {}), "policy": load_file(require_whole(folder, card))}


def policy_file(path: str | Path) -> Path:
    """The policy's file in a folder of a run, the card of an export; the path itself of a file.

    Args:
        path: file or folder.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: the folder has no policy; says what it seems to be.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"load_policy: no policy at {path}. Pass the folder of a run, or a policy file."
        )
    if not path.is_dir():
        return path
    for name in (CARD_FILE, POLICY_FILE):
        if (path / name).is_file():
            return path / name
    found = "nothing of one"
    if any(path.glob("policy.*")):
        found = f"an export without {CARD_FILE}, unfinished: export it again"
    if (path / "run.json").is_file():
        found = "a run that is not finished: resume it with existing=resume"
    raise DataError(f"load_policy: {path} must hold {POLICY_FILE}, got {found}. {_HINT}")
