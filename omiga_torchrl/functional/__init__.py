"""Pure kernels: one equation a function, unreduced, no TensorDict.

Agents are the last dimension, ``[*batch, agents]``; team quantities are ``[*batch]``.
"""

from omiga_torchrl.functional.advantage import (
    batch_max_scale,
    capped_exp,
    effective_sample_size,
    omiga_value_loss,
    policy_weight,
    scaled_advantage,
    updated_alpha,
)
from omiga_torchrl.functional.conservative import conservative_penalty, counterfactual_shares
from omiga_torchrl.functional.density import tanh_gaussian_log_density
from omiga_torchrl.functional.discrete import BestAction, best_value, expected_value, supported_actions
from omiga_torchrl.functional.divergences import (
    categorical_kl,
    sampled_kl,
    soft_chi_square,
    soft_chi_square_ratio,
)
from omiga_torchrl.functional.dual import dual_loss, objective_scale
from omiga_torchrl.functional.ensembles import ensemble_minimum, soft_minimum
from omiga_torchrl.functional.expectile import expectile_loss
from omiga_torchrl.functional.gru import gru
from omiga_torchrl.functional.mixing import mix_linearly
from omiga_torchrl.functional.search import Found, cross_entropy_search
from omiga_torchrl.functional.targets import lambda_target, one_step_target
from omiga_torchrl.functional.weights import (
    clipped_exponential_weight,
    counterfactual_advantage,
    log_partition,
    softmax_weight,
    standardise,
)

__all__ = [
    "BestAction",
    "Found",
    "batch_max_scale",
    "best_value",
    "capped_exp",
    "categorical_kl",
    "clipped_exponential_weight",
    "conservative_penalty",
    "counterfactual_advantage",
    "counterfactual_shares",
    "cross_entropy_search",
    "dual_loss",
    "effective_sample_size",
    "ensemble_minimum",
    "expected_value",
    "expectile_loss",
    "gru",
    "lambda_target",
    "log_partition",
    "mix_linearly",
    "objective_scale",
    "omiga_value_loss",
    "one_step_target",
    "policy_weight",
    "sampled_kl",
    "scaled_advantage",
    "soft_chi_square",
    "soft_chi_square_ratio",
    "soft_minimum",
    "softmax_weight",
    "standardise",
    "supported_actions",
    "tanh_gaussian_log_density",
    "updated_alpha",
]
