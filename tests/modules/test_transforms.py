"""Every network compiles in one graph, passes under vmap over parameters and data, and under autocast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import set_recurrent_mode

from omiga_torchrl import keys, modules
from omiga_torchrl.modules.candidate_policy import CandidatePolicy, supported_action_policy
from omiga_torchrl.modules.coupled_mixer import CoupledCredit, CreditWeights
from omiga_torchrl.modules.greedy import greedy_policy
from omiga_torchrl.specs import TeamSpec

CONTINUOUS = TeamSpec(3, 5, 2, 7, action_low=-0.5, action_high=2.0)
DISCRETE = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
CHOSEN = (keys.GROUP, "chosen_action_value")


@dataclass
class Case:
    """A network, the task that it is for, and the entry that it writes; None: its density of the actions."""

    make: Callable[..., TensorDictModuleBase]
    spec: TeamSpec
    key: NestedKey | None
    arguments: dict[str, Any] = field(default_factory=lambda: {"hidden_sizes": (8,)})

    def network(self) -> TensorDictModuleBase:
        return self.make(self.spec, **self.arguments)


def credit_weights(spec, hidden_sizes):
    return TensorDictModule(CreditWeights(spec, hidden_sizes=hidden_sizes), [keys.STATE], [keys.MIXER_WEIGHT])


def coupled_credit(spec, hidden_sizes):
    return TensorDictModule(
        CoupledCredit(spec, hidden_sizes=hidden_sizes),
        [keys.STATE, keys.ACTION, keys.MIXER_WEIGHT, keys.MIXER_BIAS],
        [keys.MIXER_WEIGHT, keys.MIXER_BIAS],
    )


def normalised_mixer(spec):
    return modules.NormalizedMixer(spec.n_agents, spec.state_size).as_weight_module()


def latent_model(spec, hidden_sizes):
    """Its samples are all but means, so that they can be compared."""
    return modules.ConditionalVAE(spec, hidden_sizes=hidden_sizes, max_latent=1e-6)


def latent_density(spec, hidden_sizes):
    """A model whose noise is always the same."""
    model = latent_model(spec, hidden_sizes)
    model._noise = lambda shape, like: torch.full(tuple(shape), 0.3, dtype=like.dtype)
    return model


def candidate_policy(spec, hidden_sizes):
    critics = modules.qvalue_ensemble(spec, 2, hidden_sizes=hidden_sizes)
    change = modules.perturbation_network(spec, 0.05, hidden_sizes=hidden_sizes)
    return CandidatePolicy(latent_model(spec, hidden_sizes), critics, change, candidates=2)


def greedy(spec, hidden_sizes):
    return greedy_policy(modules.qvalue_ensemble(spec, 2, hidden_sizes=hidden_sizes), masked=True)


def supported(spec, hidden_sizes):
    critics = modules.qvalue_ensemble(spec, 2, hidden_sizes=hidden_sizes)
    return supported_action_policy(
        critics, modules.behavior_model(spec, hidden_sizes=hidden_sizes), masked=True
    )


def one_critic(spec, hidden_sizes):
    return modules.first_member_view(modules.qvalue_ensemble(spec, 2, hidden_sizes=hidden_sizes))


HIDDEN = {"hidden_sizes": (8,)}
PLAIN = {
    "qvalue": Case(modules.qvalue_network, CONTINUOUS, keys.LOCAL_QVALUE),
    "qvalue-own": Case(
        modules.qvalue_network, CONTINUOUS, keys.LOCAL_QVALUE, HIDDEN | {"share_params": False}
    ),
    "qvalue-norm": Case(modules.qvalue_network, DISCRETE, keys.LOCAL_QVALUE, HIDDEN | {"layer_norm": True}),
    "qvalue-own-norm": Case(
        modules.qvalue_network,
        DISCRETE,
        keys.LOCAL_QVALUE,
        HIDDEN | {"share_params": False, "layer_norm": True},
    ),
    "value": Case(modules.value_network, CONTINUOUS, keys.LOCAL_VALUE),
    "ensemble": Case(partial(modules.qvalue_ensemble, critics=2), DISCRETE, keys.LOCAL_QVALUE),
    "one-critic": Case(one_critic, CONTINUOUS, keys.LOCAL_QVALUE),
    "perturbation": Case(partial(modules.perturbation_network, limit=0.05), CONTINUOUS, keys.ACTION),
    "deterministic": Case(modules.deterministic_actor, CONTINUOUS, keys.ACTION),
    "gaussian": Case(modules.tanh_gaussian_actor, CONTINUOUS, keys.ACTION),
    "gaussian-free": Case(
        modules.tanh_gaussian_actor, CONTINUOUS, keys.ACTION, HIDDEN | {"state_dependent_std": False}
    ),
    "categorical": Case(modules.categorical_actor, DISCRETE, (keys.GROUP, "logits")),
    "behaviour": Case(modules.behavior_model, DISCRETE, keys.ACTION),
    "latent": Case(latent_model, CONTINUOUS, keys.ACTION),
    "gaussian-density": Case(modules.tanh_gaussian_actor, CONTINUOUS, None),
    "categorical-density": Case(modules.categorical_actor, DISCRETE, None),
    "latent-density": Case(latent_density, CONTINUOUS, None),
    "candidates": Case(candidate_policy, CONTINUOUS, keys.ACTION),
    "greedy": Case(greedy, DISCRETE, keys.ACTION),
    "supported": Case(supported, DISCRETE, keys.ACTION),
    "linear": Case(partial(modules.make_mixer, name="linear"), CONTINUOUS, keys.MIXER_WEIGHT),
    "vdn": Case(partial(modules.make_mixer, name="vdn"), CONTINUOUS, keys.MIXER_WEIGHT),
    "qmix": Case(partial(modules.make_mixer, name="qmix"), CONTINUOUS, "chosen_action_value"),
    "normalised": Case(normalised_mixer, CONTINUOUS, keys.MIXER_WEIGHT, {}),
    "credit": Case(credit_weights, CONTINUOUS, keys.MIXER_WEIGHT),
    "coupled": Case(coupled_credit, DISCRETE, keys.MIXER_WEIGHT),
}
MEMORY = HIDDEN | {"rnn_hidden_size": 6}
RECURRENT = {
    "qvalue-memory": Case(modules.qvalue_network, DISCRETE, keys.LOCAL_QVALUE, MEMORY),
    "ensemble-memory": Case(
        partial(modules.qvalue_ensemble, critics=2), CONTINUOUS, keys.LOCAL_QVALUE, MEMORY
    ),
    "gaussian-memory": Case(modules.tanh_gaussian_actor, CONTINUOUS, keys.ACTION, MEMORY),
}
CASES = {**PLAIN, **RECURRENT}


def data_of(case: Case, size: int) -> TensorDictBase:
    """A batch; sequences for networks with memories."""
    data = case.spec.fake_batch(size, *[3] * ("rnn_hidden_size" in case.arguments))
    data[CHOSEN] = torch.randn(*data.shape, 3, 1)
    data[keys.LAST_ACTION] = data[keys.ACTION].clone()
    data[keys.MIXER_WEIGHT], data[keys.MIXER_BIAS] = (
        torch.rand(*data.shape, 3, 1),
        torch.randn(*data.shape, 1),
    )
    return data


def output(case: Case, network: TensorDictModuleBase, data: TensorDictBase) -> torch.Tensor:
    """What the network makes of the data's entries that it reads."""
    scratch = TensorDict({key: data.get(key) for key in (*network.in_keys, keys.IS_INIT)}, [])
    if case.key is None:
        return network.get_dist(scratch).log_prob(data.get(keys.ACTION))
    return network(scratch).get(case.key)


