"""Coverage: whether the data hold actions like those of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.functional import half_ranges
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec

_QUANTILE = 0.95  # of the data's own distances: what is farther counts as not covered
_MOST_ROWS = 50_000  # that are searched for similar states


@dataclass(frozen=True)
class _Neighbours:
    """Steps of other episodes in which an agent saw much the same.

    Attributes:
        action: what it did then, ``[R, k, ...]``.
        own: distance of what it did in the step itself from the nearest of them, ``[R]``.
        limit: distance that counts as covered.
        present: where it takes part, ``[R]``.
    """

    action: Tensor
    own: Tensor
    limit: float
    present: Tensor

    def share(self, distance: Tensor) -> Tensor:
        """Of the states in which it takes part, those within the limit."""
        return (distance <= self.limit)[self.present].float().mean()


class Coverage:
    """The share of a policy's actions that have a like in the data.

    In a sample of states, an agent's action is covered if it is as near to one of its actions in the k most
    similar states of other episodes as 95% of the data's own actions are; discrete ones have to be equal to
    one. The data's behaviour has 0.95 by construction (discrete: less), a policy far away from it 0. Of a
    policy without coverage fitted-Q evaluation says nothing: its values are extrapolated.

    Args:
        spec: sizes of the team.
        data: transitions ``[T]`` with ``"episode"``.

    Keyword Args:
        states: size R of the sample.
        neighbours: number k of similar states.
        seed: of the sample.

    Examples:
        >>> from omiga_torchrl.data import OfflineDataset
        >>> dataset = OfflineDataset("vmas/navigation/mixed")
        >>> coverage = Coverage(dataset.spec, dataset.data, states=64)
        >>> still = {("agents", "action"): torch.zeros_like(dataset.data["agents", "action"])}
        >>> 0 <= coverage.of(still) < 1
        True
    """

    def __init__(
        self,
        spec: AnyTeamSpec,
        data: TensorDictBase,
        *,
        states: int = 512,
        neighbours: int = 32,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(data), generator=generator)
        self.rows, others = order[:states], order[:_MOST_ROWS]
        self._spec = spec
        self._known: dict[tuple[str, int], _Neighbours] = {}
        episode = data.get(keys.EPISODE).as_subclass(Tensor)
        same = episode[self.rows].unsqueeze(-1) == episode[others]
        for name, group in spec.groups.items():
            seen = data.get((name, "observation")).as_subclass(Tensor)
            seen = (seen - seen.mean((0, 1))) / seen.std((0, 1)).clamp(min=1e-6)
            action = data.get((name, "action")).as_subclass(Tensor)
            present = data.get((name, "agent_mask"), torch.ones(seen.shape[:2], dtype=torch.bool))
            for agent in range(group.n_agents):
                distance = torch.cdist(seen[self.rows, agent], seen[others, agent])
                distance.masked_fill_(same | ~present[others, agent], torch.inf)
                near = others[distance.topk(min(neighbours, len(others)), largest=False).indices]
                own = _distance(group, agent, action[self.rows, agent], action[near, agent])
                limit = 0.0 if group.discrete else float(own.quantile(_QUANTILE))
                taking_part = present[self.rows, agent].as_subclass(Tensor)
                self._known[name, agent] = _Neighbours(action[near, agent], own, limit, taking_part)

    @property
    def of_data(self) -> float:
        """That of the data's own actions."""
        return float(torch.stack([one.share(one.own) for one in self._known.values()]).nanmean())

    def of(self, actions: Mapping[NestedKey, Tensor]) -> float:
        """That of a policy, in [0, 1]; of all agents alike.

        Args:
            actions: its actions in all states of the data, ``[T, N, ...]`` by key.
        """
        shares = []
        for (name, agent), known in self._known.items():
            taken = actions[name, "action"][self.rows, agent]
            shares.append(known.share(_distance(self._spec.groups[name], agent, taken, known.action)))
        return float(torch.stack(shares).nanmean())


def _distance(group: TeamSpec, agent: int, action: Tensor, others: Tensor) -> Tensor:
    """Distance ``[R]`` of actions from the nearest of ``[R, k, ...]``, in half ranges; discrete: 0 or 1."""
    if group.discrete:
        return (action.unsqueeze(-1) != others).float().amin(-1)
    low, high = torch.tensor(group.action_low), torch.tensor(group.action_high)
    half = torch.as_tensor(half_ranges(low, high)).expand(group.n_agents, group.action_size)[agent]
    return ((action.unsqueeze(-2) - others) / half).square().mean(-1).sqrt().amin(-1)
