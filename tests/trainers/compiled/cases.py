"""Every algorithm with every mixer and kind of network, small, and its step in both forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from tensordict import TensorDictBase

from omiga_torchrl.algorithms import ALGORITHMS, Algorithm, make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing.helpers import sequences
from omiga_torchrl.trainers import make_optimizer, train_step
from omiga_torchrl.trainers.compiled import PureStep, StepGraph, flat_inputs, flat_state, trace_step

CONTINUOUS = TeamSpec(n_agents=2, observation_size=4, action_size=2, state_size=5)
DISCRETE = TeamSpec(n_agents=2, observation_size=4, action_size=3, state_size=5, discrete=True)


@dataclass(frozen=True)
class Case:
    name: str
    spec: TeamSpec
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        kind = "discrete" if self.spec.discrete else "continuous"
        return "-".join([self.name, kind, *map(str, self.arguments.values())])

    def make(self, seed: int = 0, **arguments: Any) -> Algorithm:
        torch.manual_seed(seed)
        return make_algorithm(self.name, self.spec, hidden_sizes=[8], **{**self.arguments, **arguments})

    def batch(self) -> TensorDictBase:
        in_time = ALGORITHMS[self.name].sequences or "rnn_hidden_size" in self.arguments
        return sequences(self.spec, 8) if in_time else self.spec.fake_batch(16)


def every_case() -> list[Case]:
    cases = []
    for name, algorithm in sorted(ALGORITHMS.items()):
        for actions in algorithm.actions:
            spec = DISCRETE if actions == "discrete" else CONTINUOUS
            for mixer in algorithm.mixers if name != "bc" else ("linear",):
                cases.append(Case(name, spec, {} if name == "bc" else {"mixer": mixer}))
            cases.append(Case(name, spec, {"rnn_hidden_size": 4}))
    return cases


def pure_step(parts: Algorithm, **options: Any) -> PureStep:
    optimizer = make_optimizer(parts.parameter_groups, 1e-3, options.pop("optimizer", None))
    return PureStep(
        parts.loss,
        optimizer,
        parts.parameter_groups,
        target_updater=parts.target_updater,
        update_intervals=parts.update_intervals,
        **options,
    )


class GraphRun:
    """A run whose steps are those of a traced graph."""

    def __init__(self, case: Case, **options: Any) -> None:
        self.parts = case.make()
        self.step = pure_step(self.parts, **options)
        self.graph: StepGraph = trace_step(self.step, case.batch())
        self.state = [value.clone() for value in flat_state(self.step.state())]

    def __call__(self, batch: TensorDictBase, number: int) -> dict[Any, torch.Tensor]:
        inputs = flat_inputs(self.step.inputs(number))
        leaves = [batch.get(key) for key in self.graph.batch_keys]
        with torch.no_grad():
            values = self.graph.module(*self.state, *inputs, *leaves, *self.graph.draw())
        self.state = list(values[: self.graph.n_state])
        if hasattr(self.parts.target_updater, "counter"):
            self.parts.target_updater.step()  # counts; its targets are not these
        return dict(zip(self.graph.out_keys, values[self.graph.n_state :], strict=False))

    def store(self) -> None:
        """Puts the state into the live loss."""
        for place, value in zip(self.step.known.tensors, self.state, strict=False):
            place.data.copy_(value)


class EagerRun:
    """A run whose steps are those of ``train_step``."""

    def __init__(self, case: Case, **options: Any) -> None:
        self.parts = case.make()
        self.optimizer = make_optimizer(self.parts.parameter_groups, 1e-3, options.pop("optimizer", None))
        self.options = options

    def __call__(self, batch: TensorDictBase, number: int) -> TensorDictBase:
        return train_step(
            self.parts.loss,
            batch,
            self.optimizer,
            parameter_groups=self.parts.parameter_groups,
            target_updater=self.parts.target_updater,
            update_intervals=self.parts.update_intervals,
            step=number,
            **self.options,
        )
