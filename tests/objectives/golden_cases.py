"""The cases of the golden numbers: algorithm, kind of team, memory, masks, arguments; and their batches."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.algorithms import ALGORITHMS, default_arguments
from omiga_torchrl.specs import TeamSpec

SPECS = {
    "team-continuous": TeamSpec(3, 5, 2, 7),
    "team-discrete": TeamSpec(3, 5, 4, 7, discrete=True, masked=True),
    "agent-continuous": TeamSpec(1, 5, 2, 5),
    "agent-discrete": TeamSpec(1, 5, 4, 5, discrete=True, masked=True),
}
SIZES: dict[str, Any] = {
    "hidden_sizes": [8],
    "mixer_hidden_sizes": [6],
    "behavior_hidden_sizes": [8],
    "rnn_hidden_size": 6,
}
# Temperatures at which weights are not all alike.
OWN: dict[str, dict[str, Any]] = {"comadice": {"alpha": 1.0}, "omiga": {"alpha": 0.5}}
# Algorithm, kinds separated by blanks, arguments; "lambda" stands for TDLambda.
VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("awac", "team-continuous", {"max_weight": 1.5, "num_action_samples": 3}),
    ("awr", "team-discrete", {"max_weight": 1.5}),
    ("bcq", "team-continuous", {"vae_loss": "squared_error"}),
    ("brac_p", "team-continuous team-discrete", {"target_divergence": 0.5}),
    ("brac_p", "team-continuous", {"warmup_steps": 2}),
    ("brac_p", "team-continuous team-discrete", {"entropy_coeff": 0.2}),
    ("brac_p", "team-continuous", {"num_action_samples": 3}),
    ("brac_p", "team-continuous", {"behavior_model": "vae"}),
    ("comadice", "team-continuous team-discrete agent-continuous", {"variant": "official"}),
    ("comadice", "team-discrete", {"variant": "official", "max_weight": 2.0}),
    ("cql", "team-continuous team-discrete", {"penalty": "joint"}),
    ("cql", "team-continuous team-discrete", {"penalty": "summed"}),
    ("cql", "team-continuous team-discrete", {"penalty_inverse_temperature": 0.5}),
    ("cql", "team-continuous", {"actor_objective": "weighted_bc"}),
    ("cql", "team-continuous", {"variant": "official"}),
    ("cql", "team-continuous", {"reduction": "sum"}),
    ("icq", "team-continuous team-discrete agent-continuous agent-discrete", {"variant": "official"}),
    ("icq", "team-continuous", {"td_lambda": 0.5, "critic_temperature": 5.0}),
    ("icq_behavior", "agent-continuous agent-discrete", {"variant": "official"}),
    ("iql", "team-continuous team-discrete", {"lambda": 0.8}),
    ("iql", "team-continuous", {"value_scale": "svn"}),
    ("matd3_bc", "team-continuous", {"variant": "official"}),
    ("matd3_bc", "team-continuous", {"critics_read_state": False}),
    ("omar", "team-continuous", {"variant": "official"}),
    ("omar", "team-continuous", {"cem_update": "softmax"}),
    ("omar", "team-continuous", {"action_noise_std": None}),
    ("omar", "team-continuous", {"cem_refit": False}),
    ("omiga", "team-continuous team-discrete", {"variant": "official"}),
    ("omiga", "team-continuous team-discrete", {"alpha": "auto"}),
    ("omiga", "team-continuous", {"clip_mode": "clamp", "max_exponent": 1.0}),
    ("omiga", "team-continuous", {"clip_mode": "linear", "max_exponent": 1.0}),
    ("omiga", "team-continuous", {"lambda": 0.8}),
    ("omiga", "team-continuous", {"reduction": "sum"}),
    ("omiga", "team-discrete", {"reduction": "none"}),
    ("rebrac", "team-continuous", {"layer_norm": False}),
    ("td3_bc", "team-continuous", {"lambda": 0.8}),
)


@dataclass(frozen=True)
class Case:
    """One algorithm with its arguments on one kind of batch.

    Attributes:
        algorithm: its name.
        kind: a key of :data:`SPECS`.
        memory: whether its networks are recurrent.
        masked: whether batches have padding and, for a team, absent agents.
        given: its arguments besides sizes.
    """

    algorithm: str
    kind: str
    memory: bool
    masked: bool
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the records know it by, beside its algorithm."""
        parts = ["recurrent" if self.memory else "forward", "masked" if self.masked else "plain"]
        told = [f"{key}={value}" for key, value in self.given.items()]
        return "/".join([self.kind, *parts, *told])

    @property
    def in_sequences(self) -> bool:
        """Whether its batches are sequences ``[B, T]``."""
        return self.memory or ALGORITHMS[self.algorithm].sequences or "lambda" in self.given

    @property
    def arguments(self) -> dict[str, Any]:
        """Its arguments, those that make it small included."""
        known = default_arguments(self.algorithm)
        small = {name: size for name, size in SIZES.items() if name in known}
        if not self.memory:
            del small["rnn_hidden_size"]
        given = {name: value for name, value in self.given.items() if name != "lambda"}
        return {**small, **OWN.get(self.algorithm, {}), **given}


