"""`TeamPolicy`: a policy with all that it needs to act in its raw environment."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, get_args

import numpy.typing as npt
import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl import keys
from omiga_torchrl.data.normalisation import Normalisation
from omiga_torchrl.data.spec_checks import find_spec_differences
from omiga_torchrl.env_specs import group_map_of
from omiga_torchrl.envs.memory import with_memory
from omiga_torchrl.errors import DataError, require_choice, require_key
from omiga_torchrl.evaluation.policy_facts import PolicyFacts
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules.groups import memory_keys
from omiga_torchrl.policies.acting import Arrays, State, act, initial_state
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.team_env import team_env

Mode = Literal["deterministic", "stochastic"]

_KINDS = {"deterministic": ExplorationType.DETERMINISTIC, "stochastic": ExplorationType.RANDOM}


class TeamPolicy(TensorDictModuleBase):
    """A team's whole policy: networks, observation scaling, sizes, and what it was trained for.

    As a TensorDict module it plays in the raw environment, in ``env.rollout``, collectors and
    :func:`omiga_torchrl.evaluation.evaluate`: it reads ``(group, "observation")`` `[*B, N, O]` as the
    environment gives it, scales it itself, and writes ``(group, "action")``. :meth:`wrap_env` refuses an
    environment that does not fit, and adds to one that does what a recurrent policy needs. :meth:`act` is
    the same policy for arrays.

    Args:
        network: reads entries of the environment, scaled, and writes the actions of every group.
        spec: sizes, bounds, groups and order of the agents.

    Keyword Args:
        algorithm: name of the algorithm that it was trained with.
        arguments: the algorithm's arguments.
        metadata: fields of :class:`omiga_torchrl.evaluation.PolicyFacts`, ``normalisation`` among them, and
            further plain values.
        mode: take the most likely action or sample; None (default) follows TorchRL's exploration type.

    Attributes:
        team: sizes, as given.
        mode: as given; may be changed.

    Raises:
        ValueError: the network does not write a group's action, or an unknown mode.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> from omiga_torchrl.modules import make_actor
        >>> env = make_env("vmas/navigation", num_envs=2, seed=0, max_steps=5)
        >>> spec = TeamSpec.from_env(env)
        >>> policy = TeamPolicy(make_actor(spec, hidden_sizes=(8,)), spec)
        >>> policy.wrap_env(env).rollout(5, policy)["agents", "action"].shape
        torch.Size([2, 5, 3, 2])
        >>> actions, state = policy.act(env.reset()["agents", "observation"].numpy())
        >>> actions.shape
        (2, 3, 2)
    """

    def __init__(
        self,
        network: TensorDictModuleBase,
        spec: AnyTeamSpec,
        *,
        algorithm: str = "",
        arguments: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        mode: Mode | None = None,
    ) -> None:
        super().__init__()
        require_choice("TeamPolicy", mode=(mode, (None, *get_args(Mode))))
        written = [keys.key_path(key) for key in network.out_keys]
        actions = [(name, "action") for name in spec.groups]
        missing = [key for key in actions if key not in written]
        if missing:
            raise ValueError(
                f"TeamPolicy: the network must write {', '.join(map(str, actions))}, got the keys "
                f"{', '.join(map(str, network.out_keys))}. Rename its outputs."
            )
        # Not `spec`: TorchRL's collectors take that for the policy's own specs.
        self.network, self.team, self.mode = network, spec, mode
        self.algorithm, self.arguments = algorithm, dict(arguments or {})
        self.metadata = dict(metadata or {})
        self.memory_keys = memory_keys(network)
        self.in_keys: list[NestedKey] = list(network.in_keys)
        log_probs = [(name, "action_log_prob") for name in spec.groups]
        self.out_keys: list[NestedKey] = [*actions, *(key for key in log_probs if key in written)]
        self.scalings = nn.ModuleDict()
        scale = self.facts.normalisation
        for key, moments in (Normalisation(**scale).moments() if scale else {}).items():
            if key in map(keys.key_path, self.in_keys):
                self.scalings["/".join(key)] = _Scaling(*moments)

    @property
    def facts(self) -> PolicyFacts:
        """The task that it was trained for, and the scaling of observations."""
        return PolicyFacts.from_dict({"task": None, **self.metadata})

    @property
    def is_recurrent(self) -> bool:
        """True if it carries a memory from step to step."""
        return bool(self.memory_keys)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the actions of every group for raw observations, and memories under ``"next"``.

        Raises:
            KeyError: an entry is missing, e.g. the memory in an environment that :meth:`wrap_env` has not
                prepared.
        """
        device = next((one.device for one in (*self.parameters(), *self.buffers())), None)
        inputs = TensorDict({}, tensordict.batch_size)
        for key in (*self.in_keys, *self.memory_keys):
            value = require_key("TeamPolicy", tensordict, key, "Play in policy.wrap_env(env).")
            name = "/".join(keys.key_path(key))
            value = value if device is None else value.to(device)
            inputs.set(key, self.scalings[name](value) if name in self.scalings else value)
        for key in (keys.IS_INIT, *getattr(self.network, "noise_keys", ())):
            value = tensordict.get(key, None)
            if value is not None:
                inputs.set(key, value if device is None else value.to(device))
        with self._exploration():
            out = self.network(inputs)
        home = tensordict.get(self.in_keys[0]).device
        for key in (*self.out_keys, *(("next", key) for key in self.memory_keys)):
            tensordict.set(key, out.get(key).to(home))
        return tensordict

    def _exploration(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.mode is None else set_exploration_type(_KINDS[self.mode])

    def act(
        self, observations: Arrays, state: State | None = None, action_mask: Arrays | None = None
    ) -> tuple[Any, State]:
        """Actions for raw observations; the most likely ones unless ``mode`` is ``"stochastic"``.

        Args:
            observations: of a plain team an array `[N, O]` or `[B, N, O]`; of several groups a mapping from
                their names to such arrays.
            state: what the call before returned; None at the start of an episode.
            action_mask: True = legal, `[N, K]` or `[B, N, K]`, or by group; needed where the task has one.

        Returns:
            Actions `[N, A]` or `[B, N, A]`, integers `[N]` or `[B, N]` if discrete, or by group; and the
            state for the next call, empty for a policy without memory.

        Raises:
            ValueError: another shape, a missing mask or state, or a mask that the policy does not read.
        """
        return act(self, observations, state, action_mask)

    def initial_state(self, batch: int | None = None) -> dict[str, npt.NDArray[Any]]:
        """The state at the start of episodes, to restart some of a batch: ``state[name][i] = ...``.

        Args:
            batch: number of environments B; None is one without a batch dimension.
        """
        return initial_state(self, batch)

    def check_env(self, env: EnvBase) -> None:
        """Raise unless the policy can play in an environment.

        Args:
            env: the raw environment.

        Raises:
            DataError: names all that differs: groups, agents and their order, sizes, kinds and bounds of
                actions, entries.
        """
        present = env.full_observation_spec.keys(True, True)
        if keys.STATE not in present:
            found = [
                f"the environment has no entry {keys.STATE!r}, which omiga_torchrl.envs.ConcatState adds"
            ]
        else:
            found = find_spec_differences(self.team, TeamSpec.from_env(env), "the policy")
            found += self._other_order(env)
            own = [key for key in map(keys.key_path, self.in_keys) if key[-1] != "last_action"]
            known = [keys.key_path(key) for key in present]
            found += [f"the policy reads {key!r}" for key in own if not found and key not in known]
        if found:
            task = team_env(env).task_name or "the environment"
            raise DataError(
                f"TeamPolicy: the policy of {self.facts.task or 'no known task'} does not fit {task}: "
                f"{'; '.join(found)}. Make the environment that it was trained for, policy.make_env()."
            )

    def _other_order(self, env: EnvBase) -> list[str]:
        found = []
        for name, agents in group_map_of(env).items():
            own = self.team.groups[name].agents if name in self.team.groups else ()
            if sorted(own) == sorted(agents) and list(own) != list(agents):
                found.append(
                    f"agents come in the order {', '.join(own)} in the policy and {', '.join(agents)} in the "
                    "environment"
                )
        return found

    def wrap_env(self, env: EnvBase) -> EnvBase:
        """The environment with what the policy needs: its memory and last actions, if it is recurrent.

        Args:
            env: the raw environment.

        Raises:
            DataError: it does not fit, see :meth:`check_env`.
        """
        return with_memory(env, self)

    def make_env(self, *, num_envs: int = 1, seed: int | None = None) -> EnvBase:
        """The environment that the policy was trained for, with what it needs.

        Args:
            num_envs: environments stepped together.
            seed: seed of the simulator.

        Raises:
            ValueError: the policy names no task.
        """
        return self.wrap_env(self.facts.make_env(num_envs=num_envs, seed=seed))


class _Scaling(nn.Module):
    """``(x - mean) / std`` of every feature, as the normalised data are made."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
