"""AWAC, AWR, BRAC and ComaDICE with every mixer, and OMAC with its own: all terms train what they should."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import VDNMixer
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.awac import AWACLoss
from omiga_torchrl.objectives.awr import AWRLoss
from omiga_torchrl.objectives.brac import BRACLoss
from omiga_torchrl.objectives.comadice import ComaDICELoss
from tests.objectives.contract import SPECS, gradients, losses_of, sequences, without_chance

CASES = [
    ("awac", AWACLoss, {"num_action_samples": 2}),
    ("awr", AWRLoss, {}),
    ("brac_p", BRACLoss, {"entropy_coeff": 0.1, "num_action_samples": 2}),
    ("comadice", ComaDICELoss, {"alpha": 0.5}),
    ("comadice", ComaDICELoss, {"alpha": 0.5, "variant": "official"}),
]
LOSSES = pytest.mark.parametrize(("name", "loss_class", "options"), CASES)
SMALL = {"hidden_sizes": [8], "mixer_hidden_sizes": [6]}


def trained_networks(loss, value):
    """Names of the networks and numbers that a term gives a gradient."""
    loss.zero_grad()
    value.backward(retain_graph=True)
    touched = [name for name, gradient in gradients(loss).items() if gradient.abs().sum() > 0]
    return {name.split("_params")[0] for name in touched}


@SPECS
@LOSSES
@pytest.mark.parametrize("mixer", ["linear", "vdn", "qmix", "none"])
def test_the_critic_s_term_trains_the_mixer_and_no_other_term_does(spec, name, loss_class, options, mixer):
    torch.manual_seed(0)
    loss, data = make_algorithm(name, spec, mixer=mixer, **SMALL, **options).loss, sequences(spec, 16)
    out = losses_of(loss(data))
    critic = "loss_value" if name == "awr" else "loss_qvalue"
    local = "value_network" if name == "awr" else "qvalue_network"
    learns = {local, "mixer_network"} if mixer in ("linear", "qmix") else {local}
    for term, value in out.items():
        assert value.isfinite()
        found = trained_networks(loss, value)
        assert found == learns if term == critic else found and "mixer_network" not in found, term


@SPECS
@LOSSES
def test_a_sum_is_the_same_mixer_whether_it_tells_its_weights_or_not(spec, name, loss_class, options):
    """A module of local values goes the way of monotonic mixers: slopes by automatic differentiation."""
    torch.manual_seed(0)
    mixer, data = VDNMixer(spec.n_agents), sequences(spec, 6)
    data["agents", "agent_mask"] = torch.rand(6, 4, 3) < 0.8
    template = make_algorithm(name, spec, mixer="none", **SMALL, **options).loss
    names = ("actor_network", "qvalue_network", "behavior_network", "value_network")
    networks = [getattr(template, network) for network in names if network in template.networks]
    found = []
    for module in (mixer.as_weight_module(), mixer.as_value_module()):
        loss = loss_class(*networks, module, **options)
        ForeachSoftUpdate(loss, tau=0.5)
        loss.load_state_dict(template.state_dict(), strict=False)
        with without_chance():
            out = losses_of(loss(data))
        loss.zero_grad()
        torch.stack(list(out.values())).sum().backward()
        found.append((out, gradients(loss)))
    torch.testing.assert_close(found[0], found[1])
