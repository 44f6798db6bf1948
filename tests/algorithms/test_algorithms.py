from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.algorithms.registry import default_arguments
from omiga_torchrl.errors import DataError
from omiga_torchrl.policies import load_policy, save_policy
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers.parameter_groups import check_parameter_groups
from tests.objectives.contract import sequences

ROOT = Path(__file__).parents[2]
SPECS = [TeamSpec(3, 5, 2, 7), TeamSpec(3, 5, 4, 7, discrete=True, masked=True)]


CASES = [
    (name, spec)
    for name, known in sorted(ALGORITHMS.items())
    for spec in SPECS
    if ("discrete" if spec.discrete else "continuous") in known.actions
]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(("name", "spec"), CASES)
def test_parts_fit_together(name, spec, share):
    parts = make_algorithm(name, spec, hidden_sizes=[8], share_params=share)
    check_parameter_groups(parts.parameter_groups, parts.loss)
    losses = parts.loss(sequences(spec, 8))
    torch.stack([value for key, value in losses.items() if key.startswith("loss_")]).sum().backward()
    assert all(p.grad is not None for group in parts.parameter_groups.values() for p in group)
    # the policy that acts is the one that learns
    assert {id(p) for p in parts.policy.parameters()} <= {id(p) for p in parts.loss.parameters()}


PRESETS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / "recipes/configs/algorithm").glob("*.yaml"))
}
NUMBERS = [
    (name, field.name)
    for name, known in ALGORITHMS.items()
    for field in fields(known.config)
    if isinstance(field.default, (int, float)) and not isinstance(field.default, bool)
]


@pytest.mark.parametrize(
    ("name", "key", "number"),
    [
        (*case, number)
        for case in NUMBERS
        for number in (math.nan, math.inf, -1.0)
        # The penalty may go to the nearest agents.
        if (case[1], number) != ("penalty_inverse_temperature", -1.0)
    ],
)
def test_numbers_out_of_range_are_refused_by_name(name, key, number):
    with pytest.raises(ValueError, match=rf"\b{key}\b.* {number}[;.]"):
        make_algorithm(name, SPECS[0], hidden_sizes=[8], **{key: number})


def shared_blocks(files, lines):
    """Pairs of files with the same ``lines`` lines in a row."""
    blocks = {}
    for path in files:
        text = [line.strip() for line in path.read_text().splitlines() if line.strip()]
        for first in range(len(text) - lines + 1):
            blocks.setdefault(tuple(text[first : first + lines]), set()).add(path.name)
    return [names for names in blocks.values() if len(names) > 1]


@pytest.mark.parametrize("folder", ["algorithms", "objectives"])
def test_no_two_files_share_more_than_ten_lines(folder):
    files = sorted((ROOT / "omiga_torchrl" / folder).glob("*.py"))
    assert not shared_blocks(files, 11)
    assert shared_blocks(files, 2)  # imports: the count counts


def test_unknown_algorithm_lists_the_choices():
    with pytest.raises(
        ValueError, match=r"unknown algorithm 'omgia'; did you mean 'omiga'\? Choose from: awac"
    ):
        make_algorithm("omgia", SPECS[0])


@pytest.mark.parametrize("spec", SPECS)
def test_saved_policies_act_alike(tmp_path, spec):
    policy = make_algorithm("bc", spec, hidden_sizes=[8]).policy
    save_policy(tmp_path / "p.pt", policy, algorithm="bc", spec=spec, arguments={"hidden_sizes": [8]})
    loaded = load_policy(tmp_path / "p.pt")
    data = spec.fake_batch(8).exclude(("agents", "action"))
    assert loaded.team == spec and loaded.algorithm == "bc" and loaded.arguments == {"hidden_sizes": [8]}
    assert loaded(data.clone())["agents", "action"].equal(policy(data.clone())["agents", "action"])


def test_other_files_are_refused(tmp_path):
    torch.save({"format": 1}, tmp_path / "other.pt")
    with pytest.raises(
        DataError, match="must be a policy, got a file with the entries format, without algorithm"
    ):
        load_policy(tmp_path / "other.pt")


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
@pytest.mark.parametrize("key", ["hidden_sizes", "mixer_hidden_sizes"])
def test_no_hidden_layer_works_or_is_refused(name, key):
    """Linear networks are fine; mixers that need a layer say so."""
    if key not in default_arguments(name):
        return
    discrete = "continuous" not in ALGORITHMS[name].actions
    spec = TeamSpec(2, 3, 2, 4, discrete=discrete)
    try:
        make_algorithm(name, spec, **{key: []})
    except ValueError as error:
        assert key == "mixer_hidden_sizes" and "at least one hidden layer" in str(error)
