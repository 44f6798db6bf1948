"""Policies of someone else: functions of arrays or tensors, TorchRL's and BenchMARL's modules."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.errors import require_choice
from omiga_torchrl.evaluation import PolicyFacts
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.policies.saving import load_policy
from omiga_torchrl.policies.team_policy import TeamPolicy
from omiga_torchrl.specs import TeamSpec

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def wrap_policy(
    policy: TensorDictModuleBase | Callable[..., Any],
    team: EnvBase | AnyTeamSpec,
    *,
    arrays: Literal["numpy", "torch"] = "numpy",
    metadata: Mapping[str, Any] | None = None,
) -> TeamPolicy:
    """Anyone's policy as a :class:`TeamPolicy`, to be evaluated, recorded or exported as our own.

    Args:
        policy: a TensorDict module that reads ``(group, "observation")`` and writes ``(group, "action")``, as
            TorchRL's and BenchMARL's; or a function or module of the observations `[*B, N, O]`, and of the
            action mask `[*B, N, K]` where the task has one, that gives actions `[*B, N, A]` or, discrete,
            `[*B, N]`. Of several groups it takes mappings from their names and gives one.
        team: the environment that it plays in, or its sizes.

    Keyword Args:
        arrays: what a function takes and gives; modules of torch take tensors.
        metadata: of :class:`TeamPolicy`, e.g. the task.

    Raises:
        ValueError: it does not write the actions of every group.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> from omiga_torchrl.evaluation import evaluate
        >>> env = make_env("vmas/navigation", num_envs=2, max_steps=5)
        >>> policy = wrap_policy(lambda observation: np.clip(observation[..., -2:], -1, 1), env)
        >>> evaluate(policy, env, episodes=2, seed=0).lengths.tolist()
        [5, 5]
    """
    require_choice("wrap_policy", arrays=(arrays, ("numpy", "torch")))
    if isinstance(policy, TeamPolicy):
        return policy
    spec = TeamSpec.from_env(team) if isinstance(team, EnvBase) else team
    module = policy if isinstance(policy, TensorDictModuleBase) else FunctionPolicy(policy, spec, arrays)
    return TeamPolicy(module, spec, metadata=metadata)


class FunctionPolicy(TensorDictModuleBase):
    """A function of observations and masks as a TensorDict module.

    Args:
        function: see :func:`wrap_policy`.
        spec: sizes of the team.
        arrays: ``"numpy"`` or ``"torch"``; modules of torch take tensors in any case.
    """

    def __init__(self, function: Callable[..., Any], spec: AnyTeamSpec, arrays: str = "numpy") -> None:
        super().__init__()
        self.function, self.team = function, spec
        self.is_numpy = arrays == "numpy" and not isinstance(function, nn.Module)
        masked = [name for name, group in spec.groups.items() if group.masked]
        self.in_keys = [(name, "observation") for name in spec.groups] + [
            (name, "action_mask") for name in masked
        ]
        self.out_keys = [(name, "action") for name in spec.groups]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the function's actions.

        Raises:
            ValueError: they have another shape.
        """
        inputs: dict[str, dict[str, Any]] = {}
        for group, name in self.in_keys:
            value = tensordict.get((group, name))
            inputs.setdefault(name, {})[group] = value.cpu().numpy() if self.is_numpy else value
        is_plain = isinstance(self.team, TeamSpec)
        actions = self.function(*(x[keys.GROUP] if is_plain else x for x in inputs.values()))
        for group, action in ({keys.GROUP: actions} if is_plain else actions).items():
            observation = tensordict.get((group, "observation"))
            found = torch.as_tensor(np.asarray(action)) if self.is_numpy else action
            tensordict.set((group, "action"), _checked(found, observation, group, self.team.groups[group]))
        return tensordict


def _checked(action: Tensor, observation: Tensor, group: str, spec: TeamSpec) -> Tensor:
    rows = tuple(observation.shape[:-1])
    expected = rows if spec.discrete else (*rows, spec.action_size)
    if tuple(action.shape) != expected or action.is_floating_point() == spec.discrete:
        kind = "integers" if spec.discrete else "floats"
        raise ValueError(
            f"wrap_policy: actions of {group!r} must be {kind} of the shape {expected}, got {action.dtype} "
            f"of the shape {tuple(action.shape)}. Return one row for each agent."
        )
    return action.long() if spec.discrete else action.to(observation.dtype)


def find_policy(name: str, facts: PolicyFacts | None = None) -> TeamPolicy:
    """A policy by a path, see :func:`omiga_torchrl.policies.load_policy`, or by ``module:function``.

    Args:
        name: a file or folder, or the Python name of a function that takes the environment and returns any
            policy that :func:`wrap_policy` takes. Its module is imported, as ``imports=`` of the recipes are.
        facts: the task of such a function.

    Raises:
        ValueError: the function is not there, or has no task.
        DataError: see :func:`omiga_torchrl.policies.load_policy`.
    """
    if not _REFERENCE.fullmatch(name) or Path(name).exists():
        return load_policy(name)
    module, _, attribute = name.partition(":")
    function = getattr(importlib.import_module(module), attribute, None)
    if not callable(function) or facts is None or not facts.task:
        found = "no task to make it for" if callable(function) else f"no function {attribute!r} in it"
        raise ValueError(
            f"find_policy: {name!r} must be a function of an environment, got {found}. Pass task=, too."
        )
    env = facts.make_env()
    return wrap_policy(function(env), env, metadata=facts.to_dict())
