"""Cheap scores of policies: what their own networks say of the data, without fitting anything."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl import keys
from omiga_torchrl.algorithms.registry import make_algorithm
from omiga_torchrl.data.blocks import first_steps
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules.groups import MixedNetwork
from omiga_torchrl.objectives import TeamLoss
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.selection.actions import PolicyActions

_ROWS = 4096  # about so many are scored, but
_EPISODES = 16  # at least of so many episodes


@dataclass(frozen=True)
class CheapScores:
    """Scores of one policy; None where its networks do not tell.

    Attributes:
        td_error: mean absolute TD error of its critics, in units of scaled reward. Lower is better.
        mean_value: mean of its critics' team value at the first states, of its own actions.
        soft_opc: soft off-policy classification by its critics; successful is the best quarter of episodes.
        log_likelihood: mean over agents and steps of the data's actions under it.
        effective_sample_size: of the importance weights of joint actions, its over the behaviour's, as a
            share of the steps.
    """

    td_error: float | None = None
    mean_value: float | None = None
    soft_opc: float | None = None
    log_likelihood: float | None = None
    effective_sample_size: float | None = None


class ScoringRows:
    """The transitions on which policies are scored, the same for all: sequences from the episodes' begins.

    Recurrent networks and losses along time need them, and the others can read them, too.

    Args:
        data: raw transitions ``[T]`` of whole episodes.

    Keyword Args:
        seed: of the choice of episodes.

    Attributes:
        first: numbers of the first step of all episodes ``[E, 1]``.
        sequences: numbers of the transitions that are scored ``[e, t]``.
        successful: whether they are of the best quarter of episodes by return.
    """

    def __init__(self, data: TensorDictBase, *, seed: int = 0) -> None:
        starts = first_steps(data[keys.EPISODE]).nonzero().flatten()
        lengths = torch.diff(starts, append=torch.tensor([len(data)]))
        episode = torch.repeat_interleave(torch.arange(len(starts)), lengths)
        reward = data["next", keys.REWARD].as_subclass(Tensor).reshape(-1).double()
        returns = torch.zeros(len(starts), dtype=torch.float64).index_add_(0, episode, reward)
        length = int(lengths.min())
        order = torch.randperm(len(starts), generator=torch.Generator().manual_seed(seed))
        chosen = order[: max(_EPISODES, _ROWS // length)]
        self.first = starts.unsqueeze(-1)
        self.sequences = starts[chosen].unsqueeze(-1) + torch.arange(length)
        self.successful = (returns >= returns.quantile(0.75))[chosen].unsqueeze(-1).expand(-1, length)


@torch.no_grad()
def cheap_scores(
    loss: TeamLoss,
    data: TensorDictBase,
    actions: PolicyActions,
    rows: ScoringRows,
    behavior_log_prob: Tensor | None = None,
) -> CheapScores:
    """The scores of a policy that its own networks give.

    Args:
        loss: of its training.
        data: transitions ``[T]``, observations scaled as it knows them.
        actions: its actions on them.
        rows: the transitions to score on.
        behavior_log_prob: of the data's joint actions under a model of the behaviour, ``[T]``.
    """
    index = rows.sequences
    batch = _take(data, index)
    with isolated_random(0):
        view = loss.view(batch)
        scores: dict[str, float] = {}
        if "qvalue_network" in loss.networks:
            first = _take(data, rows.first)
            for key, action in actions.now.items():
                first.set(key, action[rows.first])
            scores["mean_value"] = float(loss.view(first).q_tot.mean())
            value = _rows_of(view.q_tot.mean(-1), index)
            scores["soft_opc"] = float(F.soft_opc(value.flatten(), rows.successful.flatten()))
        if "qvalue" in loss.terms:
            loss.qvalue_loss(view)
            scores["td_error"] = float(view.metrics["td_error"])
        if _has_density(loss):
            log_prob = view.log_prob
            scores["log_likelihood"] = float(log_prob.mean())
            if behavior_log_prob is not None:
                ratio = (log_prob.sum(-1) - behavior_log_prob[index]).flatten()
                weight = (ratio - ratio.max()).exp().unsqueeze(-1)
                scores["effective_sample_size"] = float(F.effective_sample_size(weight))
    return CheapScores(**scores)


def behavior_log_prob(spec: AnyTeamSpec, data: TensorDictBase, *, steps: int = 500, seed: int = 0) -> Tensor:
    """Log density ``[T]`` of the data's joint actions under a cloned policy: a model of the behaviour.

    Args:
        spec: sizes of the team.
        data: transitions ``[T]``, observations scaled.

    Keyword Args:
        steps: gradient steps of the cloning.
        seed: of weights and batches.
    """
    with isolated_random(seed):
        loss = make_algorithm("bc", spec, hidden_sizes=(64, 64)).loss
        optimizer = torch.optim.Adam(loss.parameters(), lr=2e-3)
        for _ in range(steps):
            error = loss(_take(data, torch.randint(len(data), (256,))))["loss_actor"]
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
        with torch.no_grad():
            parts = torch.arange(len(data)).split(20_000)
            return torch.cat([loss.view(_take(data, part)).log_prob.sum(-1) for part in parts])


def _take(data: TensorDictBase, index: Tensor) -> TensorDictBase:
    """Transitions by number, ``[*index]``, in memory."""
    flat = data[index.flatten()]
    return flat.apply(lambda value: value.as_subclass(Tensor)).reshape(index.shape)


def _rows_of(value: Tensor, index: Tensor) -> Tensor:
    """Team values of every transition; without a mixer the mean over agents."""
    return value if value.shape == index.shape else value.mean(-1)


def _has_density(loss: TeamLoss) -> bool:
    """Whether the policy is a distribution with a density of actions."""
    if "actor_network" not in loss.networks:
        return False
    network = loss.actor_network
    parts = list(network.kinds.values()) if isinstance(network, MixedNetwork) else [network]
    return all(isinstance(part, ProbabilisticTensorDictSequential) for part in parts)
