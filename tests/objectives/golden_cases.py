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
from omiga_torchrl.specs import TeamSpec

SPECS = {
    "team-continuous": TeamSpec(3, 5, 2, 7),
    "team-discrete": TeamSpec(3, 5, 4, 7, discrete=True, masked=True),
    "agent-continuous": TeamSpec(1, 5, 2, 5),
    "agent-discrete": TeamSpec(1, 5, 4, 5, discrete=True, masked=True),
}
SEQUENCES_ONLY = ("awr", "icq")
CONTINUOUS_ONLY = ("omar", "td3_bc")
MIXABLE = ("awac", "awr", "bcq", "brac_p", "comadice", "cql", "iql", "omar", "td3_bc")
ALGORITHMS = ("bc", "icq", "omac", "omiga", *MIXABLE)

SMALL = {"hidden": [8], "mixer_hidden": [6]}
# What some have besides: small models of behaviour, and temperatures at which weights are not all alike.
OWN: dict[str, dict[str, Any]] = {
    "bcq": {"behaviour_hidden": [8]},
    "comadice": {"alpha": 1.0},
    "cql": {"behaviour_hidden": [8]},
    "icq": {"behaviour_hidden": [8]},
    "omiga": {"alpha": 0.5},
}
# Algorithm, kinds separated by blanks, arguments; "lambda" stands for TDLambda.
VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("awac", "team-continuous", {"max_weight": 1.5, "samples": 3}),
    ("awr", "team-discrete", {"max_weight": 1.5}),
    ("bcq", "team-continuous", {"vae_loss": "squared_error"}),
    ("brac_p", "team-continuous team-discrete", {"target_divergence": 0.5}),
    ("brac_p", "team-continuous", {"warm_up": 2}),
    ("brac_p", "team-continuous team-discrete", {"entropy_coeff": 0.1}),
    ("brac_p", "team-continuous", {"samples": 3}),
    ("brac_p", "team-continuous", {"behaviour": "vae"}),
    ("comadice", "team-continuous team-discrete agent-continuous", {"variant": "official"}),
    ("comadice", "team-discrete", {"variant": "official", "max_weight": 2.0}),
    ("cql", "team-continuous team-discrete", {"penalty": "joint"}),
    ("cql", "team-continuous team-discrete", {"penalty": "summed"}),
    ("cql", "team-continuous team-discrete", {"share_sharpness": 0.5}),
    ("cql", "team-continuous", {"policy": "weighted"}),
    ("cql", "team-continuous", {"variant": "official"}),
    ("cql", "team-continuous", {"reduction": "sum"}),
    ("icq", "team-continuous team-discrete agent-continuous agent-discrete", {"weighting": "behaviour"}),
    ("icq", "team-continuous team-discrete agent-continuous agent-discrete", {"variant": "official"}),
    ("icq", "agent-continuous agent-discrete", {"variant": "official", "weighting": "behaviour"}),
    ("icq", "team-continuous", {"td_lambda": 0.5, "critic_alpha": 5.0}),
    ("iql", "team-continuous team-discrete", {"lambda": 0.8}),
    ("omar", "team-continuous", {"variant": "official"}),
    ("omar", "team-continuous", {"search": "softmax"}),
    ("omar", "team-continuous", {"candidate_noise": None}),
    ("omar", "team-continuous", {"refine": False}),
    ("omiga", "team-continuous team-discrete", {"variant": "official"}),
    ("omiga", "team-continuous team-discrete", {"alpha": "auto"}),
    ("omiga", "team-continuous", {"overflow": "clamp", "max_scaled_advantage": 1.0}),
    ("omiga", "team-continuous", {"overflow": "linear", "max_scaled_advantage": 1.0}),
    ("omiga", "team-continuous", {"lambda": 0.8}),
    ("omiga", "team-continuous", {"reduction": "sum"}),
    ("omiga", "team-discrete", {"reduction": "none"}),
    ("td3_bc", "team-continuous", {"lambda": 0.8}),
)


@dataclass(frozen=True)
class Case:
    """One algorithm with its arguments on one kind of batch.

    Attributes:
        algorithm: its name when the numbers were recorded.
        kind: a key of :data:`SPECS`.
        memory: whether its networks are recurrent.
        masked: whether batches have padding and, for a team, absent agents.
        arguments: its arguments besides sizes, by their names when the numbers were recorded.
    """

    algorithm: str
    kind: str
    memory: bool
    masked: bool
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the record knows it by."""
        parts = ["recurrent" if self.memory else "forward", "masked" if self.masked else "plain"]
        told = [f"{key}={value}" for key, value in self.arguments.items()]
        return "/".join([self.algorithm, self.kind, *parts, *told])

    @property
    def in_sequences(self) -> bool:
        """Whether its batches are sequences ``[B, T]``."""
        return self.memory or self.algorithm in SEQUENCES_ONLY or "lambda" in self.arguments

    @property
    def steps(self) -> int:
        """Recorded updates; one where alpha moves by itself, which is no part of the losses' mathematics."""
        return 1 if self.arguments.get("alpha") == "auto" else 10

    def sizes(self) -> dict[str, Any]:
        """The arguments that make it small."""
        small = {"hidden": SMALL["hidden"]} if self.algorithm == "bc" else SMALL
        return {**small, **OWN.get(self.algorithm, {}), **({"recurrent": 6} if self.memory else {})}


def _all_cases() -> Iterator[Case]:
    pairs = [
        (name, kind)
        for name, kind in product(ALGORITHMS, SPECS)
        if name not in CONTINUOUS_ONLY or kind.endswith("continuous")
    ]
    for name, kind in pairs:
        if kind.startswith("agent"):
            yield Case(name, kind, False, False)
            yield Case(name, kind, True, True)
            continue
        for memory, masked in product((False, True), repeat=2):
            yield Case(name, kind, memory, masked)
        if name in MIXABLE:
            yield Case(name, kind, True, True, {"mixer": "linear" if name == "omar" else "none"})
            yield Case(name, kind, False, True, {"mixer": "vdn"})
    for name, kinds, arguments in VARIANTS:
        for kind in kinds.split():
            yield Case(name, kind, False, True, arguments)
    for name in ("comadice", "icq", "omiga"):
        yield Case(name, "team-continuous", True, True, {"burn_in": 1})


CASES = {case.name: case for case in _all_cases()}


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
