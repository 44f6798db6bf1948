"""Exported policies act as the original; their folder says all that one needs."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensordict.nn import TensorDictModule

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.errors import DataError, StorageError
from omiga_torchrl.policies import (
    ExportedPolicy,
    TeamPolicy,
    export_policy,
    load_exported,
    load_policy,
    wrap_policy,
)
from omiga_torchrl.policies.card import describe_policy
from omiga_torchrl.policies.readme import example_of
from omiga_torchrl.report import RunInfo, RunWriter
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing.helpers import without_shape_checks
from tests.policies.cases import CONTINUOUS, GROUPS, SIMILAR, SPECS, make_policy
from tests.policies.equality import require_equal

RECIPE = Path(__file__).parents[2] / "recipes" / "export_policy.py"
FAST = [
    ("torch", "bc", "continuous", {}),
    ("torch", "cql", "discrete", {"rnn_hidden_size": 6}),
    ("torch", "bcq", "continuous", {"num_candidates": 5}),
    ("onnx", "omiga", "groups", {"rnn_hidden_size": 6}),
]
ALL = [
    (format, name, kind, memory)
    for format in ("torch", "onnx")
    for name, known in ALGORITHMS.items()
    for kind, spec in {**SPECS, "similar": SIMILAR}.items()
    for memory in ({}, {"rnn_hidden_size": 6})
    if (spec.kind in known.actions or (spec.kind == "mixed" and len(known.actions) == 2 and name != "omac"))
]


@pytest.fixture(autouse=True)
def traceable():
    """jaxtyping's checks of the test run compare batch sizes, which programs of any batch size cannot."""
    with without_shape_checks():
        yield


def require_round_trip(format: str, name: str, kind: str, arguments: dict[str, object], folder: Path) -> None:
    policy = make_policy(name, {**SPECS, "similar": SIMILAR}[kind], **arguments)
    require_equal(policy, load_exported(export_policy(policy, folder, format=format)))


