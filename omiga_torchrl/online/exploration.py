"""Exploration of a team: noise on the actions of all agents, or of one at a time."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.errors import require_choice, require_number
from omiga_torchrl.functional import clamp_to_bounds, half_ranges
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec

Explorers = Literal["all", "one"]


class ExploringPolicy(TensorDictModuleBase):
    """A policy with noise on its actions.

    Continuous actions get Gaussian noise and are clipped to their bounds; of discrete ones some are replaced
    by a uniformly drawn legal one. With ``explorers="one"`` a single agent, drawn anew at every step,
    explores while its teammates act as they do: what is seen then is the effect of one deviation
    (OVMSE, arXiv:2410.19450).

    Args:
        policy: writes the joint action.
        spec: sizes and bounds of the team.

    Keyword Args:
        noise: standard deviation in half ranges of the action; of discrete actions the probability to draw
            another one, at most 1.
        explorers: ``"all"`` agents, or ``"one"``.

    Examples:
        >>> from omiga_torchrl.modules import make_actor
        >>> spec = TeamSpec(3, 5, 2, 7)
        >>> policy = ExploringPolicy(make_actor(spec), spec, noise=0.1, explorers="one")
        >>> policy(spec.fake_batch(8))["agents", "action"].shape
        torch.Size([8, 3, 2])
    """

    def __init__(
        self,
        policy: TensorDictModuleBase,
        spec: AnyTeamSpec,
        *,
        noise: float = 0.1,
        explorers: Explorers = "all",
    ) -> None:
        super().__init__()
        require_number("ExploringPolicy", ">= 0", noise=noise)
        require_choice("ExploringPolicy", explorers=(explorers, get_args(Explorers)))
        if spec.kind != "continuous":
            require_number("ExploringPolicy", "in [0, 1]", noise=noise)
        self.policy, self.team, self.noise, self.explorers = policy, spec, noise, explorers
        self.in_keys, self.out_keys = list(policy.in_keys), list(policy.out_keys)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the actions with noise."""
        out = self.policy(tensordict)
        first, *_ = self.team.groups
        batch = out.get((first, "observation")).shape[:-2]
        explores = torch.ones(*batch, self.team.n_agents, dtype=torch.bool)
        if self.explorers == "one":
            drawn = torch.rand(*batch, self.team.n_agents).argmax(-1, keepdim=True)
            explores = torch.zeros_like(explores).scatter_(-1, drawn, True)
        agents = [group.n_agents for group in self.team.groups.values()]
        parts = explores.split(agents, -1)
        for (name, group), exploring in zip(self.team.groups.items(), parts, strict=True):
            action = out.get((name, "action"))
            mask = out.get((name, "action_mask"), None)
            act = self._discrete(group, action, mask) if group.discrete else self._continuous(group, action)
            exploring = exploring.to(action.device)
            exploring = exploring if group.discrete else exploring.unsqueeze(-1)
            out.set((name, "action"), torch.where(exploring, act, action))
        return out

    def _continuous(self, group: TeamSpec, action: Tensor) -> Tensor:
        low, high = torch.tensor(group.action_low), torch.tensor(group.action_high)
        noise = self.noise * half_ranges(low, high) * torch.randn_like(action)
        return clamp_to_bounds(action + noise, low, high)

    def _discrete(self, group: TeamSpec, action: Tensor, mask: Tensor | None) -> Tensor:
        weight = torch.rand(*action.shape, group.action_size)
        drawn = (weight if mask is None else weight.masked_fill(~mask, -1.0)).argmax(-1)
        return torch.where(torch.rand(action.shape) < self.noise, drawn.to(action.dtype), action)


def as_rows(batch: TensorDictBase) -> TensorDictBase:
    """A collector's batch ``[environments, time]`` as transitions with ``"is_init"`` and ``"episode"``.

    Args:
        batch: consecutive steps; a new episode begins after a step that is done.
    """
    done = batch.get(("next", keys.DONE))
    begins = torch.cat([torch.ones_like(done[:, :1]), done[:, :-1]], 1)
    out = batch.clone(recurse=False)
    out.set(keys.IS_INIT, begins)
    out.set(keys.EPISODE, torch.full(batch.batch_size, -1))  # of no episode of the data
    return out.reshape(-1)
