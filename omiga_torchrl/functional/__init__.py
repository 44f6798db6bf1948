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
from omiga_torchrl.functional.density import tanh_gaussian_log_density
from omiga_torchrl.functional.mixing import mix_linearly
from omiga_torchrl.functional.targets import lambda_target, one_step_target
from omiga_torchrl.functional.weights import counterfactual_advantage, log_partition, softmax_weight

__all__ = [
    "batch_max_scale",
    "capped_exp",
    "counterfactual_advantage",
    "effective_sample_size",
    "lambda_target",
    "log_partition",
    "mix_linearly",
    "omiga_value_loss",
    "one_step_target",
    "policy_weight",
    "scaled_advantage",
    "softmax_weight",
    "tanh_gaussian_log_density",
    "updated_alpha",
]
