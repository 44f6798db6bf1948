"""MAPPO on TorchRL's own PPO loss: how behaviour policies are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import (
    ProbabilisticTensorDictSequential,
    TensorDictModule,
    TensorDictSequential,
)
from torch import Tensor, nn
from torchrl.envs import EnvBase, StepCounter
from torchrl.envs.utils import ExplorationType, set_exploration_type, step_mdp
from torchrl.modules import MLP
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from omiga_torchrl import keys
from omiga_torchrl.modules import make_actor
from omiga_torchrl.specs import TeamSpec

_ADVANTAGE = (keys.GROUP, "advantage")
_SCALED = (keys.GROUP, "scaled_observation")


@dataclass(frozen=True)
class PPOSettings:
    """Settings of the behaviour training; the defaults learn VMAS navigation in 400k frames.

    Attributes:
        num_envs: environments stepped together.
        steps: steps of one batch per environment; ``None`` means one full episode.
        lr: learning rate of Adam.
        lr_decay: whether it falls linearly to zero over the training.
        gamma: discount.
        lmbda: lambda of the generalised advantage estimate.
        clip_epsilon: bound on the change of the probability ratio.
        entropy_coeff: weight of the entropy bonus.
        epochs: passes over one batch.
        minibatch_size: joint transitions per update; ``None`` means 40 times ``steps``.
        max_grad_norm: bound on the norm of the gradient.
        hidden: hidden sizes of the policy and of the critic.
        normalise: standardise observations and state by their running statistics, and divide
            rewards by the running standard deviation of discounted returns. Saved policies
            have the first folded into their weights.
        continue_episodes: whether a batch goes on where the last one ended, as it has to
            where episodes are longer than ``steps``; otherwise it begins with a reset.
        output_gain: factor on the initial weights of the policy's last layer.
        state_dependent_std: whether the policy's standard deviation depends on the observation.
    """

    num_envs: int = 200
    steps: int | None = None
    lr: float = 5e-4
    lr_decay: bool = False
    gamma: float = 0.99
    lmbda: float = 0.95
    clip_epsilon: float = 0.2
    entropy_coeff: float = 1e-3
    epochs: int = 8
    minibatch_size: int | None = None
    max_grad_norm: float = 1.0
    hidden: tuple[int, ...] = (128, 128)
    normalise: bool = False
    continue_episodes: bool = False
    output_gain: float = 1.0
    state_dependent_std: bool = True

    def completed_for(self, env: EnvBase) -> PPOSettings:
        """The settings with what follows from the task filled in."""
        counters = [t for t in getattr(env, "transform", ()) if isinstance(t, StepCounter)]
        steps = self.steps or (counters[0].max_steps if counters else None) or 100
        return replace(self, steps=steps, minibatch_size=self.minibatch_size or 40 * steps)


class RunningScale(nn.Module):
    """Subtracts the mean of everything seen so far and divides by its standard deviation.

    Args:
        size: number of features F.

    Examples:
        >>> scale = RunningScale(1)
        >>> scale.update(torch.tensor([[1.0], [3.0]]))
        >>> scale(torch.tensor([3.0]))
        tensor([1.])
    """

    count: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(size, dtype=torch.float64))

    @property
    def varies(self) -> Tensor:
        """Which features have varied so far by more than rounding can carry `[F]`."""
        # A mean of a thousand deviations, folded into weights in half precision, leaves nothing.
        smallest = 1e-3 * (self.mean.abs() + 0.1)
        return self.square - self.mean.square() > smallest.square()

    @property
    def std(self) -> Tensor:
        """Standard deviation `[F]`; 1 for features that do not vary."""
        variance = self.square - self.mean.square()
        return torch.where(self.varies, variance, 1.0).sqrt()

    def update(self, values: Tensor) -> None:
        """Take values `[..., F]` into account."""
        rows = values.detach().reshape(-1, values.shape[-1]).double()
        self.count += len(rows)
        share = len(rows) / self.count
        self.mean += share * (rows.mean(0) - self.mean)
        self.square += share * (rows.square().mean(0) - self.square)

    def forward(self, values: Tensor) -> Tensor:
        """The values `[..., F]`, scaled; 0 for features that do not vary."""
        return ((values - self.mean) / self.std * self.varies).to(values.dtype)


class PPO:
    """A policy, a critic of the team, and how one batch improves them.

    The critic sees the state and values the team; every agent's policy is updated with the
    team's advantage.

    Args:
        env: the training environment.
        settings: complete settings.
        batches: number of batches in all, for the decay of the learning rate.
    """

    def __init__(self, env: EnvBase, settings: PPOSettings, batches: int) -> None:
        self.env, self.settings, self.batches = env, settings, batches
        self.spec = TeamSpec.from_env(env)
        self.actor = self._new_actor(observation=_SCALED)
        self.observation_scale = RunningScale(self.spec.observation_size)
        self.state_scale = RunningScale(self.spec.state_size)
        self.return_scale = RunningScale(1)
        with torch.no_grad():
            _last_linear(self.actor).weight.mul_(settings.output_gain)
        scale = self.observation_scale if settings.normalise else nn.Identity()
        scaled = TensorDictModule(scale, in_keys=[keys.OBSERVATION], out_keys=[_SCALED])
        self.acting = TensorDictSequential(scaled, self.actor)
        body = MLP(self.spec.state_size, 1, num_cells=list(settings.hidden), activation_class=nn.Tanh)
        self.critic = TensorDictModule(
            nn.Sequential(self.state_scale if settings.normalise else nn.Identity(), body),
            in_keys=[keys.STATE],
            out_keys=["state_value"],
        )
        self.loss = _make_loss(self.actor, self.critic, settings)
        # The critic values the team, so the advantage is estimated at the root, where the
        # reward and done are; it is expanded to the agents afterwards.
        self.gae = GAE(gamma=settings.gamma, lmbda=settings.lmbda, value_network=self.critic)
        self.optimizer = torch.optim.Adam(self.loss.parameters(), lr=settings.lr)
        self._current: TensorDictBase | None = None
        self._discounted: Tensor | None = None

    def policy(self) -> ProbabilisticTensorDictSequential:
        """The policy as it is now, on plain observations: the scaling is folded into its weights."""
        plain = self._new_actor()
        plain.load_state_dict(self.actor.state_dict())
        if self.settings.normalise:
            first, scale = _first_linear(plain), self.observation_scale
            with torch.no_grad():
                weight = first.weight[:, : self.spec.observation_size]
                # Features that never varied have no say, here as in training.
                divided = weight / scale.std.to(weight.dtype) * scale.varies
                first.bias.sub_(divided @ scale.mean.to(weight.dtype))
                weight.copy_(divided)
        return plain

    def _new_actor(self, **options: Any) -> ProbabilisticTensorDictSequential:
        settings = self.settings
        if not settings.state_dependent_std:
            options["state_dependent_std"] = False
        return behaviour_actor(self.spec, list(settings.hidden), **options)

    def train(self) -> Iterator[int]:
        """Train batch by batch; yields the number of batches done."""
        if self.settings.normalise:
            self._learn_scale(self.env.rollout(self.settings.steps or 0, break_when_any_done=False))
        for index in range(1, self.batches + 1):
            if self.settings.lr_decay:
                left = 1 - (index - 1) / self.batches
                self.optimizer.param_groups[0]["lr"] = self.settings.lr * left
            batch = self._play()
            raw = batch.select(keys.OBSERVATION, keys.STATE)
            if self.settings.normalise:
                self._scale_rewards(batch)
            with torch.no_grad():
                batch = self.gae(batch).reshape(-1)
            advantage = batch.pop("advantage")
            advantage = (advantage - advantage.mean()) / advantage.std().clamp_min(1e-6)
            batch.set(_ADVANTAGE, advantage.unsqueeze(-2).expand(-1, self.spec.n_agents, -1))
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
        self.observation_scale.update(batch[keys.OBSERVATION])
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
        used = batch.select(*self.loss.in_keys, _ADVANTAGE, "value_target", strict=False)
        for _ in range(options.epochs):
            for rows in torch.randperm(len(used)).split(options.minibatch_size or len(used)):
                terms = self.loss(used[rows])
                total = terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]
                self.optimizer.zero_grad()
                total.backward()
                nn.utils.clip_grad_norm_(self.loss.parameters(), options.max_grad_norm)
                self.optimizer.step()


def behaviour_actor(spec: TeamSpec, hidden: list[int], **options: Any) -> ProbabilisticTensorDictSequential:
    """The network of behaviour policies: one MLP with tanh, shared by all agents.

    Args:
        spec: sizes of the team.
        hidden: hidden sizes.
        options: further arguments of :func:`omiga_torchrl.modules.make_actor`.
    """
    return make_actor(spec, hidden_sizes=hidden, activation=nn.Tanh, return_log_prob=True, **options)


def _make_loss(
    actor: ProbabilisticTensorDictSequential, critic: TensorDictModule, settings: PPOSettings
) -> ClipPPOLoss:
    loss = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=settings.clip_epsilon,
        entropy_coeff=settings.entropy_coeff,
        normalize_advantage=False,
    )
    loss.set_keys(
        action=keys.ACTION,
        sample_log_prob=(keys.GROUP, "action_log_prob"),
        advantage=_ADVANTAGE,
        value="state_value",
    )
    return loss


def _linears(actor: nn.Module) -> list[nn.Linear]:
    return [module for module in actor.modules() if isinstance(module, nn.Linear)]


def _first_linear(actor: nn.Module) -> nn.Linear:
    return _linears(actor)[0]


def _last_linear(actor: nn.Module) -> nn.Linear:
    return _linears(actor)[-1]
