from __future__ import annotations

import pytest
import torch

from omiga_torchrl.modules import LinearMixer, QMIXMixer, VDNMixer, make_mixer
from omiga_torchrl.specs import TeamSpec

TEAM, ALONE = TeamSpec(3, 5, 2, 7), TeamSpec(1, 5, 2, 5)


@pytest.mark.parametrize(
    ("name", "kind"), [("auto", LinearMixer), ("linear", LinearMixer), ("vdn", VDNMixer), ("qmix", QMIXMixer)]
)
def test_a_team_gets_the_mixer_that_is_named(name, kind):
    assert isinstance(make_mixer(TEAM, name, (8,)).module, kind)


def test_qmix_mixes_the_entries_it_names_and_reads_the_state_through_the_given_layers():
    mixer, data = make_mixer(TEAM, "qmix", (11,)), TEAM.fake_batch(4)
    assert mixer.module.first_weight[0].out_features == 11
    data["agents", "chosen_action_value"] = torch.randn(4, 3, 1)
    wanted = mixer.module(data["agents", "chosen_action_value"], data["state"])
    assert mixer(data)["chosen_action_value"].equal(wanted) and wanted.shape == (4, 1)


@pytest.mark.parametrize("spec", [TEAM, ALONE])
def test_no_mixer_where_there_is_nothing_to_mix(spec):
    assert make_mixer(spec, "none", (8,)) is None and make_mixer(ALONE, "auto", (8,)) is None


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="unknown mixer 'qmx'; did you mean 'qmix'"):
        make_mixer(TEAM, "qmx", (8,))
    with pytest.raises(ValueError, match="mixer='qmix' with one agent; expected at least two"):
        make_mixer(ALONE, "qmix", (8,))
