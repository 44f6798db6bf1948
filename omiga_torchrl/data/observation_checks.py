"""Are the recorded observations those that the environment gives?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import first_steps
from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.team_env import team_env

# Fresh resets to compare with, and recorded episodes.
_RESETS: Final = 128
_EPISODES: Final = 512
# The two-sample Kolmogorov-Smirnov statistic that equal distributions exceed once in a million
# times is sqrt(-ln(1e-6 / 2) / 2) = 2.69 times sqrt((n + m) / (n m)).
_CRITICAL: Final = 2.69
# Steps that are replayed, and how far off they may lead, relative to how far they lead.
_REPLAYED: Final = 100
_REPLAY_TOLERANCE: Final = 0.05
# Distributions that lie closer than this count as the same, relative to the size of the feature and
# of all features: some simulators draw where episodes start once for every environment made, so
# that recordings differ a little.
_OF_FEATURE: Final = 0.05
_OF_ALL: Final = 0.02


def find_observation_differences(dataset: OfflineDataset, env: EnvBase) -> list[str]:
    """In what the recorded observations differ from those of the environment.

    Compares the distributions of first observations, feature by feature, with the two-sample
    Kolmogorov-Smirnov test at a level of one in a million. Where the environment can be put into
    a recorded state (:meth:`omiga_torchrl.envs.TeamEnv.replay_step`), recorded actions are replayed
    from there.

    Args:
        dataset: the dataset; its sizes are those of the environment.
        env: the environment; it is reset.
    """
    data, normalisation = dataset.data, dataset.normalisation
    if normalisation is not None:
        env = normalisation.apply_to(env)
    groups = list(dataset.spec.groups)
    fresh = _fresh_observations(env, groups)
    found = []
    for group in groups:
        found += _of_group(
            _first_observations(data, group), fresh[group], "" if groups == [keys.GROUP] else group
        )
    if found or normalisation is not None or groups != [keys.GROUP]:
        return found
    return _replay(dataset, env)


def _of_group(recorded: Tensor, fresh: Tensor, group: str) -> list[str]:
    # Where agents come and go, no episode may begin with all of them.
    if not (len(recorded) and len(fresh)):
        return []
    found = _compare(recorded, fresh)
    if not found:
        return []
    agent, feature = found[0]
    ours, theirs = recorded[:, agent, feature], fresh[:, agent, feature]
    whose = f" of group {group!r}" if group else ""
    return [
        f"first observations{whose} differ from fresh resets in {len(found)} of "
        f"{recorded[0].numel()} features: agent {agent}, feature {feature} is {ours.mean():.3g} +- "
        f"{ours.std():.2g} in the data and {theirs.mean():.3g} +- {theirs.std():.2g} in the environment"
    ]


def _first_observations(data: TensorDictBase, group: str) -> Tensor:
    starts = first_steps(data[keys.EPISODE]).nonzero().flatten()
    chosen = starts[torch.linspace(0, len(starts) - 1, min(_EPISODES, len(starts))).long()]
    first = data[group, "observation"].as_subclass(Tensor)[chosen].double()
    mask = data.get((group, "agent_mask"), None)
    return first if mask is None else first[mask.as_subclass(Tensor)[chosen].all(-1)]


def _fresh_observations(env: EnvBase, groups: Sequence[str]) -> dict[str, Tensor]:
    """First observations `[n, N, O]` of every group, of those resets in which all its agents take part."""
    resets: dict[str, list[Tensor]] = {group: [] for group in groups}
    played = 0
    with isolated_random(0):
        while played < _RESETS:
            one: Any = env.reset()
            for group in groups:
                rows = one[group, "observation"]
                rows = rows.reshape(-1, *rows.shape[-2:]).double().cpu()
                mask = one.get((group, "agent_mask"), None)
                kept = slice(None) if mask is None else mask.reshape(-1, mask.shape[-1]).all(-1).cpu()
                resets[group].append(rows[kept])
            played += len(rows)
    return {group: torch.cat(rows) for group, rows in resets.items()}


def _replay(dataset: OfflineDataset, env: EnvBase) -> list[str]:
    """Whether recorded actions lead from recorded observations to the recorded next ones."""
    rows = torch.linspace(0, len(dataset) - 1, min(_REPLAYED, len(dataset))).long()
    part = dataset.data[rows]
    found = team_env(env).replay_step(part[keys.OBSERVATION], part[keys.ACTION])
    if found is None:
        return []
    before, recorded = part[keys.OBSERVATION], part[keys.next_key(keys.OBSERVATION)]
    # A contact's solution depends a little on the step before, which is not recorded: the
    # difference has to be small against what the step changed.
    off = (found - recorded).flatten(1).norm(dim=1)
    agree = off <= _REPLAY_TOLERANCE * (recorded - before).flatten(1).norm(dim=1) + 1e-5
    # Where observations are clipped (Walker2d), many steps cannot be repeated; of a wrong order none can.
    if agree.float().mean() > 0.1:
        return []
    return [
        f"recorded actions lead elsewhere in {int((~agree).sum())} of {len(rows)} steps replayed from "
        "recorded observations: other physics, other actions, or another order of the joints"
    ]


def _compare(recorded: Tensor, fresh: Tensor) -> list[list[int]]:
    """The features `[agent, feature]` whose distributions cannot be the same."""
    size = torch.cat([recorded, fresh]).abs().amax(0).flatten()
    near = torch.maximum(_OF_FEATURE * size, _OF_ALL * size.max()).unsqueeze(-1)
    ours, theirs = (one.flatten(1).T.sort(1).values for one in (recorded, fresh))
    statistic = torch.maximum(_excess(ours + near, theirs), _excess(theirs + near, ours))
    n, m = len(recorded), len(fresh)
    apart = statistic > _CRITICAL * ((n + m) / (n * m)) ** 0.5
    return apart.reshape(recorded.shape[1:]).nonzero().tolist()


def _excess(left: Tensor, right: Tensor) -> Tensor:
    """By how much more of `left` than of `right`, sorted samples `[F, n]`, lies below some value `[F]`."""
    values = torch.cat([left, right], 1).contiguous()
    below = [torch.searchsorted(one.contiguous(), values, right=True) / one.shape[1] for one in (left, right)]
    return (below[0] - below[1]).amax(1)
