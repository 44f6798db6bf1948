"""`FQEConfig`: networks and optimisation of fitted-Q evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from omiga_torchrl.algorithms.common import NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig
from omiga_torchrl.errors import require_count, require_number
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.objectives import FQELoss

CriticName = Literal["auto", "linear", "vdn", "qmix", "none", "joint"]


@dataclass(frozen=True, kw_only=True)
class FQEConfig:
    """How the value of a policy is fitted.

    Attributes:
        critic: mixer of local critics, as of an algorithm, or ``"joint"``: one critic of the joint action.
        hidden_sizes: hidden layers of the critics.
        mixer_hidden_sizes: hidden layers of the mixer, which read the state.
        gamma: discount, in [0, 1).
        lr: Adam's learning rate.
        tau: share of the online networks that the targets take over at each step. A fit forgets where it
            began in about ``1 / (tau (1 - gamma))`` steps: 500 by default.
        batch_size: transitions a step, of every seed its own.
        steps: gradient steps for the candidates, which begin at the behaviour's values.
        behavior_steps: gradient steps for the behaviour's values before.
        seeds: number of independent fits of every policy: initial weights and batches.

    Raises:
        ValueError: a number is out of its range.
    """

    critic: CriticName = "auto"
    hidden_sizes: Sequence[int] = (128, 128)
    mixer_hidden_sizes: Sequence[int] = (64,)
    gamma: float = 0.99
    lr: float = 1e-3
    tau: float = 0.2
    batch_size: int = 256
    steps: int = 2000
    behavior_steps: int = 2000
    seeds: int = 5

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("batch_size", "steps", "behavior_steps", "seeds")}
        require_count("FQEConfig", 1, **counts)
        require_number("FQEConfig", "> 0", lr=self.lr, tau=self.tau)
        require_number("FQEConfig", "in [0, 1]", gamma=self.gamma, tau=self.tau)
        if self.gamma == 1:
            raise ValueError("FQEConfig: gamma is 1; expected a number below 1: values have no end then.")

    def loss(self, spec: AnyTeamSpec, value_range: tuple[float, float] | None = None) -> FQELoss:
        """The loss with new networks.

        Args:
            spec: sizes of the team, or with ``critic="joint"`` of :func:`one_agent_spec`.
            value_range: see :class:`omiga_torchrl.objectives.FQELoss`.
        """
        mixer = "none" if self.critic == "joint" else self.critic
        critics = CriticConfig(
            hidden_sizes=tuple(self.hidden_sizes),
            mixer=mixer,
            mixer_hidden_sizes=tuple(self.mixer_hidden_sizes),
            num_qvalue_nets=1,
        )
        build = NetworkBuilder(spec, critics)
        return FQELoss(
            build.qvalue(wrap_single=False), build.mixer(), gamma=self.gamma, value_range=value_range
        )
