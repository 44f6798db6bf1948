"""Whether an environment gives what the library asks of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tensordict import TensorDictBase
from torchrl.data import OneHot
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.env_specs import group_map_of
from omiga_torchrl.errors import DataError

_FLAGS = (keys.DONE, keys.TERMINATED, keys.TRUNCATED)
_STEPS = 3


def check_env(env: EnvBase, name: str = "") -> None:
    """Raise a DataError that names everything an environment lacks of :class:`omiga_torchrl.envs.TeamEnv`.

    Specs first; then it is reset and stepped three times with random actions, and what comes is compared with
    them. PyTorch's global random stream stays as it is; the environment's own moves on.

    Args:
        env: the environment.
        name: for the message, e.g. the task.

    Raises:
        DataError: an entry is missing, of another shape or type, not finite, or out of its spec.

    Examples:
        >>> from torchrl.envs.libs.vmas import VmasEnv
        >>> check_env(VmasEnv("navigation", num_envs=2))
        Traceback (most recent call last):
            ...
        omiga_torchrl.errors.DataError: check_env: VmasEnv must give the entries of a team, got:
        - no 'state': ConcatState adds it; from_torchrl does
        - no 'reward' of the team: TeamReward makes it of the agents'; from_torchrl does
        - no 'truncated': StepCounter(max_steps) adds it; from_torchrl does
    """
    faults = list(_of_specs(env))
    if not faults:
        with torch.random.fork_rng([]):
            faults = list(_of_steps(env))
    if faults:
        listed = "\n- ".join(faults)
        raise DataError(
            f"check_env: {name or type(env).__name__} must give the entries of a team, got:\n- {listed}"
        )


def _of_specs(env: EnvBase) -> Iterator[str]:
    if len(env.batch_size) != 1:
        yield f"the batch size {tuple(env.batch_size)}, expected one dimension: from_torchrl adds it"
        return
    seen, acted = env.full_observation_spec, env.full_action_spec
    for group in group_map_of(env):
        observation = seen.get((group, "observation"), None)
        if observation is None:
            yield f"no {(group, 'observation')!r} (group_map names {group!r})"
        elif observation.ndim != 3 or observation.dtype != torch.float32:
            found = f"{tuple(observation.shape)} {observation.dtype}"
            yield f"{(group, 'observation')!r} {found}, expected [B, agents, features] of torch.float32"
        yield from _of_action(group, acted.get((group, "action"), None))
    if keys.STATE not in seen.keys(True, True):
        yield "no 'state': ConcatState adds it; from_torchrl does"
    if keys.REWARD not in env.reward_keys:
        yield "no 'reward' of the team: TeamReward makes it of the agents'; from_torchrl does"
    for flag in _FLAGS:
        if flag not in env.full_done_spec.keys(True, True):
            hint = ": StepCounter(max_steps) adds it; from_torchrl does" if flag == keys.TRUNCATED else ""
            yield f"no {flag!r}{hint}"


def _of_action(group: str, spec: object) -> Iterator[str]:
    key = (group, "action")
    if spec is None:
        yield f"no {key!r}"
    elif isinstance(spec, OneHot):
        hint = "categorical_actions=True of TorchRL's wrappers, or a Categorical spec"
        yield f"{key!r} one-hot, expected integers: {hint}"
    elif not spec.dtype.is_floating_point:  # type: ignore[attr-defined]
        if not hasattr(spec.space, "n") or spec.ndim != 2:  # type: ignore[attr-defined]
            yield f"{key!r} of several integers, expected one an agent [B, agents]: number their combinations"
    else:
        low, high = getattr(spec.space, "low", None), getattr(spec.space, "high", None)  # type: ignore[attr-defined]
        if low is None or high is None or not (low.isfinite().all() and high.isfinite().all()):
            yield f"{key!r} without finite bounds: use a Bounded spec"


def _of_steps(env: EnvBase) -> Iterator[str]:
    data = env.reset()
    yield from _misfits(env, data, "reset")
    for step in range(1, _STEPS + 1):
        after = env.step(env.rand_action(data))
        faults = list(_misfits(env, after["next"], f"step {step}"))
        faults += _of_ends(after["next"], f"step {step}")
        if faults:
            yield from faults
            return
        data = env.maybe_reset(env.step_mdp(after))


def _misfits(env: EnvBase, data: TensorDictBase, when: str) -> Iterator[str]:
    specs = dict(env.full_observation_spec.items(True, True))
    specs |= dict(env.full_done_spec.items(True, True))
    if when != "reset":
        specs |= dict(env.full_reward_spec.items(True, True))
    for key, spec in specs.items():
        value = data.get(key, None)
        if value is None:
            yield f"no {key!r} after {when}, which its specs announce"
        elif value.shape != spec.shape or value.dtype != spec.dtype:
            found, expected = f"{tuple(value.shape)} {value.dtype}", f"{tuple(spec.shape)} {spec.dtype}"
            yield f"{key!r} {found} after {when}, its spec says {expected}"
        elif value.dtype.is_floating_point and not value.isfinite().all():
            yield f"{key!r} with NaN or infinity after {when}"


def _of_ends(data: TensorDictBase, when: str) -> Iterator[str]:
    done, terminated, truncated = (data[flag] for flag in _FLAGS)
    if (done != (terminated | truncated)).any():
        yield f"'done' after {when} that is not 'terminated' or 'truncated'"
