"""Every algorithm with every mixer, on teams with continuous and discrete actions and on one agent."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import losses_of, sequences

KINDS = {
    "continuous": TeamSpec(3, 5, 2, 7),
    "discrete": TeamSpec(3, 5, 4, 7, discrete=True, masked=True),
    "one-agent": TeamSpec(1, 5, 2, 5),
}
MIXERS = ("auto", "linear", "vdn", "qmix", "none")
CASES = [
    (name, kind, mixer)
    for name, known in sorted(ALGORITHMS.items())
    for kind, spec in KINDS.items()
    if ("discrete" if spec.discrete else "continuous") in known.actions
    for mixer in (("auto", "none") if kind == "one-agent" else MIXERS)
    if hasattr(known.config, "mixer")
]


def small(name):
    fields = ALGORITHMS[name].config.__dataclass_fields__
    arguments = {"hidden_sizes": [8], "mixer_hidden_sizes": [8], "behavior_hidden_sizes": [8]}
    return {key: value for key, value in arguments.items() if key in fields}


@pytest.mark.filterwarnings("ignore:No target network updater:UserWarning")
@pytest.mark.parametrize(("name", "kind", "mixer"), CASES)
def test_every_parameter_gets_a_gradient_or_the_mixer_is_refused(name, kind, mixer):
    torch.manual_seed(0)
    known, spec = ALGORITHMS[name], KINDS[kind]
    if spec.n_agents > 1 and mixer not in ("auto", *known.mixers):
        with pytest.raises(ValueError, match=rf"mixer must be .*linear.*got '{mixer}'\. \w.*\.$"):
            make_algorithm(name, spec, mixer=mixer, **small(name))
        return
    if name in ("omiga", "omac") and (kind, mixer) == ("one-agent", "none"):
        with pytest.raises(ValueError, match="mixer"):
            make_algorithm(name, spec, mixer=mixer, **small(name))
        return
    made = make_algorithm(name, spec, mixer=mixer, **small(name))
    data = sequences(spec, 32) if known.sequences else spec.fake_batch(128)
    losses = losses_of(made.loss(data))
    torch.stack(list(losses.values())).sum().backward()
    assert all(value.isfinite() for value in losses.values())
    for group, parameters in made.parameter_groups.items():
        for parameter in parameters:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), group
            assert parameter.grad.abs().sum() > 0, (group, tuple(parameter.shape))
    assert {id(p) for group in made.parameter_groups.values() for p in group} == {
        id(p) for p in made.loss.parameters() if p.requires_grad
    }


@pytest.mark.parametrize("mixer", ["linear", "vdn", "qmix"])
@pytest.mark.parametrize("name", ["iql", "td3_bc", "comadice"])
def test_svn_trains_the_mixer_and_knows_no_unit_of_reward(name, mixer):
    norms = []
    for unit in (1.0, 1000.0):
        torch.manual_seed(0)
        made = make_algorithm(
            name, KINDS["continuous"], mixer=mixer, value_scale="svn", gamma=0.0, **small(name)
        )
        data = KINDS["continuous"].fake_batch(64)
        with torch.no_grad():  # values in the unit of the rewards
            for params in (made.loss.qvalue_network_params, made.loss.target_qvalue_network_params):
                for value in params.values(True, True):
                    if value.shape[0] == 1:  # the last layers
                        value.data.mul_(unit)
        data["next", "reward"] *= unit
        loss = made.loss.qvalue_loss(data)
        loss.backward()
        norms.append(float(loss.detach()))
        mixers = [p.grad for n, p in made.loss.named_parameters() if n.startswith("mixer")]
        assert all(grad is not None and grad.abs().sum() > 0 for grad in mixers)
    if mixer == "vdn":  # linear without a bias: the unit cancels exactly
        assert norms[1] == pytest.approx(norms[0], rel=1e-3)
