"""`export_policy`: a folder with one file, a card and a page, as model hubs take it; `load_exported`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy.typing as npt

from omiga_torchrl.errors import DataError, require_choice
from omiga_torchrl.files import atomic_write, file_sha256, storage_errors
from omiga_torchrl.folders import temporary_folder
from omiga_torchrl.policies.acting import Arrays, PolicyStep, State, act_with
from omiga_torchrl.policies.card import (
    CARD_FILE,
    WEIGHTS_FILE,
    describe_policy,
    port_of,
    read_policy_card,
    require_whole,
)
from omiga_torchrl.policies.formats import PROGRAMS, require_packages
from omiga_torchrl.policies.readme import readme_of
from omiga_torchrl.policies.saving import content_of, load_policy
from omiga_torchrl.policies.team_policy import TeamPolicy

Format = Literal["torch", "onnx", "safetensors"]
FORMATS: Final[tuple[Format, ...]] = ("torch", "onnx", "safetensors")


def export_policy(
    policy: TeamPolicy,
    folder: str | Path,
    *,
    format: Format = "onnx",
    source: str | Path | None = None,
    license: str = "",
) -> Path:
    """Write a policy for use elsewhere: its most likely actions for raw observations, of any batch size.

    ``"torch"`` is a program of :func:`torch.export.export` and ``"onnx"`` one of ONNX: both run without this
    library, scale observations themselves, and take and give the memory of a recurrent policy.
    ``"safetensors"`` holds the weights; :func:`omiga_torchrl.policies.load_policy` opens it.

    Args:
        policy: the policy.
        folder: a new one; it appears when it is complete.

    Keyword Args:
        format: of the file.
        source: the folder of the policy's run, which tells the card the score and the data.
        license: of the policy, an identifier such as ``"mit"``; empty is unknown.

    Raises:
        ImportError: a package of the extra ``export`` is missing.
        FileExistsError: the folder is there.
        DataError: a module of the policy cannot be exported; names it.
        StorageError: the disk is full, or the folder cannot be written; nothing is left behind.

    Examples:
        >>> import tempfile
        >>> from omiga_torchrl.modules import make_actor
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(3, 5, 2, 7)
        >>> policy = TeamPolicy(make_actor(spec, hidden_sizes=(8,)), spec)
        >>> folder = export_policy(policy, tempfile.mkdtemp() + "/mine", format="torch")
        >>> sorted(path.name for path in folder.iterdir())
        ['README.md', 'card.json', 'policy.pt2']
    """
    folder = Path(folder)
    require_choice("export_policy", format=(format, FORMATS))
    needed = ("safetensors",) if format == "safetensors" else PROGRAMS[format].needs
    require_packages("export_policy", *needed)
    if folder.exists():
        raise FileExistsError(
            f"export_policy: {folder} must be a new folder, got one that is there. Remove it."
        )
    card = describe_policy(policy, source=None if source is None else Path(source), license=license)
    with storage_errors(folder), temporary_folder(folder) as partial:
        name, more = _write(policy, partial, format)
        card |= {"kind": format, "file": name, "sha256": file_sha256(partial / name), **more}
        (partial / "README.md").write_text(readme_of(card), encoding="utf-8")
        with atomic_write(partial / CARD_FILE) as file:
            file.write(json.dumps(card, indent=1).encode())
    return folder


def _write(policy: TeamPolicy, folder: Path, format: Format) -> tuple[str, dict[str, Any]]:
    """The file's name, and what the card has to hold for it."""
    if format != "safetensors":
        program = PROGRAMS[format]
        program.write(PolicyStep(policy), folder / program.file)
        return program.file, {}
    from safetensors.torch import save_file

    content = content_of(policy)
    weights = {name: value.detach().cpu().clone() for name, value in content.pop("policy").items()}
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    return WEIGHTS_FILE, {"policy": content}


class ExportedPolicy:
    """An exported program, to be called as :class:`omiga_torchrl.policies.TeamPolicy` is.

    Args:
        folder: of :func:`export_policy`, in the format ``"torch"`` or ``"onnx"``.

    Attributes:
        card: what ``card.json`` says.

    Raises:
        ImportError: a package that runs it is missing.
        DataError: the folder is unfinished or damaged, or of another kind.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.card = read_policy_card(folder)
        program = PROGRAMS.get(self.card["kind"])
        if program is None:
            raise DataError(
                f"load_exported: {folder} must be of the kinds {', '.join(PROGRAMS)}, got "
                f"{self.card['kind']!r}. Open safetensors with load_policy."
            )
        path = require_whole(folder, self.card)
        require_packages("load_exported", *program.runs_with)
        self.inputs, self.outputs = ([port_of(one) for one in self.card[x]] for x in ("inputs", "outputs"))
        self._run = program.open(path, self.inputs)

    def act(
        self,
        observations: Arrays,
        state: State | None = None,
        action_mask: Arrays | None = None,
        noise: Mapping[str, npt.ArrayLike] | None = None,
    ) -> tuple[Any, State]:
        """Actions and next state, see :meth:`omiga_torchrl.policies.TeamPolicy.act`.

        Args:
            observations: an array, or one for each group.
            state: of the step before; None at the start of an episode.
            action_mask: an array, or one for each group.
            noise: standard normal draws by the names of the inputs, of policies that have such inputs.
        """
        return act_with(self._run, self.inputs, self.outputs, observations, state, action_mask, noise)


def load_exported(folder: str | Path) -> ExportedPolicy | TeamPolicy:
    """A policy of :func:`export_policy`, of any format.

    Args:
        folder: the folder.

    Raises:
        DataError: it is unfinished or damaged.
    """
    if read_policy_card(Path(folder))["kind"] == "safetensors":
        return load_policy(folder)
    return ExportedPolicy(folder)
