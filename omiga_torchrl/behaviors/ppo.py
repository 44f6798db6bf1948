"""MAPPO on TorchRL's own PPO loss: how behaviour policies are trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import (
    ProbabilisticTensorDictSequential,
    TensorDictModule,
    TensorDictModuleBase,
    TensorDictSequential,
)
from torch import Tensor, nn
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type, step_mdp
from torchrl.modules import MLP
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from omiga_torchrl import keys
from omiga_torchrl.behaviors.network import behaviour_actor, team_policy
from omiga_torchrl.behaviors.ppo_settings import PPOSettings
from omiga_torchrl.behaviors.running_scale import RunningScale
from omiga_torchrl.modules.group_policy import GroupPolicy
from omiga_torchrl.specs import TeamSpec

__all__ = ["PPO", "PPOSettings"]

_TERMS = ("loss_objective", "loss_critic", "loss_entropy")


class PPO:
    """Policies, a critic of the team, and how one batch improves them.

    The critic sees the state and values the team; every agent's policy is updated with the
    team's advantage. The agents of a group share a policy.

    Args:
        env: the training environment.
        settings: complete settings.
        batches: number of batches in all, for the decay of the learning rate.
    """

    def __init__(self, env: EnvBase, settings: PPOSettings, batches: int) -> None:
        self.env, self.settings, self.batches = env, settings, batches
        self.spec = TeamSpec.from_env(env)
        self.actors = {
            name: self._new_actor(group, **_acting_keys(name, group))
            for name, group in self.spec.groups.items()
        }
        self.observation_scales = {
            name: RunningScale(group.observation_size) for name, group in self.spec.groups.items()
        }
        self.state_scale = RunningScale(self.spec.state_size)
        self.return_scale = RunningScale(1)
        with torch.no_grad():
            for actor in self.actors.values():
                _last_linear(actor).weight.mul_(settings.output_gain)
        self.acting = TensorDictSequential(*(part for name in self.actors for part in self._acting(name)))
        self.critic = self._new_critic()
        self.losses = nn.ModuleDict(
            {
                name: _make_loss(name, actor, None if index else self.critic, settings)
                for index, (name, actor) in enumerate(self.actors.items())
            }
        )
        # The critic values the team, so the advantage is estimated at the root, where the
        # reward and done are; it is expanded to the agents afterwards.
        self.gae = GAE(gamma=settings.gamma, lmbda=settings.lmbda, value_network=self.critic)
        self.optimizer = torch.optim.Adam(self.losses.parameters(), lr=settings.lr)
        self._current: TensorDictBase | None = None
        self._discounted: Tensor | None = None

    def policy(self) -> ProbabilisticTensorDictSequential | GroupPolicy:
        """The policies as they are now, on plain observations: the scaling is folded into their weights."""
        return team_policy(self.spec, {name: self._plain_actor(name) for name in self.actors})

    def _plain_actor(self, name: str) -> ProbabilisticTensorDictSequential:
        group, scale = self.spec.groups[name], self.observation_scales[name]
        plain = self._new_actor(group)
        plain.load_state_dict(self.actors[name].state_dict())
        if self.settings.normalise:
            first = _first_linear(plain)
            with torch.no_grad():
                weight = first.weight[:, : group.observation_size]
                # Features that never varied have no say, here as in training.
                divided = weight / scale.std.to(weight.dtype) * scale.varies
                first.bias.sub_(divided @ scale.mean.to(weight.dtype))
                weight.copy_(divided)
        return plain

    def _new_actor(self, group: TeamSpec, **options: Any) -> ProbabilisticTensorDictSequential:
        settings = self.settings
        if not settings.state_dependent_std:
            options["state_dependent_std"] = False
        return behaviour_actor(group, list(settings.hidden), **options)

    def _new_critic(self) -> TensorDictModule:
        settings = self.settings
        body = MLP(self.spec.state_size, 1, num_cells=list(settings.hidden), activation_class=nn.Tanh)
        return TensorDictModule(
            nn.Sequential(self.state_scale if settings.normalise else nn.Identity(), body),
            in_keys=[keys.STATE],
            out_keys=["state_value"],
        )

    def _acting(self, name: str) -> list[TensorDictModuleBase]:
        """A group's scaling and its policy."""
        scale = self.observation_scales[name] if self.settings.normalise else nn.Identity()
        scaled = TensorDictModule(
            scale, in_keys=[(name, "observation")], out_keys=[(name, "scaled_observation")]
        )
        return [scaled, self.actors[name]]

    def train(self) -> Iterator[int]:
        """Train batch by batch; yields the number of batches done."""
        if self.settings.normalise:
            self._learn_scale(self.env.rollout(self.settings.steps or 0, break_when_any_done=False))
        for index in range(1, self.batches + 1):
            if self.settings.lr_decay:
                left = 1 - (index - 1) / self.batches
                self.optimizer.param_groups[0]["lr"] = self.settings.lr * left
            batch = self._play()
            raw = batch.select(*((name, "observation") for name in self.actors), keys.STATE)
            if self.settings.normalise:
                self._scale_rewards(batch)
            with torch.no_grad():
                batch = self.gae(batch).reshape(-1)
            advantage = batch.pop("advantage")
            advantage = (advantage - advantage.mean()) / advantage.std().clamp_min(1e-6)
            for name, group in self.spec.groups.items():
                of_agents = advantage.unsqueeze(-2).expand(-1, group.n_agents, -1)
                batch.set((name, "advantage"), of_agents)
            self._update(batch)
            if self.settings.normalise:
                # Only now: the batch was played with the scale that the update has to use.
                self._learn_scale(raw)
            yield index

    def _play(self) -> TensorDictBase:
        options: dict[str, Any] = {}
        if self.settings.continue_episodes and self._current is not None:
            options = {"auto_reset": False, "tensordict": self._current}
        # TorchRL rollouts act deterministically unless told otherwise.
        with set_exploration_type(ExplorationType.RANDOM), torch.no_grad():
            batch = self.env.rollout(
                self.settings.steps or 0, self.acting, break_when_any_done=False, **options
            )
        if self.settings.continue_episodes:
            self._current = self.env.maybe_reset(step_mdp(batch[..., -1]))
        return batch

    def _learn_scale(self, batch: TensorDictBase) -> None:
        for name, scale in self.observation_scales.items():
            scale.update(batch[name, "observation"])
        self.state_scale.update(batch[keys.STATE])

    def _scale_rewards(self, batch: TensorDictBase) -> None:
        reward, done = batch["next", keys.REWARD], batch["next", keys.DONE]
        running = torch.zeros_like(reward[:, 0]) if self._discounted is None else self._discounted
        for time in range(reward.shape[1]):
            running = running * self.settings.gamma + reward[:, time]
            self.return_scale.update(running)
            running = torch.where(done[:, time], 0.0, running)
        self._discounted = running
        batch["next", keys.REWARD] = (reward / self.return_scale.std).to(reward.dtype)

    def _update(self, batch: TensorDictBase) -> None:
        options = self.settings
        needed = [key for name in self.actors for key in getattr(self.losses, name).in_keys]
        advantages = [(name, "advantage") for name in self.actors]
        used = batch.select(*needed, *advantages, "value_target", strict=False)
        for _ in range(options.epochs):
            for rows in torch.randperm(len(used)).split(options.minibatch_size or len(used)):
                self.optimizer.zero_grad()
                self._total_loss(used[rows]).backward()
                nn.utils.clip_grad_norm_(self.losses.parameters(), options.max_grad_norm)
                self.optimizer.step()

    def _total_loss(self, rows: TensorDictBase) -> Tensor:
        """The loss of the critic, and of every group's policy the mean over its agents."""
        parts: list[Tensor] = []
        for loss in self.losses.values():
            terms = loss(rows)
            parts += [terms[name] for name in _TERMS if name in terms]
        return sum(parts[1:], start=parts[0])


def _make_loss(
    group: str,
    actor: ProbabilisticTensorDictSequential,
    critic: TensorDictModule | None,
    settings: PPOSettings,
) -> ClipPPOLoss:
    """The loss of a group's policy, and of the critic where it is given."""
    loss = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=settings.clip_epsilon,
        entropy_coeff=settings.entropy_coeff,
        normalize_advantage=False,
    )
    loss.set_keys(
        action=(group, "action"),
        sample_log_prob=(group, "action_log_prob"),
        advantage=(group, "advantage"),
        value="state_value",
    )
    return loss


def _acting_keys(name: str, group: TeamSpec) -> dict[str, NestedKey]:
    """Where a group's policy reads and writes in the environment."""
    found: dict[str, NestedKey] = {"observation": (name, "scaled_observation"), "action": (name, "action")}
    return {**found, "action_mask": (name, "action_mask")} if group.masked else found


def _linears(actor: nn.Module) -> list[nn.Linear]:
    return [module for module in actor.modules() if isinstance(module, nn.Linear)]


def _first_linear(actor: nn.Module) -> nn.Linear:
    return _linears(actor)[0]


def _last_linear(actor: nn.Module) -> nn.Linear:
    return _linears(actor)[-1]
