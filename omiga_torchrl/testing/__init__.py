"""The contracts that the library's parts are held to, for parts of one's own; they need pytest.

Subclass one in a test file, give what it asks for, and pytest runs its tests::

    from omiga_torchrl.testing import LossContract


    class TestMyLoss(LossContract):
        make = staticmethod(lambda spec, **kwargs: MyLoss(make_actor(spec, hidden_sizes=(8,)), **kwargs))
        trained = {"loss_actor": {"actor_network"}}

Losses are held to :class:`LossContract`, environments that :func:`omiga_torchrl.envs.register_env` makes
known to :class:`EnvContract`, and file layouts of :func:`omiga_torchrl.data.register_layout` to
:class:`LayoutContract`::

    from omiga_torchrl.testing import EnvContract, LayoutContract


    class TestMyTask(EnvContract):
        task, max_steps = "mine/task", 10


    class TestMyLayout(LayoutContract):
        name, fields = "mine", ("reward", "action", "observation")

        def write_files(self, folder, *, without=None):
            arrays = {"reward": reward, "action": action, "observation": observation}
            np.savez(folder / "data.npz", **{key: a for key, a in arrays.items() if key != without})
            return folder / "data.npz"
"""

from omiga_torchrl.testing.environment_contract import EnvContract
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
from omiga_torchrl.testing.layout_contract import LayoutContract
from omiga_torchrl.testing.output_contract import OutputContract
from omiga_torchrl.testing.transform_contract import TransformContract
from omiga_torchrl.testing.trust_contract import TrustContract


class LossContract(OutputContract, InputContract, TrustContract, TransformContract):
    """Contract of every loss of a team: TorchRL's own list of checks, and the library's.

    Subclasses give ``make`` and ``trained``; see :class:`omiga_torchrl.testing.loss_case.LossCase`.
    """


__all__ = [
    "CONTINUOUS",
    "DISCRETE",
    "SPECS",
    "EnvContract",
    "LayoutContract",
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
