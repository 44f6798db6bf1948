"""A policy with all that it needs, in the raw environment."""

from __future__ import annotations

import pickle

import pytest
import torch
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.envs import TransformedEnv
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.data.normalisation import Normalisation
from omiga_torchrl.envs import make_env, with_memory
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.policies import TeamPolicy
from omiga_torchrl.specs import TeamSpec
from tests.policies.cases import scales

NAVIGATION = "vmas/navigation"


def env(**options):
    return make_env(NAVIGATION, num_envs=3, seed=0, max_steps=6, **options)


def policy_of(environment, *, scaled=True, **arguments):
    torch.manual_seed(0)
    spec = TeamSpec.from_env(environment)
    network = make_algorithm("bc", spec, hidden_sizes=[8], **arguments).policy
    metadata = {"task": NAVIGATION, "normalisation": scales(spec) if scaled else None}
    return TeamPolicy(network, spec, metadata=metadata)


@pytest.mark.parametrize("arguments", [{}, {"rnn_hidden_size": 6}])
@pytest.mark.parametrize("task", [NAVIGATION, "vmas/speaker_listeners-mixed"])
def test_observations_are_scaled_exactly_once(task, arguments):
    """The trap: a policy of normalised data in the raw environment."""
    raw = make_env(task, num_envs=3, seed=0, max_steps=6)
    policy = policy_of(raw, **arguments)
    norm = Normalisation(**policy.facts.normalisation)

    def returns(one, where):
        return evaluate(one, where, episodes=3, seed=0).returns

    found = returns(policy, raw)
    assert torch.equal(found, returns(policy.network, norm.apply_to(raw)))
    assert not torch.equal(found, returns(policy.network, raw))
    data = policy.wrap_env(raw).rollout(4, policy)
    for group in policy.team.groups:  # what is recorded is raw
        entry = (group, "observation")
        assert torch.equal(data[entry][:, 0], data[entry][:, 0].clamp(-50, 50))
        assert (group, "loc") not in data.keys(True)


def test_a_recurrent_policy_never_runs_without_its_memory():
    """The trap: it acted as if every step were the first."""
    raw = env()
    policy = policy_of(raw, rnn_hidden_size=6)
    with pytest.raises(KeyError, match=r"TeamPolicy: key .*last_action.* missing.*policy\.wrap_env\(env\)"):
        raw.rollout(3, policy)
    played = policy.wrap_env(raw).rollout(4, policy, break_when_any_done=False)
    assert not played["policy_memory"][:, 1:].eq(0).all()
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        state = None
        data = policy.wrap_env(raw).rollout(4, policy)
        for step in data.unbind(-1):
            actions, state = policy.act(step["agents", "observation"].numpy(), state)
            torch.testing.assert_close(torch.as_tensor(actions), step["agents", "action"])


def test_an_environment_is_wrapped_once():
    policy = policy_of(env(), rnn_hidden_size=6)
    wrapped = policy.wrap_env(env())
    assert policy.wrap_env(wrapped) is wrapped and with_memory(wrapped, policy) is wrapped
    assert isinstance(wrapped, TransformedEnv)
    plain = env()
    assert policy_of(plain).wrap_env(plain) is plain


def test_the_environment_of_its_task_is_made_with_what_it_needs():
    policy = policy_of(env(), rnn_hidden_size=6)
    policy.metadata["task_kwargs"] = {"max_steps": 3}
    assert policy.make_env(num_envs=2, seed=0).rollout(9, policy).shape == (2, 3)


@pytest.mark.parametrize("recurrent", [None, 6])
def test_collectors_play_it(recurrent):
    policy = policy_of(env(), rnn_hidden_size=recurrent)
    collector = Collector(
        policy.wrap_env(env()),
        policy,
        frames_per_batch=12,
        total_frames=12,
        auto_register_policy_transforms=False,
    )
    batch = next(iter(collector))
    collector.shutdown()
    assert batch["agents", "action"].shape == (3, 4, 3, 2)


def test_modes():
    policy = policy_of(env())
    seen = {("agents", "observation"): env().reset()["agents", "observation"]}

    def action():
        from tensordict import TensorDict

        return policy(TensorDict(seen, [3]))["agents", "action"]

    policy.mode = "deterministic"
    with set_exploration_type(ExplorationType.RANDOM):
        assert torch.equal(action(), action())
    policy.mode = "stochastic"
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        assert not torch.equal(action(), action())
    policy.mode = None
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        assert torch.equal(action(), action())
    with pytest.raises(ValueError, match="unknown mode 'greedy'"):
        TeamPolicy(policy.network, policy.team, mode="greedy")


def test_it_can_be_sent_to_another_process():
    policy = policy_of(env(), rnn_hidden_size=6)
    again = pickle.loads(pickle.dumps(policy))
    assert torch.equal(*(evaluate(one, env(), episodes=3, seed=0).returns for one in (policy, again)))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: env(n_agents=4), r"n_agents is 3 in the policy and 4 in the environment"),
        (lambda: make_env("vmas/speaker_listeners"), r"group 'speaker' .* is in the environment only"),
        (lambda: make_env("tabular/xor"), r"discrete is False in the policy and True in the environment"),
    ],
)
def test_environments_that_do_not_fit_are_refused_by_what_differs(other, message):
    policy = policy_of(env())
    for play in (policy.check_env, policy.wrap_env, lambda one: evaluate(policy, one, episodes=1, seed=0)):
        with pytest.raises(
            DataError, match=rf"TeamPolicy: the policy of {NAVIGATION} does not fit .*{message}"
        ):
            play(other())


def test_bounds_and_the_order_of_agents_have_to_fit():
    from dataclasses import replace

    spec = TeamSpec.from_env(env())
    network = make_algorithm("bc", spec, hidden_sizes=[8]).policy
    wider = TeamPolicy(network, replace(spec, action_high=2.0))
    with pytest.raises(DataError, match=r"actions are in .*2.* in the policy and in .*ment\. Make"):
        wider.check_env(env())
    turned = TeamPolicy(network, replace(spec, agents=spec.agents[::-1]))
    with pytest.raises(DataError, match=r"in the order agent_2, agent_1, agent_0 in the policy and agent_0"):
        turned.check_env(env())


def test_networks_that_write_no_actions_are_refused():
    module = TensorDictModule(torch.nn.Linear(5, 2), [("agents", "observation")], ["action"])
    with pytest.raises(ValueError, match=r"must write \('agents', 'action'\), got the keys action\. Rename"):
        TeamPolicy(module, TeamSpec(3, 5, 2, 7))
