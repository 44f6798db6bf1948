"""From the settings of a training to the folder of its run, and what is written there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, cast

from torchrl.envs import EnvBase

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.evaluation import PolicyFacts, evaluate, evaluate_in_background
from omiga_torchrl.report import RunWriter, audit_record, describe_run, run_identity
from omiga_torchrl.trainers.hooks import EvaluationHook


def open_run(config: Any, dataset: OfflineDataset, facts: PolicyFacts) -> RunWriter:
    """The folder of the run that ``config`` describes, by its identity; nothing is written before.

    Args:
        config: with the fields of ``TrainConfig`` in ``recipes/train.py``.
        dataset: what is learned from.
        facts: the task of the policy with all its arguments.

    Raises:
        FileExistsError: the run is there and ``config.existing`` is ``"error"``.
        ValueError: another run is there and ``config.existing`` is ``"resume"`` or ``"extend"``.
        RunLockedError: another process is writing it.
    """
    values = asdict(config)
    values["algorithm"].pop("preset", None)  # the arguments say it
    identity = run_identity(
        dataset,
        algorithm=config.algorithm,
        seed=config.seed,
        task=config.task,
        task_kwargs=facts.task_kwargs if config.task is not None else None,
        trainer=values["trainer"],
        evaluation=config.evaluation,
        precision=config.precision,
    )
    sections = ("reward_scale", "normalise_observations", "read", "algorithm", "trainer", "evaluation")
    info = describe_run(
        dataset,
        algorithm=config.algorithm.get("label") or config.algorithm["name"],
        seed=config.seed,
        task=config.task,
        hyperparameters={name: values[name] for name in (*sections, "precision")},
        identity=identity,
        audit=audit_record(values),
    )
    return RunWriter(config.out, info, existing=config.existing)


def evaluation_hook(
    config: Any, policy: Callable[[], Any], env: EnvBase, facts: PolicyFacts, run: RunWriter
) -> EvaluationHook:
    """Evaluations during training, on the run's record.

    Args:
        config: with the fields of ``TrainConfig`` in ``recipes/train.py``.
        policy: gives the policy as it is now.
        env: of ``facts``, with ``config.evaluation["episodes"]`` environments.
        facts: the task of the policy, to build the environment again in the process of evaluations.
        run: takes the results.
    """
    episodes, seed = config.evaluation["episodes"], config.evaluation["seed"]
    play: Callable[..., Any] = partial(evaluate, env=env)
    if config.background_evaluation:
        again = partial(facts.make_env, num_envs=episodes, seed=seed)
        play = partial(evaluate_in_background, make_env=again, imports=tuple(config.imports))
    return EvaluationHook(
        lambda: play(policy(), episodes=episodes, seed=seed),
        config.evaluation["interval"],
        on_restored=run.cut_back,
        on_result=lambda step, result: run.evaluation(step, "training", **cast(Any, result).to_record()),
    )
