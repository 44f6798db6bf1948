"""Evaluate a trained policy, or a behaviour checkpoint, in its environment.

The launch command and examples are in ``configs/evaluate.yaml``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING
from torchrl.envs import EnvBase

from omiga_torchrl.command_line import checked_overrides, run_once
from omiga_torchrl.evaluation import EvaluationResult, PolicyFacts, evaluate, record_video
from omiga_torchrl.files import storage_errors
from omiga_torchrl.plugins import import_modules
from omiga_torchrl.policies import TeamPolicy, find_policy


@dataclass
class EvaluateConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        policy: folder of a run, ``policy.pt``, a behaviour checkpoint, or one of your own as
            ``module:function``, see docs/policies.md.
        task: task to play; null is the one that the policy was trained for.
        task_kwargs: arguments of the task; they override those it was trained with.
        episodes: complete episodes.
        num_envs: environments stepped together.
        seed: seed of the evaluation's random stream.
        deterministic: take the most likely action instead of sampling.
        out: file to append the raw returns to, one JSON line; null writes none.
        video: also write one episode as a video; this needs no display.
        video_path: its file, ``.mp4`` or ``.gif``; null is ``episode.mp4`` beside the policy.
    """

    imports: list[str] = field(default_factory=list)
    policy: str = MISSING
    task: str | None = None
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    episodes: int = 300
    num_envs: int = 100
    seed: int = 1_000_000
    deterministic: bool = True
    out: str | None = None
    video: bool = False
    video_path: str | None = None


ConfigStore.instance().store("evaluate_schema", EvaluateConfig)


def open_policy(config: EvaluateConfig) -> TeamPolicy:
    """The policy that ``config`` names."""
    return find_policy(config.policy, PolicyFacts(config.task, config.task_kwargs))


def run(config: EvaluateConfig) -> EvaluationResult:
    """Evaluate as ``config`` says and print the result."""
    import_modules(config.imports)
    if config.video_path is not None and not config.video:
        raise ValueError(f"evaluate: video_path={config.video_path} needs video=true.")
    policy = open_policy(config)
    task = config.task or policy.facts.task
    result = evaluate(
        policy,
        _make_env(config, policy.facts, config.num_envs),
        episodes=config.episodes,
        seed=config.seed,
        deterministic=config.deterministic,
    )
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics().items())
    sys.stdout.write(f"{task}: {config.episodes} episodes: {metrics}\n")
    if config.out is not None:
        line = {"policy": config.policy, "task": task, **result.to_record()}
        with storage_errors(config.out, "out="):
            Path(config.out).parent.mkdir(parents=True, exist_ok=True)
            with Path(config.out).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    if config.video:
        _record(config, policy, _make_env(config, policy.facts, 1))
    return result


def _make_env(config: EvaluateConfig, facts: PolicyFacts, num_envs: int) -> EnvBase:
    """The task as the policy knows it; whether it fits is checked before it is played."""
    options = {**facts.task_kwargs, **config.task_kwargs}
    if num_envs == 1:
        # One environment needs no processes, and a video cannot be made of those in others.
        options.pop("workers", None)
    played = replace(facts, task=config.task or facts.task, task_kwargs=options)
    return played.make_env(num_envs=num_envs, seed=config.seed)


def _record(config: EvaluateConfig, policy: TeamPolicy, env: EnvBase) -> None:
    source = Path(config.policy)
    default = (source if source.is_dir() else source.parent) / "episode.mp4"
    path = Path(config.video_path) if config.video_path else default
    written = record_video(policy, env, path, seed=config.seed, deterministic=config.deterministic)
    env.close()
    sys.stdout.write(f"video: {written}\n")


@hydra.main(version_base="1.3", config_path="configs", config_name="evaluate")
def main(config: Any) -> None:
    """Evaluate the policy that the configuration names."""
    run_once("evaluate", config, run)


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("evaluate", sys.argv[1:], EvaluateConfig, configs)
    main()
