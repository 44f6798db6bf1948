from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.algorithms.saving import load_policy, save_policy
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers.stepper import check_parameter_groups
from tests.objectives.contract import sequences

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
    parts = make_algorithm(name, spec, hidden=[8], share_parameters=share)
    check_parameter_groups(parts.parameter_groups, parts.loss)
    losses = parts.loss(sequences(spec, 8))
    torch.stack([value for key, value in losses.items() if key.startswith("loss_")]).sum().backward()
    assert all(p.grad is not None for group in parts.parameter_groups.values() for p in group)
    # the policy that acts is the one that learns
    assert {id(p) for p in parts.policy.parameters()} <= {id(p) for p in parts.loss.parameters()}


def test_unknown_algorithm_lists_the_choices():
    with pytest.raises(
        ValueError, match=r"unknown algorithm 'omgia'; did you mean 'omiga'\? Choose from: awac"
    ):
        make_algorithm("omgia", SPECS[0])


@pytest.mark.parametrize("spec", SPECS)
def test_saved_policies_act_alike(tmp_path, spec):
    policy = make_algorithm("bc", spec, hidden=[8]).policy
    save_policy(tmp_path / "p.pt", policy, algorithm="bc", spec=spec, arguments={"hidden": [8]})
    loaded, content = load_policy(tmp_path / "p.pt")
    data = spec.fake_batch(8).exclude(("agents", "action"))
    assert content["spec"] == spec.to_dict()
    assert loaded(data.clone())["agents", "action"].equal(policy(data.clone())["agents", "action"])


def test_other_files_are_refused(tmp_path):
    torch.save({"format": 1}, tmp_path / "other.pt")
    with pytest.raises(DataError, match="is no policy file"):
        load_policy(tmp_path / "other.pt")
