"""BRAC's policy: its value, its entropy, and its divergence from the model of the behavior."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.distributions import Distribution

from omiga_torchrl import functional as F
from omiga_torchrl.modules import CensoredGaussian, is_censored
from omiga_torchrl.modules.distributions import BoundedGaussian
from omiga_torchrl.objectives.sampled_actions import SampledActions
from omiga_torchrl.objectives.values import log_probs
from omiga_torchrl.objectives.view import TeamView

_PUBLISHED_SAMPLES = 4


def require_known_divergence(actor: nn.Module, behavior: nn.Module, num_samples: int | None) -> None:
    """Raise where the divergence is infinite, or its gradient that of samples on atoms.

    Args:
        actor: the policy.
        behavior: the behavior model.
        num_samples: of the policy for KL; None is exact where that is known.

    Raises:
        ValueError: only one has atoms, or samples are asked for where both have.
    """
    censored = is_censored(actor), is_censored(behavior)
    if censored == (True, True) and num_samples is not None:
        raise ValueError(
            f"BRACLoss: num_action_samples must be None with censored Gaussians, got {num_samples}. Leave it "
            "out, as their divergence is exact, or take distribution='tanh'."
        )
    if any(censored) != all(censored):
        raise ValueError(
            "BRACLoss: actor_network and behavior_network must both be censored Gaussians or neither, got "
            "one, infinitely far from the other. Take distribution='tanh', or the same for both."
        )


class PolicyEvaluation(NamedTuple):
    """The policy of every agent as its loss sees it, each ``[*B, N]``.

    Attributes:
        q: Q_i of its action, with gradient to the policy only.
        entropy: H_i.
        divergence: KL from the behavior model.
    """

    q: Tensor
    entropy: Tensor
    divergence: Tensor


def policy_evaluation(batch: TeamView, num_samples: int | None) -> PolicyEvaluation:
    """Evaluate the policy at this step, once for all terms.

    Args:
        batch: the batch.
        num_samples: of the policy for KL, continuous actions; None is exact where that is known, else 4.
    """

    def evaluate(part: TeamView) -> PolicyEvaluation:
        return _summed_evaluation(part) if part.is_discrete else _sampled_evaluation(part, num_samples)

    return batch.once("policy_evaluation", lambda: PolicyEvaluation(*batch.gather_all(evaluate)))


def _summed_evaluation(batch: TeamView) -> PolicyEvaluation:
    policy_log_probs, action_mask = batch.policy_log_probs, batch.action_mask
    behavior_log_probs = batch.with_distribution("behavior_network", log_probs, detach_params=True)
    q, entropy = _expectations(batch.q_values_min.detach(), policy_log_probs, action_mask)
    return PolicyEvaluation(q, entropy, F.categorical_kl(policy_log_probs, behavior_log_probs, action_mask))


def _sampled_evaluation(batch: TeamView, num_samples: int | None) -> PolicyEvaluation:
    policy = batch.policy
    samples = SampledActions.from_policy(policy, num_samples or _PUBLISHED_SAMPLES)

    def divergence_from(behavior: Distribution) -> Tensor:
        is_exact = num_samples is None or isinstance(policy, CensoredGaussian)
        if is_exact and isinstance(policy, BoundedGaussian) and isinstance(behavior, type(policy)):
            return policy.divergence_from(behavior)
        behavior_log_prob = behavior.log_prob(samples.action)
        return F.sampled_kl(samples.log_prob.movedim(0, -1), behavior_log_prob.movedim(0, -1))

    divergence = batch.with_distribution("behavior_network", divergence_from, detach_params=True)
    q = F.ensemble_minimum(batch.q_at(samples.action[0], detach_params=True))
    entropy = policy.entropy() if isinstance(policy, CensoredGaussian) else -samples.log_prob.mean(0)
    return PolicyEvaluation(q, entropy, divergence)


def policy_value(step: TeamView) -> tuple[Tensor, Tensor]:
    """Target Q_i of the policy's actions and its entropy, each ``[*B, N]``: exact, or of one sample.

    Args:
        step: the next step of a batch, agents of one kind of actions.
    """
    if step.is_discrete:
        return _expectations(step.target.q_values_min, step.policy_log_probs, step.action_mask)
    samples = SampledActions.from_policy(step.policy, 1)
    return F.ensemble_minimum(step.target.q_at(samples.action[0])), -samples.log_prob[0]


def _expectations(
    q_values: Tensor, policy_log_probs: Tensor, action_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Mean of values ``[*B, N, K]`` under a policy, and its entropy."""
    probs = policy_log_probs.exp()
    q = F.expected_value(q_values, probs, action_mask)
    return q, F.expected_value(-policy_log_probs, probs, action_mask)