@pytest.fixture(params=CASES)
def case(request):
    torch.manual_seed(0)
    with set_recurrent_mode(True), set_exploration_type(ExplorationType.DETERMINISTIC):
        yield CASES[request.param]


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_compiles_in_one_graph_at_two_batch_sizes(case, compiles):
    network = case.network()
    compiled = compiles(partial(output, case, network))
    for size in (4, 6):
        data = data_of(case, size)
        close(compiled(data), output(case, network, data))


def test_passes_under_vmap_over_parameters(case):
    network, data = case.network(), data_of(case, 4)
    others = [case.network() for _ in range(3)]
    if not list(network.parameters()):
        pytest.skip("no parameters")
    stacked = torch.stack([TensorDict.from_module(other) for other in others])

    def with_params(params):
        with params.to_module(network):
            return output(case, network, data)

    found = torch.vmap(with_params, randomness="different")(stacked)
    close(found, torch.stack([output(case, other, data) for other in others]))


def test_passes_under_vmap_over_data(case):
    network, data = case.network(), data_of(case, 4)
    found = torch.vmap(partial(output, case, network), randomness="different")(data)
    close(found, output(case, network, data))


def test_is_finite_under_autocast(case):
    network, data = case.network(), data_of(case, 4)
    wanted = output(case, network, data)
    with torch.autocast("cpu", torch.bfloat16):
        found = output(case, network, data)
    assert found.dtype == wanted.dtype and found.isfinite().all()
    if found.requires_grad:
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)
        gradients = torch.autograd.grad(found.sum(), list(network.parameters()), allow_unused=True)
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)
