"""A run's folder says what decides it; evaluations land on its record, each at its step and of its policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.evaluation import PolicyFacts, Protocol
from omiga_torchrl.report import RunWriter
from omiga_torchrl.trainers import runs
from omiga_torchrl.trainers.best import Restored
from omiga_torchrl.trainers.runs import evaluation_hook, final_evaluations, open_run


@dataclass
class Config:
    """The fields that are read."""

    out: str
    algorithm: dict[str, Any] = field(default_factory=lambda: {"name": "bc", "preset": "mine", "lr": 0.5})
    task: str | None = "vmas/navigation"
    seed: int = 3
    existing: str = "error"
    precision: str = "highest"
    reward_scale: Any = "std"
    normalise_observations: bool = False
    read: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=lambda: {"steps": 10})
    evaluation: dict[str, Any] = field(default_factory=lambda: {"interval": 5, "episodes": 2, "seed": 7})
    background_evaluation: bool = False
    imports: list[str] = field(default_factory=lambda: ["mine"])


@pytest.fixture(scope="module")
def dataset() -> Iterator[OfflineDataset]:
    yield OfflineDataset("vmas/navigation/mixed")


FACTS = PolicyFacts("vmas/navigation", {"max_steps": 5})


def test_the_run_is_named_by_its_algorithm_and_keeps_its_settings(tmp_path: Path, dataset: Any) -> None:
    run = open_run(Config(str(tmp_path)), dataset, FACTS)
    info = run.info
    assert info.algorithm == "bc" and info.seed == 3 and info.task == "vmas/navigation"
    assert info.hyperparameters["algorithm"] == {"name": "bc", "lr": 0.5}  # arguments say the preset
    assert set(info.hyperparameters) == {
        *("reward_scale", "normalise_observations", "read", "algorithm", "trainer", "evaluation", "precision")
    }
    with pytest.raises(FileExistsError):
        open_run(Config(str(tmp_path)), dataset, FACTS)
    open_run(Config(str(tmp_path), existing="overwrite"), dataset, FACTS)


def test_a_label_is_the_run_s_name(tmp_path: Path, dataset: Any) -> None:
    run = open_run(Config(str(tmp_path), algorithm={"name": "bc", "label": "own"}), dataset, FACTS)
    assert run.info.algorithm == "own"
    plain = open_run(Config(str(tmp_path), algorithm={"name": "bc", "label": None}), dataset, FACTS)
    assert plain.info.algorithm == "bc"


def test_arguments_of_a_task_that_is_not_played_decide_nothing(tmp_path: Path, dataset: Any) -> None:
    def identity(task: str | None, facts: PolicyFacts, out: str) -> Any:
        return open_run(Config(str(tmp_path / out), task=task), dataset, facts).info.identity["task"]

    played = identity("vmas/navigation", FACTS, "a"), identity("vmas/navigation", PolicyFacts("x"), "b")
    assert played[0] != played[1]
    assert identity(None, FACTS, "c") == identity(None, PolicyFacts(None), "d")


class Record:
    """A run's record that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []
        self.info = SimpleNamespace(behaviour_return=0.0)

    def evaluation(self, step: int, label: str, **result: Any) -> None:
        self.lines.append((step, label, result))

    def cut_back(self, step: int) -> None:
        self.lines.append((step, "cut back"))


class Best:
    def __init__(self) -> None:
        self.run, self.kept, self.asked = Record(), [], []  # type: ignore[var-annotated]

    def judged(self, policy: Any) -> Any:
        self.asked.append(policy)
        return policy

    def keep(self, step: int) -> None:
        self.kept.append(step)


class Played:
    """Stands for a function that evaluates, and keeps how it was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        monkeypatch.setattr(runs, name, self)

    def __call__(self, policy: Any, **options: Any) -> Any:
        self.calls.append((policy, options))
        return SimpleNamespace(mean_return=1.0, to_record=lambda: {"returns": [policy]})


def test_evaluations_of_a_training_are_of_the_policy_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    played, best = Played(monkeypatch, "evaluate"), Best()
    policies = iter(["early", "late"])
    env: Any = object()
    hook = evaluation_hook(Config(""), lambda: next(policies), env, FACTS, best)  # type: ignore[arg-type]
    assert hook.interval == 5 and not hook.at_start
    for step in (5, 10):
        result = hook.evaluate_fn()
        hook.on_result(step, result)  # type: ignore[misc, arg-type]
    assert played.calls == [(name, {"env": env, "episodes": 2, "seed": 7}) for name in ("early", "late")]
    assert best.run.lines == [
        (5, "training", {"returns": ["early"]}),
        (10, "training", {"returns": ["late"]}),
    ]
    assert best.kept == [5, 10] and best.asked == ["early", "late"]
    hook.load_state_dict({"last_step": 5})
    assert best.run.lines[-1] == (5, "cut back")


def test_the_background_builds_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far, best = Played(monkeypatch, "evaluate"), Played(monkeypatch, "evaluate_in_background"), Best()
    config = Config("", background_evaluation=True)
    hook = evaluation_hook(config, lambda: "policy", object(), FACTS, best)  # type: ignore[arg-type]
    hook.evaluate_fn()
    ((policy, options),) = far.calls
    make_env = options.pop("make_env")
    assert not near.calls and policy == "policy"
    assert options == {"imports": ("mine",), "episodes": 2, "seed": 7}
    assert make_env.func == FACTS.make_env and make_env.keywords == {"num_envs": 2, "seed": 7}


PROTOCOL = Protocol(interval=5, episodes=2, final_episodes=4, seed=7)


@pytest.mark.parametrize(
    ("best", "plays", "told"),
    [
        (None, ["last"], [(9, "final", "last")]),
        (Restored(5, "best"), ["last", "best"], [(9, "final", "last"), (5, "best", "best")]),
        (Restored(9, "best"), ["last"], [(9, "final", "last"), (9, "best", "last")]),
    ],
)
def test_the_best_is_played_again_unless_it_is_the_last(
    best: Restored | None, plays: list[str], told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    played, run = Played(monkeypatch, "evaluate"), Record()
    env: Any = object()
    final_evaluations(PROTOCOL, env, run, Restored(9, "last"), best)  # type: ignore[arg-type]
    assert [policy for policy, _ in played.calls] == plays
    assert all(options == {"env": env, "episodes": 4, "seed": 1_000_007} for _, options in played.calls)
    assert run.lines == [(step, label, {"returns": [policy]}) for step, label, policy in told]


def test_a_record_is_one_of_runs() -> None:
    assert {"evaluation", "cut_back"} <= set(dir(RunWriter))
