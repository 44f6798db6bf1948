"""`evaluate_in_background`: evaluations in another process, while training goes on."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache, partial
from typing import Any, cast

import torch
from torchrl.envs import EnvBase

from omiga_torchrl.evaluation.result import EvaluationResult
from omiga_torchrl.evaluation.rollout import Policy, evaluate
from omiga_torchrl.plugins import import_modules


def evaluate_in_background(
    policy: Policy,
    make_env: Callable[[], EnvBase],
    *,
    imports: Sequence[str] = (),
    **arguments: Any,
) -> Future[EvaluationResult]:
    """Evaluates a policy as it is now in a process of its own; the call returns at once.

    The result is that of :func:`evaluate`, number for number, whatever happens to the policy meanwhile. The
    process starts with the first call, which takes some seconds there, keeps its environment, and serves
    one call after the other, also of several runs. It ends with this process.

    Args:
        policy: of :func:`evaluate`; it can be pickled, as can ``make_env``.
        make_env: builds the environment, e.g. ``partial(make_env, "vmas/navigation", num_envs=100)``.
        imports: modules to import there first, e.g. the one that registers the environment.
        **arguments: of :func:`evaluate`.

    Returns:
        The future result; its ``result()`` waits, and raises what :func:`evaluate` raised.

    Raises:
        TypeError: the policy or ``make_env`` cannot be pickled.

    Examples:
        >>> from functools import partial
        >>> from omiga_torchrl.algorithms import make_bc
        >>> from omiga_torchrl.envs import make_env
        >>> from omiga_torchrl.specs import TeamSpec
        >>> env = partial(make_env, "vmas/navigation", num_envs=2, max_steps=3)
        >>> policy = make_bc(TeamSpec.from_env(env())).policy
        >>> future = evaluate_in_background(policy, env, episodes=2, seed=0)  # doctest: +SKIP
        >>> future.result().lengths.tolist()  # doctest: +SKIP
        [3, 3]
    """
    # Bytes, as of now: tensors sent to a process would be shared with it, and change under its hands.
    job = _pickled(make_env=make_env), _pickled(policy=policy), tuple(imports), arguments
    return _process().submit(_evaluate, *job)


def _pickled(**named: Any) -> bytes:
    ((name, value),) = named.items()
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise TypeError(
            f"evaluate_in_background: {name} must be one that can be pickled, got {value!r:.80}: {error}. "
            f"Define functions at the top of a module, or evaluate in this process."
        ) from error


@lru_cache(maxsize=1)
def _process() -> ProcessPoolExecutor:
    """The one process; spawned, because a fork would inherit the threads' locks."""
    context = multiprocessing.get_context("spawn")
    start = partial(_start, torch.get_num_threads())
    return ProcessPoolExecutor(1, mp_context=context, initializer=start)


def _start(threads: int) -> None:
    """Prepares the process: equal sums, no reaction to Ctrl-C, and an end with its parent."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@lru_cache(maxsize=1)
def _environment(pickled: bytes) -> EnvBase:
    return cast(EnvBase, pickle.loads(pickled)())


def _evaluate(
    make_env: bytes, policy: bytes, imports: Sequence[str], arguments: Mapping[str, Any]
) -> EvaluationResult:
    import_modules(imports)
    return evaluate(pickle.loads(policy), _environment(make_env), **arguments)
