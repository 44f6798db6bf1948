"""Random data of a team's sizes, for tests and examples."""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec

Entries = dict[str, Tensor]


def fake_batch(spec: AnyTeamSpec, *batch: int) -> TensorDictBase:
    """Random data of a team's sizes, shaped as the replay buffer gives it.

    Args:
        spec: the sizes.
        batch: the batch dimensions. With two or more the last is time, and each sequence is of one
            episode: it begins with the first step and may end with the last.
    """
    seen = {
        name: torch.randn(2, *batch, group.n_agents, group.observation_size)
        for name, group in spec.groups.items()
    }
    states = torch.randn(2, *batch, spec.state_size)
    agents, following = {}, {}
    for name, group in spec.groups.items():
        agents[name], following[name] = _entries(group, seen[name])
    return _with_outcomes(agents, following, states)


def _entries(spec: TeamSpec, observations: Tensor) -> tuple[Entries, Entries]:
    """Random entries of this step and the next of a group with ``observations [2, *B, N, O]``."""
    agents, following = {"observation": observations[0]}, {"observation": observations[1]}
    rows = observations.shape[1:-1]
    agents["action"] = torch.randint(spec.action_size, rows) if spec.discrete else _actions(spec, rows)
    if spec.masked:
        legal = torch.rand(2, *rows, spec.action_size) < 0.7
        legal[0].scatter_(-1, agents["action"].unsqueeze(-1), True)
        legal[1, ..., 0] = True
        agents["action_mask"], following["action_mask"] = legal
    return agents, following


def _actions(spec: TeamSpec, rows: torch.Size) -> Tensor:
    low, high = spec.action_low, spec.action_high
    if isinstance(low, tuple) or isinstance(high, tuple):
        bounds = torch.tensor(low), torch.tensor(high)
        return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(*rows, spec.action_size)
    return torch.empty(*rows, spec.action_size).uniform_(low, high)


def _with_outcomes(
    agents: dict[str, Entries], following: dict[str, Entries], states: Tensor
) -> TensorDictBase:
    batch = list(states.shape[1:-1])
    ended = torch.rand(*batch, 1) < 0.1
    if len(batch) > 1:
        ended[..., :-1, :] = False
    starts = torch.zeros(*batch, 1, dtype=torch.bool)
    starts[(..., 0, slice(None)) if batch else ...] = True
    outcome = {
        **{name: TensorDict(dict(entries), batch) for name, entries in following.items()},
        keys.STATE: states[1],
        keys.REWARD: torch.randn(*batch, 1),
        keys.DONE: ended,
        keys.TERMINATED: ended.clone(),
    }
    now = {name: TensorDict(dict(entries), batch) for name, entries in agents.items()}
    return TensorDict(
        {**now, keys.STATE: states[0], keys.IS_INIT: starts, "next": TensorDict(outcome, batch)}, batch
    )