def _of_algorithm(name: str) -> Iterator[Case]:
    """Every kind of team that it is defined for; with a critic also every way to mix, but its default."""
    known, defaults = ALGORITHMS[name], default_arguments(name)
    default = {"auto": "linear"}.get(defaults.get("mixer"), defaults.get("mixer"))
    mixers = {"linear", "none", "vdn"} & set(known.mixers) - {default} if default else set()
    for kind in SPECS:
        if kind.partition("-")[2] not in known.actions:
            continue
        if kind.startswith("agent"):
            yield Case(name, kind, False, False)
            yield Case(name, kind, True, True)
            continue
        for memory, masked in product((False, True), repeat=2):
            yield Case(name, kind, memory, masked)
        for mixer in sorted(mixers):
            yield Case(name, kind, mixer != "vdn", True, {"mixer": mixer})


def _all_cases() -> Iterator[Case]:
    for name in sorted(ALGORITHMS.registered):
        yield from _of_algorithm(name)
    for name, kinds, given in VARIANTS:
        for kind in kinds.split():
            yield Case(name, kind, False, True, given)
    for name in ("comadice", "icq", "omiga"):
        yield Case(name, "team-continuous", True, True, {"burn_in": 1})


CASES: dict[str, dict[str, Case]] = {name: {} for name in sorted(ALGORITHMS.registered)}
"""The cases of every algorithm, by name."""
for _case in _all_cases():
    CASES[_case.algorithm][_case.name] = _case


def generator(name: str) -> torch.Generator:
    """A generator whose numbers follow from ``name`` alone, in every process."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def make_batch(case: Case, index: int) -> TensorDictBase:
    """Six transitions ``[6]`` or three sequences of five steps ``[3, 5]``, in float64 and the default keys.

    Every third episode is terminated at its last step, every third one ends there without being
    terminated, and the others go on.

    Args:
        case: whose sizes and masks they have.
        index: number of the batch.
    """
    spec, (rows, steps) = SPECS[case.kind], ((3, 5) if case.in_sequences else (6, 1))
    source = generator(f"{case.kind}/{rows}/{index}")

    def drawn(*shape: int, size: int | None = None) -> Tensor:
        make = torch.randn if size is None else torch.rand
        return make(rows, *shape, *(() if size is None else (size,)), generator=source, dtype=torch.float64)

    agents = {"observation": drawn(steps + 1, spec.n_agents, spec.observation_size)}
    team = {keys.STATE: drawn(steps + 1, spec.state_size)}
    reward = drawn(steps, 1)
    scores = drawn(steps, spec.n_agents, size=spec.action_size)
    action = scores.argmax(-1) if spec.discrete else 1.9 * scores - 0.95
    if spec.masked:
        legal = drawn(steps + 1, spec.n_agents, size=spec.action_size) < 0.7
        legal[..., 0] = True
        legal[:, :-1].scatter_(-1, action.unsqueeze(-1), True)
        agents["action_mask"] = legal
    lengths = torch.full((rows,), steps)
    if case.masked:
        lengths = torch.tensor([3, 5, 4] if steps > 1 else [1, 1, 1, 1, 0, 1])
        if spec.n_agents > 1:
            _remove_agents(agents, spec)
    batch = _assembled(agents, team, action, reward, lengths)
    return batch if case.in_sequences else batch.squeeze(1)


def _remove_agents(agents: dict[str, Tensor], spec: TeamSpec) -> None:
    """The last agent leaves after one step, another never came, and a third has nothing to choose from."""
    present = torch.ones(agents["observation"].shape[:-1], dtype=torch.bool)
    present[1, 1:, -1] = False
    present[2, :, 0] = False
    agents["agent_mask"] = present
    if spec.masked:
        agents["action_mask"][2, -3:-1, 1] = False


def _assembled(
    agents: dict[str, Tensor], team: dict[str, Tensor], action: Tensor, reward: Tensor, lengths: Tensor
) -> TensorDictBase:
    """Data ``[rows, steps]`` from entries of one step more, with ends at the last of ``lengths``."""
    rows, steps = reward.shape[:2]
    now = {name: value[:, :-1] for name, value in agents.items()}
    then = {name: value[:, 1:] for name, value in agents.items()}
    time, row = torch.arange(steps), torch.arange(rows).unsqueeze(-1)
    last = time == lengths.unsqueeze(-1) - 1
    content: dict[str, Any] = {
        keys.GROUP: {**now, "action": action},
        keys.IS_INIT: ((time == 0) & (row % 3 != 2)).unsqueeze(-1),
        **{name: value[:, :-1] for name, value in team.items()},
        "next": {
            keys.GROUP: then,
            **{name: value[:, 1:] for name, value in team.items()},
            keys.REWARD: reward,
            keys.DONE: (last & (row % 3 != 0)).unsqueeze(-1),
            keys.TERMINATED: (last & (row % 3 == 1)).unsqueeze(-1),
        },
    }
    if (lengths < steps).any():
        content["collector"] = {"mask": time < lengths.unsqueeze(-1)}
    return TensorDict(content, [rows, steps]).clone()
