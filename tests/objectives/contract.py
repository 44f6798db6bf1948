"""The contract of losses, from where users take it, under the names of these tests."""

from omiga_torchrl.testing import (
    CONTINUOUS,
    DISCRETE,
    SPECS,
    LossContract,
    assert_actions_unread,
    gradients,
    losses_of,
    sequences,
)
from omiga_torchrl.testing import expand_rows as expanded
from omiga_torchrl.testing import fixed_noise as without_chance
from omiga_torchrl.testing import permute_agents as permuted

__all__ = [
    "CONTINUOUS",
    "DISCRETE",
    "SPECS",
    "LossContract",
    "assert_actions_unread",
    "expanded",
    "gradients",
    "losses_of",
    "permuted",
    "sequences",
    "without_chance",
]
