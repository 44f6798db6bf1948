"""A team of groups, and the same data padded to one group of agents with as many features as the largest.

Run: ``python -m tests.trainers.padded_teams icq cql``.
"""

from __future__ import annotations

import sys

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase

from omiga_torchrl import keys
from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer

TASK = "vmas/speaker_listeners"


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


def trained_returns(name: str, seed: int, *, padded: bool, steps: int, episodes: int) -> torch.Tensor:
    """Returns `[episodes]` after training by the settings of `trainer=laptop`, of the same starts for all."""
    length = 8 if name == "icq" else None  # ICQ learns from sequences
    dataset = OfflineDataset(f"{TASK}/medium", batch_size=256, slice_len=length)
    groups = dataset.spec
    if padded:
        dataset.append_transform(groups.gather)
    torch.manual_seed(seed)
    samples = {"num_action_samples": 4} if name == "cql" else {}  # as recipes/train.py on a laptop
    spec = padded_spec(groups) if padded else groups
    parts = make_algorithm(name, spec, hidden_sizes=(64, 64), **samples)
    OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=dataset,
        total_steps=steps,
        lr=2e-3,
        lr_schedule="cosine",
        seed=seed,
        compile="none",
        progress_bar=False,
    ).train()
    policy = Unpadded(groups, parts.policy) if padded else parts.policy
    env = make_env(TASK, num_envs=episodes, seed=10_000)
    return evaluate(policy, env, episodes=episodes, seed=10_000).returns.flatten()


def main() -> None:
    """Prints a line a run: the mean return, and that of padding minus groups, start by start."""
    for seed in (201, 202, 203):
        for name in sys.argv[1:]:
            kinds = [
                trained_returns(name, seed, padded=padded, steps=3000, episodes=1000)
                for padded in (False, True)
            ]
            apart = kinds[1] - kinds[0]
            sys.stdout.write(
                f"{name} {seed}: groups {kinds[0].mean():.2f}, padded {kinds[1].mean():.2f}, padded - groups "
                f"{apart.mean():.2f} (standard error {apart.std() / len(apart) ** 0.5:.2f})\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
