"""Export a trained policy: one file, a card and a page, for use without this library or on a model hub.

The launch command and examples are in ``configs/export_policy.yaml``.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from omiga_torchrl.command_line import checked_overrides, run_once
from omiga_torchrl.evaluation import PolicyFacts
from omiga_torchrl.plugins import import_modules
from omiga_torchrl.policies import export_policy, find_policy

_LOG = logging.getLogger("export_policy")


@dataclass
class ExportPolicyConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms or builders of your own.
        policy: folder of a run, ``policy.pt``, a behaviour checkpoint, or one of your own as
            ``module:function``, see docs/policies.md.
        format: ``onnx`` or ``torch``, programs that run without this library, or ``safetensors``, weights.
        out: folder to write; it must not be there yet.
        license: of the policy, e.g. ``mit``, for the page; null is unknown.
        task: task of a policy of your own; others know theirs.
        task_kwargs: its arguments.
    """

    imports: list[str] = field(default_factory=list)
    policy: str = MISSING
    format: str = "onnx"
    out: str = MISSING
    license: str | None = None
    task: str | None = None
    task_kwargs: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store("export_policy_schema", ExportPolicyConfig)


def export(config: ExportPolicyConfig) -> Path:
    """Export the policy that ``config`` names; gives the folder."""
    import_modules(config.imports)
    policy = find_policy(config.policy, PolicyFacts(config.task, config.task_kwargs))
    source = Path(config.policy) if Path(config.policy).exists() else None
    out = export_policy(
        policy, config.out, format=cast(Any, config.format), source=source, license=config.license or ""
    )
    _LOG.info("wrote %s: %s", out, ", ".join(sorted(path.name for path in out.iterdir())))
    return out


@hydra.main(config_path="configs", config_name="export_policy", version_base="1.3")
def main(config: Any) -> None:
    """Entry point of the command line."""
    run_once("export_policy", config, export)


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("export_policy", sys.argv[1:], ExportPolicyConfig, configs)
    main()
