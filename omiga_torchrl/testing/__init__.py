"""The contracts that the library's parts are held to, for parts of one's own; they need pytest.

Subclass one in a test file, give what it asks for, and pytest runs its tests::

    from omiga_torchrl.testing import LossContract


    class TestMyLoss(LossContract):
        make = staticmethod(lambda spec, **kwargs: MyLoss(make_actor(spec, hidden=(8,)), **kwargs))
        trained = {"loss_actor": {"actor_network"}}
"""

from omiga_torchrl.testing.helpers import (
    CONTINUOUS,
    DISCRETE,
    SPECS,
    assert_actions_unread,
    expand_rows,
    fixed_noise,
    gradients,
    has_targets,
    keyword_arguments,
    losses_of,
    permute_agents,
    sequences,
    with_fixed_noise,
)
from omiga_torchrl.testing.input_contract import InputContract
from omiga_torchrl.testing.output_contract import OutputContract
from omiga_torchrl.testing.transform_contract import TransformContract
from omiga_torchrl.testing.trust_contract import TrustContract


class LossContract(OutputContract, InputContract, TrustContract, TransformContract):
    """What every loss of a team must do: TorchRL's own list of checks, and the library's.

    Subclasses give ``make`` and ``trained``; see :class:`omiga_torchrl.testing.loss_case.LossCase`.
    """


__all__ = [
    "CONTINUOUS",
    "DISCRETE",
    "SPECS",
    "LossContract",
    "assert_actions_unread",
    "expand_rows",
    "fixed_noise",
    "gradients",
    "has_targets",
    "keyword_arguments",
    "losses_of",
    "permute_agents",
    "sequences",
    "with_fixed_noise",
]
