"""The plain programs that speed is measured against compute what the library does."""

from __future__ import annotations

import torch

from omiga_torchrl.algorithms import make_omiga
from omiga_torchrl.specs import TeamSpec
from tests.benchmarks.plain_omiga import ALPHA, PlainOMIGA, entries_of, one_backward, released_procedure


def test_its_losses_are_those_of_the_library() -> None:
    torch.manual_seed(0)
    spec = TeamSpec(n_agents=3, observation_size=18, action_size=2, state_size=54)
    parts = make_omiga(spec, hidden_sizes=(16, 16), alpha=ALPHA, num_qvalue_nets=1)
    data = spec.fake_batch(64)
    plain, batch, expected = PlainOMIGA(parts), entries_of(data), parts.loss(data)
    for name in ("value", "qvalue", "actor"):
        torch.testing.assert_close(getattr(plain, f"{name}_loss")(batch), expected[f"loss_{name}"])


def test_both_procedures_train() -> None:
    spec = TeamSpec(n_agents=3, observation_size=18, action_size=2, state_size=54)
    data = spec.fake_batch(64)
    for make in (released_procedure, one_backward):
        torch.manual_seed(0)
        parts = make_omiga(spec, hidden_sizes=(16, 16), num_qvalue_nets=1)
        run, before = make(parts, lambda: data), parts.loss(data)["loss_qvalue"]
        for _ in range(20):
            run()
        assert parts.loss(data)["loss_qvalue"] < before
