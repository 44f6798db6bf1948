"""Pure kernels: one equation a function, unreduced, no TensorDict.

Agents are the last dimension, ``[*batch, agents]``; team quantities are ``[*batch]``.
"""

from omiga_torchrl.functional.actor_losses import (
    cql_actor_loss,
    omar_actor_loss,
    smoothed_action,
    td3_bc_actor_loss,
)
from omiga_torchrl.functional.advantage import (
    batch_max_scale,
    capped_exp,
    effective_sample_size,
    omiga_value_loss,
    policy_weight,
    scaled_advantage,
    updated_alpha,
)
from omiga_torchrl.functional.bounds import (
    clamp_to_bounds,
    feature_mean,
    feature_sum,
    half_ranges,
    log_bound,
    to_unit,
)
from omiga_torchrl.functional.brac import brac_actor_loss
from omiga_torchrl.functional.censored import (
    censored_gaussian_cross_entropy,
    censored_gaussian_kl,
    censored_gaussian_log_density,
)
from omiga_torchrl.functional.conservative import boltzmann_kl, conservative_penalty, counterfactual_weights
from omiga_torchrl.functional.density import tanh_gaussian_log_density
from omiga_torchrl.functional.dice import (
    comadice_lagrange_loss,
    comadice_official_value_loss,
    comadice_value_loss,
    comadice_weight,
    soft_chi_square_conjugate,
)
from omiga_torchrl.functional.discrete import (
    BestAction,
    action_index,
    best_value,
    expected_value,
    supported_actions,
)
from omiga_torchrl.functional.divergences import (
    categorical_kl,
    gaussian_kl,
    sampled_kl,
    soft_chi_square,
    soft_chi_square_ratio,
)
from omiga_torchrl.functional.dual import dual_loss, projected_log_alpha, td3_bc_lambda
from omiga_torchrl.functional.ensembles import ensemble_minimum, soft_minimum
from omiga_torchrl.functional.expectile import expectile_loss
from omiga_torchrl.functional.gru import gru
from omiga_torchrl.functional.mixing import mix_linearly, normalized_weight
from omiga_torchrl.functional.ranking import average_rank, rank_correlation, regret_at_k, soft_opc
from omiga_torchrl.functional.returns import returns_to_go
from omiga_torchrl.functional.scale import mean_absolute_deviation
from omiga_torchrl.functional.search import CEMResult, cross_entropy_search
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
    "CEMResult",
    "action_index",
    "average_rank",
    "batch_max_scale",
    "best_value",
    "boltzmann_kl",
    "brac_actor_loss",
    "capped_exp",
    "categorical_kl",
    "censored_gaussian_cross_entropy",
    "censored_gaussian_kl",
    "censored_gaussian_log_density",
    "clamp_to_bounds",
    "clipped_exponential_weight",
    "comadice_lagrange_loss",
    "comadice_official_value_loss",
    "comadice_value_loss",
    "comadice_weight",
    "conservative_penalty",
    "counterfactual_advantage",
    "counterfactual_weights",
    "cql_actor_loss",
    "cross_entropy_search",
    "dual_loss",
    "effective_sample_size",
    "ensemble_minimum",
    "expected_value",
    "expectile_loss",
    "feature_mean",
    "feature_sum",
    "gaussian_kl",
    "gru",
    "half_ranges",
    "lambda_target",
    "log_bound",
    "log_partition",
    "mean_absolute_deviation",
    "mix_linearly",
    "normalized_weight",
    "omar_actor_loss",
    "omiga_value_loss",
    "one_step_target",
    "policy_weight",
    "projected_log_alpha",
    "rank_correlation",
    "regret_at_k",
    "returns_to_go",
    "sampled_kl",
    "scaled_advantage",
    "smoothed_action",
    "soft_chi_square",
    "soft_chi_square_conjugate",
    "soft_chi_square_ratio",
    "soft_minimum",
    "soft_opc",
    "softmax_weight",
    "standardise",
    "supported_actions",
    "tanh_gaussian_log_density",
    "td3_bc_actor_loss",
    "td3_bc_lambda",
    "to_unit",
    "updated_alpha",
]
