"""The identity of a training run: everything that decides its result, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.data.fingerprint import content_fingerprint
from omiga_torchrl.files import library_versions
from omiga_torchrl.renames import rename_arguments, rename_hyperparameters
from omiga_torchrl.report.records import RunInfo

FORMAT = 1
# Entries of a recipe's sections that change no number of the result: they are not compared.
NOT_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "algorithm": ("label", "preset"),
    "trainer": ("log_interval", "save_interval", "keep_checkpoints", "progress_bar", "cosine_decay"),
    "evaluation": ("interval",),
}
# Values with which a run that comes to its end is the same as without the entry.
NEUTRAL: tuple[tuple[str, Any], ...] = (("on_nonfinite", "raise"),)


@dataclass(frozen=True)
class RunIdentity:
    """Settings and data that decide a result, as plain values in sections, with a short hash.

    Attributes:
        record: section to values, see :func:`run_identity`; anything that JSON can hold.

    Examples:
        >>> one = RunIdentity({"algorithm": {"name": "omiga", "alpha": 0.3}, "seed": 0})
        >>> other = RunIdentity({"seed": 0, "algorithm": {"alpha": 1.0, "name": "omiga"}})
        >>> one.differences(other)
        {'algorithm.alpha': (0.3, 1)}
        >>> len(one.hash), one.hash == other.hash, one.hash == RunIdentity(one.record).hash
        (8, False, True)
    """

    record: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "record", canonical(self.record))

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits of the SHA-256 of the record as JSON, keys sorted."""
        text = json.dumps(self.record, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def differences(self, other: RunIdentity) -> dict[str, tuple[Any, Any]]:
        """Differences by ``"<section>.<name>"``: the own value and the other's, ``None`` where absent."""
        one, two = flat(self.record), flat(other.record)
        return {
            key: (one.get(key), two.get(key)) for key in sorted({*one, *two}) if one.get(key) != two.get(key)
        }


def run_identity(
    dataset: OfflineDataset,
    *,
    algorithm: Mapping[str, Any],
    seed: int,
    task: str | None = None,
    task_kwargs: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    precision: str = "highest",
) -> RunIdentity:
    """The identity of a run on a dataset: all that decides its result.

    The sections: ``algorithm`` (its name and every argument, defaults included), ``data`` (fingerprint of
    the content, how rewards and observations are scaled, how it is sampled), ``task`` with its arguments,
    ``trainer``, ``evaluation``, ``precision``, ``library`` (this package's version) and ``seed``. What is
    shown, logged or saved meanwhile, the device, and how the step is compiled are no part of it.

    Args:
        dataset: what is learned from.

    Keyword Args:
        algorithm: ``name`` and arguments; ``slice_len``, ``label`` and ``preset`` may be among them.
        seed: of the training.
        task: task that the policy is evaluated in; ``None``: none.
        task_kwargs: all its arguments, those of the dataset's card included.
        trainer: fields of :class:`omiga_torchrl.trainers.options.TrainerOptions`.
        evaluation: fields of :class:`omiga_torchrl.evaluation.Protocol`.
        precision: of the networks.

    Examples:
        >>> dataset = OfflineDataset("vmas/navigation/mixed")
        >>> one = run_identity(dataset, algorithm={"name": "bc"}, seed=0, trainer={"steps": 10})
        >>> shown = run_identity(
        ...     dataset, algorithm={"name": "bc"}, seed=0, trainer={"steps": 10, "progress_bar": False}
        ... )
        >>> one.hash == shown.hash
        True
        >>> sorted(one.record)
        ['algorithm', 'data', 'evaluation', 'format', 'library', 'precision', 'seed', 'task', 'trainer']
    """
    arguments = with_defaults(algorithm)
    arguments.pop("slice_len", None)
    normalisation = dataset.normalisation
    return RunIdentity(
        {
            "format": FORMAT,
            "algorithm": deciding("algorithm", arguments),
            "data": {
                "fingerprint": content_fingerprint(dataset),
                "reward_scale": dataset.reward_scale,
                "normalisation": None if normalisation is None else _digest(normalisation.to_dict()),
                "slice_len": dataset.slice_len,
            },
            "task": {"name": task, "kwargs": dict(task_kwargs or {})},
            "trainer": deciding("trainer", trainer or {}),
            "evaluation": deciding("evaluation", evaluation or {}) if task is not None else {},
            "precision": precision,
            "library": library_versions().get("omiga-torchrl", "unknown"),
            "seed": seed,
        }
    )


def describe_run(
    dataset: OfflineDataset,
    *,
    algorithm: str,
    seed: int,
    task: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    identity: RunIdentity | None = None,
    audit: Mapping[str, Any] | None = None,
) -> RunInfo:
    """A run on a dataset, with the reference returns on the dataset's card.

    Args:
        dataset: what is learned from.
        algorithm: name in records and reports.
        seed: seed of the training.
        task: task that the policy is evaluated in; ``None`` is the dataset's, or ``"no task"``.
        hyperparameters: plain values, all that are used.
        identity: what resuming and reports compare; without it they compare ``hyperparameters``.
        audit: how it is run, see :func:`omiga_torchrl.report.audit_record`.

    Examples:
        >>> describe_run(OfflineDataset("vmas/navigation/mixed"), algorithm="bc", seed=0).folder
        'bc__vmas-navigation__mixed__seed0'
    """
    card = dataset.card
    return RunInfo(
        algorithm=algorithm,
        task=task or card.task or "no task",
        dataset=card.tier,
        seed=seed,
        hyperparameters=dict(hyperparameters or {}),
        behaviour_return=card.behaviour_return["mean"],
        best_checkpoint_return=card.best_checkpoint_return,
        random_return=card.random_return,
        card={"name": card.name, "sha256": card.data_sha256, "reward_scale": dataset.reward_scale},
        identity={} if identity is None else identity.record,
        audit=dict(audit or {}),
    )


def identity_of(info: RunInfo) -> RunIdentity:
    """A recorded run's identity; of a run of a former version, what its hyper-parameters and card say.

    Args:
        info: as read by :func:`omiga_torchrl.report.load_runs`.

    Examples:
        >>> former = RunInfo("bc", "game", "mixed", 0, {"trainer": {"lr": 0.1, "progress_bar": True}})
        >>> identity_of(former).record["trainer"]
        {'lr': 0.1}
    """
    if info.identity:
        return RunIdentity(info.identity)
    sections = rename_hyperparameters(info.hyperparameters)
    if isinstance(sections.get("algorithm"), Mapping):
        sections["algorithm"] = with_defaults(sections["algorithm"])
    for section in NOT_IDENTITY:
        if isinstance(sections.get(section), Mapping):
            sections[section] = deciding(section, sections[section])
    data = {"recorded": info.card.get("sha256"), "reward_scale": info.card.get("reward_scale")}
    return RunIdentity({**sections, "data": data, "task": {"name": info.task}, "seed": info.seed})


def deciding(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a section that decide a result.

    Args:
        section: ``"algorithm"``, ``"trainer"`` or ``"evaluation"``.
        values: name to value.
    """
    hidden = NOT_IDENTITY[section]
    return {
        name: value for name, value in values.items() if name not in hidden and (name, value) not in NEUTRAL
    }


def with_defaults(algorithm: Mapping[str, Any]) -> dict[str, Any]:
    """An algorithm's name and arguments under their present names, with the defaults of what is left out."""
    name = algorithm.get("name", "")
    algorithm = rename_arguments(name, dict(algorithm), warn=False)
    found = ALGORITHMS.get(name)
    defaults = {} if found is None else {field.name: field.default for field in fields(found.config)}
    return {**defaults, **algorithm}


def canonical(value: Any) -> Any:
    """Plain values as JSON gives them back, sorted: tuples as lists, paths as text, 1.0 as 1.

    Examples:
        >>> canonical({"b": (1.0, 0.5), "a": True})
        {'a': True, 'b': [1, 0.5]}
    """
    text = json.dumps(value, sort_keys=True, default=_plain)
    return json.loads(text, parse_float=lambda digits: _short(float(digits)))


def flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value of nested mappings by its full name; empty ones have none.

    Examples:
        >>> flat({"trainer": {"lr": 0.1}, "seed": 0})
        {'trainer.lr': 0.1, 'seed': 0}
    """
    found: dict[str, Any] = {}
    for name, value in record.items():
        nested = isinstance(value, Mapping)
        found |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return found


def _short(number: float) -> float | int:
    return int(number) if number.is_integer() else number


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # a scalar or an array of numpy, a tensor
        return value.tolist()
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()[:16]
