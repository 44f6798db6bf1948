"""Conditional VAEs of teams whose agents differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from omiga_torchrl import keys
from omiga_torchrl.gathering import pad_last
from omiga_torchrl.groups import GroupedTeamSpec, require_groups
from omiga_torchrl.modules.behavior_models import ConditionalVAE, standard_normal
from omiga_torchrl.modules.distributions import Size


class GroupVAE(TensorDictModuleBase):
    """The conditional VAEs of groups, as one model of the actions of all agents ``[*B, N, A]``.

    Args:
        spec: the groups, all with continuous actions.
        models: name of every group to its model.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)})
        >>> model = GroupVAE(spec, {name: ConditionalVAE(group) for name, group in spec.groups.items()})
        >>> model.get_dist(spec.gather(spec.fake_batch(8))).sample((10,)).shape
        torch.Size([10, 8, 5, 4])
    """

    def __init__(self, spec: GroupedTeamSpec, models: Mapping[str, ConditionalVAE]) -> None:
        super().__init__()
        require_groups("GroupVAE", models, spec)
        self.spec, self.n_agents = spec, spec.n_agents
        self.networks = nn.ModuleDict({name: models[name] for name in spec.groups})
        self.in_keys, self.out_keys = [keys.OBSERVATION], [keys.ACTION]

    def get_dist(self, tensordict: TensorDictBase) -> GroupLatentActions:
        """The distribution of actions given the observations of ``tensordict``."""
        return GroupLatentActions(self, tensordict.get(keys.OBSERVATION))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write one sampled action of every agent."""
        return tensordict.set(keys.ACTION, self.get_dist(tensordict).sample())


class GroupLatentActions(Distribution):
    """The distribution of a :class:`GroupVAE`: features that an agent lacks are 0, and count nothing.

    Noise is drawn for the whole team at once, so that a team has the draws of its parts.

    Args:
        model: the model.
        observation: of the team ``[*B, N, O]``.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, model: GroupVAE, observation: Tensor) -> None:
        self.model, self.observation = model, observation
        size = torch.Size([model.spec.largest("action_size")])
        super().__init__(observation.shape[:-1], size, validate_args=False)

    def _parts(self) -> Iterator[tuple[ConditionalVAE, slice, Tensor, int]]:
        """Model, agents, observations ``[*B, n, o]`` and action size of every group."""
        for name, group in self.model.spec.groups.items():
            agents = slice(*self.model.spec.spans[name])
            seen = self.observation[..., agents, : group.observation_size]
            yield cast(ConditionalVAE, self.model.networks[name]), agents, seen, group.action_size

    def _latent_noise(self, rows: tuple[int, ...]) -> Tensor:
        size = max(model.latent_size for model, *_ in self._parts())
        return standard_normal((*rows, *self.batch_shape, size), self.observation)

    def log_prob(self, value: Tensor) -> Tensor:
        """A lower bound of the log density ``[*M, *B, N]`` of actions ``[*M, *B, N, A]``."""
        rows, densities = value.shape[: value.ndim - self.observation.ndim], []
        count = max(model.importance_samples for model, *_ in self._parts())
        noise = self._latent_noise((count, *rows))
        for model, agents, seen, size in self._parts():
            action = value[..., agents, :size]
            of_group = noise[..., agents, : model.latent_size]
            seen = seen.expand(*rows, *seen.shape)
            densities.append(model.log_density(seen, action, model.importance_samples, of_group))
        return torch.cat(densities, -1)

    def squared_error_loss(self, value: Tensor) -> Tensor:
        """BCQ's released training loss ``[*B, N]``, see :meth:`ConditionalVAE.squared_error_loss`."""
        noise = self._latent_noise(())
        return torch.cat(
            [
                model.squared_error_loss(
                    seen, value[..., agents, :size], noise[..., agents, : model.latent_size]
                )
                for model, agents, seen, size in self._parts()
            ],
            -1,
        )

    def sample(self, sample_shape: Size = ()) -> Tensor:
        """Actions ``[*sample_shape, *B, N, A]``, detached."""
        with torch.no_grad():  # as a decorator it does not compile
            flat = self._sample(math.prod(sample_shape))
        return flat.reshape(*sample_shape, *flat.shape[1:])

    def _sample(self, count: int) -> Tensor:
        latent, actions = self._latent_noise((count,)), []
        of_action = None
        if any(model.max_latent is None for model, *_ in self._parts()):
            of_action = standard_normal((count, *self.batch_shape, *self.event_shape), self.observation)
        for model, agents, seen, size in self._parts():
            of_group = None if of_action is None else of_action[..., agents, :size]
            noise = latent[..., agents, : model.latent_size], of_group
            actions.append(pad_last(model.sample(seen, count, noise), self.event_shape[0]))
        return torch.cat(actions, -2)
