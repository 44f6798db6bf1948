"""Losses of offline multi-agent algorithms, as TorchRL ``LossModule`` classes.

A loss of one's own states its terms, its networks, and one method for each term::

    class WeightedCloningLoss(TeamLoss):
        terms = ("actor",)
        reads = ("action",)

        def __init__(self, actor_network, *, weight=1.0, **kwargs):
            super().__init__(**kwargs)
            self.add_coefficient("weight", weight, "> 0")
            self.add_network("actor_network", actor_network)

        def actor_loss(self, data):
            batch = self.view(data)
            return batch.reduce(-self.weight * batch.log_prob)
"""

from omiga_torchrl.objectives.awac import AWACLoss
from omiga_torchrl.objectives.awr import AWRLoss
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.bc import MultiAgentBCLoss
from omiga_torchrl.objectives.bcq import BCQLoss
from omiga_torchrl.objectives.brac import BRACLoss
from omiga_torchrl.objectives.comadice import ComaDICELoss
from omiga_torchrl.objectives.cql import CQLLoss
from omiga_torchrl.objectives.fqe import FQELoss
from omiga_torchrl.objectives.icq import ICQLoss
from omiga_torchrl.objectives.icq_variants import ICQVariant
from omiga_torchrl.objectives.iql import IQLLoss
from omiga_torchrl.objectives.matd3_bc import MATD3BCLoss
from omiga_torchrl.objectives.omac import OMACLoss
from omiga_torchrl.objectives.omar import OMARLoss
from omiga_torchrl.objectives.omiga import OMIGALoss
from omiga_torchrl.objectives.omiga_terms import OMIGAPolicyLoss, OMIGAQValueLoss, OMIGAValueLoss
from omiga_torchrl.objectives.rebrac import ReBRACLoss
from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.objectives.td3_bc import TD3BCLoss
from omiga_torchrl.objectives.view import TeamView

__all__ = [
    "AWACLoss",
    "AWRLoss",
    "BCQLoss",
    "BRACLoss",
    "CQLLoss",
    "ComaDICELoss",
    "FQELoss",
    "ForeachSoftUpdate",
    "ICQLoss",
    "ICQVariant",
    "IQLLoss",
    "MATD3BCLoss",
    "MultiAgentBCLoss",
    "OMACLoss",
    "OMARLoss",
    "OMIGALoss",
    "OMIGAPolicyLoss",
    "OMIGAQValueLoss",
    "OMIGAValueLoss",
    "ReBRACLoss",
    "TD3BCLoss",
    "TeamLoss",
    "TeamView",
]
