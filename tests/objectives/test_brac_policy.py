"""BRAC's view of a policy: expectations over finitely many actions by hand, samples and exact divergences."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.functional import gaussian_kl
from omiga_torchrl.modules import CensoredGaussian, TanhGaussian, make_actor
from omiga_torchrl.objectives.brac_policy import policy_evaluation, policy_value, require_known_divergence
from omiga_torchrl.specs import TeamSpec
from tests.objectives.small import (
    SmallLoss,
    batch,
    continuous_qvalue,
    discrete,
    gaussian_policy,
    policy,
    scale_gradients,
    set_scale,
)

LOGITS = torch.tensor([[[1.0, 5.0, 2.0], [0.0, 3.0, 4.0]]])
MASK = torch.tensor([[[True, False, True], [True, True, True]]])
SPEC = TeamSpec(3, 5, 2, 7)


def finite(**more):
    loss = discrete()
    loss.add_network("behavior_network", policy())
    set_scale(loss, "behavior_network", 0.5)
    set_scale(loss, "target_qvalue_network", 3.0)
    return loss, loss.view(batch(LOGITS, torch.zeros(1, 2).long(), **more))


def test_finitely_many_actions_are_summed():
    loss, view = finite()
    found = policy_evaluation(view, None)
    p, mu = LOGITS.log_softmax(-1), (LOGITS / 2).log_softmax(-1)
    torch.testing.assert_close(found.q, (p.exp() * LOGITS).sum(-1))  # of the smaller critic
    torch.testing.assert_close(found.entropy, -(p.exp() * p).sum(-1))
    torch.testing.assert_close(found.divergence, (p.exp() * (p - mu)).sum(-1))
    (found.q + found.entropy + found.divergence).sum().backward()
    assert scale_gradients(loss) == {"actor_network"}
    assert policy_evaluation(view, None) is found  # once for all terms


def test_only_legal_actions_are_summed():
    _, view = finite(action_mask=MASK)
    found = policy_evaluation(view, None)
    p = LOGITS.log_softmax(-1)[0, 0]  # the policy of these tests does not read the mask
    legal = [0, 2]
    torch.testing.assert_close(found.q[0, 0], (p.exp() * LOGITS[0, 0])[legal].sum())
    torch.testing.assert_close(found.entropy[0, 0], -(p.exp() * p)[legal].sum())
    mu = (LOGITS / 2).log_softmax(-1)[0, 0]
    torch.testing.assert_close(found.divergence[0, 0], (p.exp() * (p - mu))[legal].sum())


def test_the_value_of_the_next_step_is_the_target_critics():
    _, view = finite(following=LOGITS + torch.tensor([0.0, 1.0, 0.0]))
    q, entropy = policy_value(view.next)
    logits = LOGITS + torch.tensor([0.0, 1.0, 0.0])
    p = logits.log_softmax(-1)
    torch.testing.assert_close(q, (p.exp() * 3 * logits).sum(-1))
    torch.testing.assert_close(entropy, -(p.exp() * p).sum(-1))
    assert not q.requires_grad and not entropy.requires_grad


OBSERVATION = torch.tensor([[[0.2], [-0.5], [1.0]], [[0.0], [0.4], [-1.0]]])


def sampled(kind=TanhGaussian, behavior=TanhGaussian):
    torch.manual_seed(0)
    loss = SmallLoss(qvalue_network=continuous_qvalue(), actor_network=gaussian_policy(kind))
    loss.add_network("behavior_network", gaussian_policy(behavior))
    set_scale(loss, "behavior_network", 0.5)
    set_scale(loss, "target_qvalue_network", 3.0)
    return loss, loss.view(batch(OBSERVATION, torch.zeros(2, 3, 1)))


def test_gaussians_have_an_exact_divergence():
    loss, view = sampled()
    found = policy_evaluation(view, None)
    one = torch.ones_like(OBSERVATION)
    torch.testing.assert_close(found.divergence, gaussian_kl(OBSERVATION, one, OBSERVATION / 2, one / 2))
    (found.q + found.entropy + found.divergence).sum().backward()
    assert scale_gradients(loss) == {"actor_network"}


def test_samples_estimate_it_on_demand():
    _, view = sampled()
    exact = policy_evaluation(view, None).divergence
    _, view = sampled()
    few = policy_evaluation(view, 2).divergence
    assert few.shape == (2, 3) and not torch.allclose(few, exact, rtol=1e-3)
    _, view = sampled()
    torch.testing.assert_close(policy_evaluation(view, 20_000).divergence, exact, rtol=0.1, atol=0.05)


def test_other_pairs_of_distributions_are_sampled():
    class Twin(TanhGaussian):
        """The same density, but of another class."""

    _, view = sampled(kind=Twin)
    exact = policy_evaluation(sampled()[1], None).divergence
    assert not torch.allclose(policy_evaluation(view, None).divergence, exact, rtol=1e-3)
    _, view = sampled(kind=Twin)
    torch.testing.assert_close(policy_evaluation(view, 20_000).divergence, exact, rtol=0.1, atol=0.05)


def test_four_samples_are_drawn_unless_said_otherwise(monkeypatch):
    drawn, original = [], torch.randn
    monkeypatch.setattr(
        torch, "randn", lambda shape, **more: drawn.append(tuple(shape)) or original(shape, **more)
    )
    policy_evaluation(sampled()[1], None)
    policy_evaluation(sampled()[1], 7)
    policy_value(sampled()[1].next)
    assert drawn == [(4, 2, 3, 1), (7, 2, 3, 1), (1, 2, 3, 1)]


def test_the_value_is_of_the_first_sample_and_the_entropy_of_all():
    _, view = sampled()
    found = policy_evaluation(view, 3)
    torch.manual_seed(0)
    action, log_prob = view.policy.rsample_with_log_prob((3,))
    torch.testing.assert_close(found.q, (OBSERVATION + 2 * action[0]).squeeze(-1))
    torch.testing.assert_close(found.entropy, -log_prob.mean(0))


def test_the_next_value_of_a_sample():
    _, view = sampled()
    q, entropy = policy_value(view.next)
    torch.manual_seed(0)
    action, log_prob = view.next.policy.rsample_with_log_prob((1,))
    torch.testing.assert_close(q, 3 * (OBSERVATION + 10 + 2 * action[0]).squeeze(-1))
    torch.testing.assert_close(entropy, -log_prob[0])


def test_censored_gaussians_are_exact_in_all():
    _, view = sampled(CensoredGaussian, CensoredGaussian)
    found = policy_evaluation(view, None)
    torch.testing.assert_close(found.entropy, view.policy.entropy())
    behavior = CensoredGaussian(OBSERVATION / 2, torch.full_like(OBSERVATION, 0.5))
    torch.testing.assert_close(found.divergence, view.policy.divergence_from(behavior))


def test_a_divergence_of_atoms_is_known_between_two_of_them_only():
    tanh, censored = (make_actor(SPEC, distribution=kind, hidden_sizes=(4,)) for kind in ("tanh", "censored"))
    require_known_divergence(tanh, tanh, None)
    require_known_divergence(tanh, tanh, 3)
    require_known_divergence(censored, censored, None)
    with pytest.raises(ValueError, match=r"BRACLoss: num_action_samples must be None.*got 3"):
        require_known_divergence(censored, censored, 3)
    for pair in ((tanh, censored), (censored, tanh)):
        for samples in (None, 3):
            with pytest.raises(ValueError, match=r"BRACLoss: actor_network and behavior_network.*got one"):
                require_known_divergence(*pair, samples)
