"""Settings of the training of behaviour policies."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torchrl.envs import EnvBase, StepCounter


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