@pytest.mark.parametrize(("format", "name", "kind", "arguments"), FAST)
def test_exported_policies_act_alike(format, name, kind, arguments, tmp_path):
    if format == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    require_round_trip(format, name, kind, arguments, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(("format", "name", "kind", "arguments"), ALL)
def test_every_algorithm_is_exported(format, name, kind, arguments, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    require_round_trip(format, name, kind, arguments, tmp_path / "out")


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("arguments", [{}, {"rnn_hidden_size": 6}])
def test_safetensors_are_the_whole_policy(kind, arguments, tmp_path):
    pytest.importorskip("safetensors")
    policy = make_policy("bc", SPECS[kind], **arguments)
    folder = export_policy(policy, tmp_path / "out", format="safetensors")
    loaded = load_policy(folder)
    require_equal(policy, loaded)
    assert (loaded.team, loaded.arguments, loaded.metadata) == (
        policy.team,
        policy.arguments,
        policy.metadata,
    )
    assert str(load_exported(folder)) == str(loaded)


def test_the_card_names_inputs_with_shapes_units_and_bounds(tmp_path):
    policy = make_policy("bc", CONTINUOUS, rnn_hidden_size=6)
    run = RunWriter(
        tmp_path,
        RunInfo("bc", "mine/game", "mixed", 3, behaviour_return=1.0, identity={"data": {"fingerprint": "f"}}),
    )
    played = {"lengths": [5, 5], "deterministic": True, "seed": 0}
    run.evaluation(1, "final", returns=[2.0, 3.0], **played)
    folder = export_policy(policy, tmp_path / "out", format="torch", source=run.path, license="mit")
    card = json.loads((folder / "card.json").read_text())
    inputs = {port["name"]: port for port in card["inputs"]}
    assert list(inputs) == ["observation", "last_action", "policy_memory"]
    assert inputs["observation"]["shape"] == ["batch", 3, 5] and "raw" in inputs["observation"]["units"]
    assert inputs["policy_memory"]["carried_from"] == "next_policy_memory"
    assert card["outputs"][0]["low"] == -2.0 and card["outputs"][0]["high"] == [0.5, 3.0]
    assert card["score"]["mean_return"] == 2.5 and card["score"]["interval_95"][0] < 2.0
    assert card["data"]["fingerprint"] == "f" and card["license"] == "mit" and "torch" in card["versions"]
    page = (folder / "README.md").read_text()
    for text in (
        'license: "mit"',
        "2.50 [",
        "| `observation` | batch x 3 x 5 | float32 |",
        "fingerprint `f`",
    ):
        assert text in page
    header = page.split("---\n")[1]
    assert {line.partition(":")[0] for line in header.splitlines()} >= {"license", "tags", "library_name"}
    for line in header.splitlines():
        json.loads(line.partition(": ")[2])


@pytest.mark.parametrize("format", ["onnx", pytest.param("torch", marks=pytest.mark.slow)])
def test_the_example_of_the_page_runs_and_is_short(format, tmp_path):
    if format == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    policy = make_policy("bc", SPECS["discrete"], rnn_hidden_size=6)
    folder = export_policy(policy, tmp_path / "out", format=format)
    (example,) = (folder / "README.md").read_text().split("```python\n")[1:]
    code = example.partition("```")[0]
    card = json.loads((folder / "card.json").read_text())
    assert code == example_of(card)
    plain = {**card, "inputs": card["inputs"][:1], "outputs": card["outputs"][:1]}  # without mask and memory
    assert sum(bool(line.strip()) for line in example_of(plain).splitlines()) <= 10
    blocked = "import sys\nfor name in ('omiga_torchrl', 'torchrl', 'tensordict'): sys.modules[name] = None\n"
    blocked += "sys.modules['torch'] = None\n" if format == "onnx" else ""
    done = subprocess.run([sys.executable, "-c", blocked + code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    state, full = None, np.ones((1, 3, 5))
    for _ in range(3):
        actions, state = policy.act(full, state, np.ones((1, 3, 4), bool))
    assert done.stdout.strip() == str(actions)


class Eigen(torch.nn.Module):
    """Uses an operation that ONNX has none for."""

    def forward(self, observation):
        square = observation[..., :2, None] * observation[..., None, :2]
        return torch.linalg.eigvalsh(square)


class Branch(torch.nn.Module):
    """Depends on values, which no program can."""

    def forward(self, observation):
        return observation[..., :2] if observation.sum() > 0 else -observation[..., :2]


def of_module(module) -> TeamPolicy:
    network = TensorDictModule(module, [("agents", "observation")], [("agents", "action")])
    return wrap_policy(network, CONTINUOUS)


def test_modules_that_cannot_be_exported_are_named(tmp_path):
    with pytest.raises(DataError, match=r"export_policy: .* torch\.export supports, got Branch: "):
        export_policy(of_module(Branch()), tmp_path / "out", format="torch")
    pytest.importorskip("onnxscript")
    with pytest.raises(DataError, match=r"of what ONNX supports, got Eigen \(aten\.\w*eigh?\w*\): "):
        export_policy(of_module(Eigen()), tmp_path / "out", format="onnx")
    policy = of_module(Eigen())
    require_equal(policy, ExportedPolicy(export_policy(policy, tmp_path / "t", format="torch")))
    assert [path.name for path in tmp_path.iterdir()] == ["t"]  # nothing half written


def test_a_place_that_cannot_be_written_is_named():
    with pytest.raises(
        StorageError, match=r"/dev/null/out cannot be written: .* Write to a folder of your own"
    ):
        export_policy(make_policy("bc", CONTINUOUS), "/dev/null/out", format="torch")


def test_unfinished_and_damaged_folders(tmp_path):
    folder = export_policy(make_policy("bc", CONTINUOUS), tmp_path / "out", format="torch")
    with pytest.raises(FileExistsError, match="must be a new folder"):
        export_policy(make_policy("bc", CONTINUOUS), folder, format="torch")
    with pytest.raises(DataError, match=r"an export in safetensors, got one of the kind 'torch'\. Open"):
        load_policy(folder)
    program = folder / "policy.pt2"
    whole = program.read_bytes()
    program.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"policy\.pt2 must be as card\.json says, got another content"):
        load_exported(folder)
    program.unlink()
    with pytest.raises(DataError, match=r"policy\.pt2 must be as card\.json says, got none"):
        load_exported(folder)
    program.write_bytes(whole)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "format": 2}))
    with pytest.raises(DataError, match=r"card of an exported policy of format 1, got one of format 2"):
        load_exported(folder)
    (folder / "card.json").write_text("{")
    with pytest.raises(DataError, match=r"card\.json must be a whole JSON file"):
        load_exported(folder)
    (folder / "card.json").unlink()
    for load, told in ((load_exported, "must hold card.json"), (load_policy, "an export without card.json")):
        with pytest.raises(DataError, match=told.replace(".", r"\.")):
            load(folder)


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    from omiga_torchrl.policies import formats

    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'needs onnx, onnxscript\. pip install "omiga-torchrl\[export\]"'):
        export_policy(make_policy("bc", CONTINUOUS), tmp_path / "out", format="onnx")


def test_from_the_command_line(tmp_path):
    from omiga_torchrl.policies import save_policy

    policy = make_policy("bc", GROUPS)
    recipe = runpy.run_path(str(RECIPE))
    config = recipe["ExportPolicyConfig"](
        policy=str(save_policy(tmp_path / "policy.pt", policy)), format="torch", out=str(tmp_path / "out")
    )
    require_equal(policy, load_exported(recipe["export"](config)))
    with pytest.raises(ValueError, match="unknown format 'onx'; did you mean 'onnx'"):
        export_policy(policy, tmp_path / "other", format="onx")


def test_cards_of_tasks_with_bounds_of_every_agent():
    spec = TeamSpec(2, 3, 2, 6, action_low=((-1.0, 0.0), (-2.0, 0.0)), action_high=1.0)
    outputs = describe_policy(make_policy("bc", spec))["outputs"]
    assert outputs[0]["low"] == [[-1.0, 0.0], [-2.0, 0.0]] and outputs[0]["high"] == 1.0
