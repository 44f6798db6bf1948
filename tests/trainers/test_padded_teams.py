"""A team of groups and the same data padded to one group learn the same."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torchrl.data import ReplayBuffer

from omiga_torchrl import keys
from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.data import IndexSelectStorage, OfflineDataset
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer

TASK = "vmas/speaker_listeners"
SEEDS = (0, 1, 2)


def padded_spec(spec: GroupedTeamSpec) -> TeamSpec:
    """All agents with as many features as the largest; those that one lacks have no range."""
    width = spec.largest("action_size")
    ends = [group.action_size for group in spec.groups.values() for _ in range(group.n_agents)]
    high = tuple(tuple(float(feature < end) for feature in range(width)) for end in ends)
    low = tuple(tuple(-bound for bound in row) for row in high)
    sizes = spec.n_agents, spec.largest("observation_size"), width, spec.state_size
    return TeamSpec(*sizes, action_low=low, action_high=high)


class Unpadded(TensorDictModuleBase):
    """The policy of a padded team, for the environment of its groups."""

    def __init__(self, spec: GroupedTeamSpec, policy: TensorDictModuleBase) -> None:
        super().__init__()
        self.team, self.policy = spec, policy
        self.in_keys = [(name, "observation") for name in spec.groups]
        self.out_keys = [(name, "action") for name in spec.groups]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = self.policy(self.team.gather(tensordict.select(*self.in_keys)))[keys.ACTION]
        for name, (first, last) in self.team.spans.items():
            tensordict[name, "action"] = action[..., first:last, : self.team.groups[name].action_size]
        return tensordict


def trained_return(name: str, seed: int, *, padded: bool, steps: int) -> float:
    """Mean return of 200 episodes after training by the settings of `trainer=laptop`."""
    dataset = OfflineDataset(f"{TASK}/medium", batch_size=256, reward_scale="std", progress=False)
    groups = dataset.spec
    data = groups.gather(dataset.data[:]) if padded else dataset.data[:]
    buffer = ReplayBuffer(storage=IndexSelectStorage(data), batch_size=256)
    torch.manual_seed(seed)
    parts = make_algorithm(name, padded_spec(groups) if padded else groups)
    OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=buffer,
        total_steps=steps,
        lr=2e-3,
        lr_schedule="cosine",
        seed=seed,
        compile="none",
        progress_bar=False,
    ).train()
    policy = Unpadded(groups, parts.policy) if padded else parts.policy
    env = make_env(TASK, num_envs=200, seed=10_000)
    return evaluate(policy, env, episodes=200, seed=10_000).mean_return


# Not ICQ, which learns from sequences: the data are padded transition by transition.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["bc", "omiga", "iql", "cql"])
def test_padding_learns_what_groups_learn(name: str, record_property: Callable[[str, object], None]) -> None:
    steps = 1000 if name == "cql" else 3000
    means, spreads = [], []
    for padded in (False, True):
        found = torch.tensor([trained_return(name, seed, padded=padded, steps=steps) for seed in SEEDS])
        record_property("padded" if padded else "groups", found.tolist())
        means.append(found.mean().item())
        spreads.append(found.std().item())
    # Two means of three runs each: within the seeds' range, and no less than 1 % of the return.
    range_of_seeds = 3 * math.hypot(*spreads) / math.sqrt(len(SEEDS))
    assert abs(means[0] - means[1]) <= max(range_of_seeds, 0.01 * abs(means[0])), (means, spreads)
