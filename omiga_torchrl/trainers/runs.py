"""From the settings of a training to the folder of its run, and what is written there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from torchrl.envs import EnvBase

from omiga_torchrl.data import OfflineDataset, discounted_return_range
from omiga_torchrl.evaluation import (
    PolicyFacts,
    Protocol,
    evaluate,
    evaluate_in_background,
)
from omiga_torchrl.report import RunWriter, audit_record, describe_run, run_identity
from omiga_torchrl.trainers.best import BestPolicy, Restored
from omiga_torchrl.trainers.hooks import EvaluationHook, ValueBoundHook
from omiga_torchrl.trainers.offline import OfflineTrainer

_LOG = logging.getLogger(__name__)


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
    config: Any, policy: Callable[[], Any], env: EnvBase, facts: PolicyFacts, best: BestPolicy
) -> EvaluationHook:
    """Evaluations during training, on the run's record.

    Args:
        config: with the fields of ``TrainConfig`` in ``recipes/train.py``.
        policy: gives the policy as it is now.
        env: of ``facts``, with ``config.evaluation["episodes"]`` environments.
        facts: the task of the policy, to build the environment again in the process of evaluations.
        best: keeps the best policy; its run takes the results.
    """
    episodes, seed = config.evaluation["episodes"], config.evaluation["seed"]
    play: Callable[..., Any] = partial(evaluate, env=env)
    if config.background_evaluation:
        again = partial(facts.make_env, num_envs=episodes, seed=seed)
        play = partial(evaluate_in_background, make_env=again, imports=tuple(config.imports))

    def on_result(step: int, result: Any) -> None:
        best.run.evaluation(step, "training", **result.to_record())
        best.keep(step)

    return EvaluationHook(
        lambda: play(best.judged(policy()), episodes=episodes, seed=seed),
        config.evaluation["interval"],
        on_restored=best.run.cut_back,
        on_result=on_result,
    )


def watch_values(trainer: OfflineTrainer, dataset: OfflineDataset) -> None:
    """Lets a run say when its learned values leave what the data can support.

    Args:
        trainer: of the run.
        dataset: the run's.
    """
    bounds = discounted_return_range(dataset[:], float(trainer.loss_module.gamma))
    if bounds is not None:
        ValueBoundHook(*bounds).register(trainer)


def final_evaluations(
    protocol: Protocol, env: EnvBase, run: RunWriter, last: Restored, best: Restored | None
) -> None:
    """Plays the last policy and the best checkpoint after training, on the run's record.

    Both play the same episodes, from the same initial states, of which neither has seen one.

    Args:
        protocol: of the run.
        env: with ``protocol.episodes`` environments.
        run: takes the results.
        last: the policy as it is after training.
        best: the best checkpoint; ``None``: it was not kept.
    """
    play = partial(evaluate, env=env, episodes=protocol.final_episodes, seed=protocol.final_seed)
    final = play(last.policy)
    run.evaluation(last.step, "final", **final.to_record())
    _LOG.info("final return %.3f (behaviour %.3f)", final.mean_return, run.info.behaviour_return)
    if best is not None:
        result = final if best.step == last.step else play(best.policy)
        run.evaluation(best.step, "best", **result.to_record())
        _LOG.info("best checkpoint %.3f, of step %d", result.mean_return, best.step)
