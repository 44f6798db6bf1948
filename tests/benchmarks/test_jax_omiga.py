"""The JAX program that speed is measured against computes what the library does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.algorithms import make_omiga
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import make_optimizer
from omiga_torchrl.trainers.step import train_step

pytest.importorskip("jax")


def test_it_takes_the_same_steps() -> None:
    from tests.benchmarks.jax_omiga import data_of, on_batches, state_of

    torch.manual_seed(0)
    spec = TeamSpec(n_agents=3, observation_size=18, action_size=2, state_size=54)
    parts = make_omiga(spec, hidden_sizes=(16, 16), alpha=1.0)
    batches, state = spec.fake_batch(10 * 8).reshape(10, 8), state_of(parts.loss)
    optimizer = make_optimizer(parts.parameter_groups, 5e-4)
    ours = [
        train_step(
            parts.loss,
            batch,
            optimizer,
            parameter_groups=parts.parameter_groups,
            clip_grad_norm=1.0,
            target_updater=parts.target_updater,
        )
        for batch in batches
    ]
    _, theirs = on_batches(state, data_of(batches), alpha=1.0)
    for name, values in theirs.items():
        expected = torch.stack([losses[name] for losses in ours])
        torch.testing.assert_close(torch.from_numpy(np.array(values)), expected, rtol=1e-5, atol=1e-5)
