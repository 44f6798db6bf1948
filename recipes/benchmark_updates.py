"""Costs of the library against plain code, measured side by side in one process.

Run: ``python recipes/benchmark_updates.py`` (or ``make bench``). Prints one line per measurement.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torchrl.data import (
    ImmutableDatasetWriter,
    LazyMemmapStorage,
    LazyTensorStorage,
    ReplayBuffer,
    TensorDictReplayBuffer,
)
from torchrl.data.replay_buffers import SliceSampler

from omiga_torchrl.algorithms import Algorithm, make_omiga
from omiga_torchrl.data import IndexSelectStorage
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.timing import Comparison, compare
from omiga_torchrl.trainers import OfflineTrainer, make_optimizer

# HalfCheetah 6x1 in OMIGA's layout: every agent sees the whole state and its own number.
HALFCHEETAH = TeamSpec(n_agents=6, observation_size=23, action_size=1, state_size=6 * 23)

# VMAS navigation's sizes: about 4 ms a step on one core.
NAVIGATION = TeamSpec(n_agents=3, observation_size=18, action_size=2, state_size=54)


def trainer_overhead(
    *, steps: int = 100, blocks: int = 15, hidden: tuple[int, ...] = (64, 64), batch_size: int = 128
) -> Comparison:
    """`OfflineTrainer` against a plain loop: same loss, sampling, clipping, Adam, target update.

    Args:
        steps: gradient steps per block.
        blocks: timed pairs of blocks.
        hidden: hidden layers; (64, 64) gives about 4 ms a step on one core.
        batch_size: transitions per step.
    """
    ours, plain = make_omiga(NAVIGATION, hidden_sizes=hidden), make_omiga(NAVIGATION, hidden_sizes=hidden)
    trainer = _trainer(ours, _buffer(batch_size))
    step = _plain_step(plain, _buffer(batch_size))

    def run_trainer() -> None:
        trainer.total_frames += steps
        trainer.train()

    def run_plain() -> None:
        for _ in range(steps):
            step()

    return compare("trainer step", run_trainer, run_plain, steps=steps, blocks=blocks)


def _buffer(batch_size: int) -> ReplayBuffer:
    buffer = ReplayBuffer(storage=LazyTensorStorage(10_000), batch_size=batch_size)
    buffer.extend(NAVIGATION.fake_batch(10_000))
    return buffer


def _trainer(algorithm: Algorithm, buffer: ReplayBuffer) -> OfflineTrainer:
    trainer = OfflineTrainer(
        **algorithm.trainer_arguments,
        replay_buffer=buffer,
        total_steps=1,
        progress_bar=False,
    )
    trainer.total_frames = 0
    return trainer


def _plain_step(algorithm: Algorithm, buffer: ReplayBuffer) -> Callable[[], None]:
    optimizer = make_optimizer(algorithm.parameter_groups, 5e-4)
    updater = algorithm.target_updater
    assert updater is not None

    def step() -> None:
        losses = algorithm.loss(buffer.sample())
        (losses["loss_actor"] + losses["loss_qvalue"] + losses["loss_value"]).backward()
        for group in algorithm.parameter_groups.values():
            nn.utils.clip_grad_norm_(group, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        updater.step()

    return step


class PlainOMIGA(nn.Module):
    """The maths of ``OMIGALoss(variant="paper")`` in plain torch: the yardstick."""

    def __init__(self, parts: Algorithm, alpha: float, gamma: float) -> None:
        super().__init__()
        loss = parts.loss
        self.actor = parts.policy.module[0].module
        self.qvalue, self.value = loss.qvalue_network.module, loss.value_network.module
        self.mixer = loss.mixer_network.module
        self.target = copy.deepcopy(self.qvalue).requires_grad_(False)
        self.alpha, self.gamma = alpha, gamma

    def forward(self, data: dict[str, torch.Tensor]) -> torch.Tensor:
        """The sum of the three losses."""
        observation, action = data["observation"], data["action"]
        weight, bias = self.mixer.weights(data["state"])
        value = self.value(observation)
        with torch.no_grad():
            target_q = self.target(observation, action)
            next_weight, next_bias = self.mixer.weights(data["next_state"])
            next_value = (next_weight * self.value(data["next_observation"])).sum(-2) + next_bias
            y = data["reward"] + self.gamma * next_value * ~data["terminated"]
        fixed = weight.detach()
        z = fixed * (target_q - value) / self.alpha
        excess = (z - 10).clamp(min=0)
        exp_z = (z - excess).exp() * (1 + excess)
        loss_value = (exp_z + fixed * value / self.alpha).mean()
        global_q = (weight * self.qvalue(observation, action)).sum(-2) + bias
        loss_q = (global_q - y).square().mean()
        mean, std = self.actor(observation)
        raw = torch.atanh(action.clamp(-1 + 1e-7, 1 - 1e-7))
        normal = torch.distributions.Normal(mean, std, validate_args=False).log_prob(raw)
        slope = 2 * (0.6931471805599453 - raw - nn.functional.softplus(-2 * raw))
        loss_actor = -(exp_z.detach().squeeze(-1) * (normal - slope).sum(-1)).mean()
        return loss_value + loss_q + loss_actor


def full_update(*, steps: int = 20, blocks: int = 15, batch_size: int = 128) -> Comparison:
    """A full update at HalfCheetah-6x1 sizes, hidden 256: ``OMIGALoss`` against plain torch.

    Loss, one backward, clipping per group, fused Adam, target update; the batch is given.

    Args:
        steps: updates per block.
        blocks: timed pairs of blocks.
        batch_size: transitions per update.
    """
    batch = HALFCHEETAH.fake_batch(batch_size)
    ours, other = make_omiga(HALFCHEETAH), make_omiga(HALFCHEETAH)
    plain = PlainOMIGA(other, alpha=10.0, gamma=0.99)
    flat = {
        "observation": batch["agents", "observation"],
        "action": batch["agents", "action"],
        "state": batch["state"],
        "next_observation": batch["next", "agents", "observation"],
        "next_state": batch["next", "state"],
        "reward": batch["next", "reward"],
        "terminated": batch["next", "terminated"],
    }
    ours_optimizer = make_optimizer(ours.parameter_groups, 5e-4)
    plain_optimizer = make_optimizer(other.parameter_groups, 5e-4)
    online, target = list(plain.qvalue.parameters()), list(plain.target.parameters())

    def finish(optimizer: torch.optim.Optimizer, parts: Algorithm) -> None:
        for group in parts.parameter_groups.values():
            nn.utils.clip_grad_norm_(group, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def run_ours() -> None:
        for _ in range(steps):
            losses = ours.loss(batch)
            (losses["loss_actor"] + losses["loss_qvalue"] + losses["loss_value"]).backward()
            finish(ours_optimizer, ours)
            assert ours.target_updater is not None
            ours.target_updater.step()

    def run_plain() -> None:
        for _ in range(steps):
            plain(flat).backward()
            finish(plain_optimizer, other)
            with torch.no_grad():
                torch._foreach_lerp_(target, online, 0.005)

    return compare("full OMIGA update", run_ours, run_plain, steps=steps, blocks=blocks)


def sampling(
    batch_size: int, *, slice_len: int | None = None, rows: int = 50_000, steps: int = 100, blocks: int = 11
) -> Comparison:
    """Sampling through the dataset's storage against TorchRL's stock memory-mapped buffer.

    Args:
        batch_size: transitions per sample.
        slice_len: steps of the slices of episodes to sample, with TorchRL's ``SliceSampler``
            for both; ``None`` samples transitions.
        rows: transitions stored, in episodes of 1000.
        steps: samples per block.
        blocks: timed pairs of blocks.
    """
    data = HALFCHEETAH.fake_batch(rows)
    data["episode"] = torch.arange(rows) // 1000

    def options() -> dict[str, Any]:
        if slice_len is None:
            return {"batch_size": batch_size}
        sampler = SliceSampler(traj_key="episode", slice_len=slice_len, cache_values=True)
        return {"batch_size": batch_size, "sampler": sampler}

    with tempfile.TemporaryDirectory() as folder:
        storage = LazyMemmapStorage(rows, scratch_dir=f"{folder}/stock")
        stock = TensorDictReplayBuffer(storage=storage, **options())
        stock.extend(data)
        ours = TensorDictReplayBuffer(
            storage=IndexSelectStorage(data.memmap(f"{folder}/ours")),
            writer=ImmutableDatasetWriter(),
            **options(),
        )

        def sample(buffer: ReplayBuffer) -> Callable[[], None]:
            def run() -> None:
                for _ in range(steps):
                    buffer.sample()

            return run

        kind = "transitions" if slice_len is None else f"transitions in slices of {slice_len}"
        name = f"sample of {batch_size} {kind}"
        return compare(name, sample(ours), sample(stock), steps=steps, blocks=blocks)


def main() -> None:
    """Prints all measurements."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.stdout.write(f"{full_update()}\n{trainer_overhead()}\n")
    for batch_size in (128, 256, 1024):
        sys.stdout.write(f"{sampling(batch_size)}\n")
    for batch_size in (120, 260, 1020):
        sys.stdout.write(f"{sampling(batch_size, slice_len=20)}\n")


if __name__ == "__main__":
    main()
