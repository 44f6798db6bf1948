"""Losses of offline multi-agent algorithms, as TorchRL ``LossModule`` classes."""

from omiga_torchrl.objectives.awac import AWACLoss
from omiga_torchrl.objectives.awr import AWRLoss
from omiga_torchrl.objectives.bc import MultiAgentBCLoss
from omiga_torchrl.objectives.bcq import BCQLoss
from omiga_torchrl.objectives.brac import BRACLoss
from omiga_torchrl.objectives.comadice import ComaDICELoss
from omiga_torchrl.objectives.common import MultiAgentLoss
from omiga_torchrl.objectives.cql import CQLLoss
from omiga_torchrl.objectives.icq import ICQLoss
from omiga_torchrl.objectives.icq_variants import ICQVariant
from omiga_torchrl.objectives.iql import IQLLoss
from omiga_torchrl.objectives.omac import OMACLoss
from omiga_torchrl.objectives.omar import OMARLoss
from omiga_torchrl.objectives.omiga import OMIGALoss, OMIGAPolicyLoss, OMIGAQValueLoss, OMIGAValueLoss
from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.objectives.td3_bc import TD3BCLoss
from omiga_torchrl.objectives.team_critic import TeamCriticLoss

__all__ = [
    "AWACLoss",
    "AWRLoss",
    "BCQLoss",
    "BRACLoss",
    "CQLLoss",
    "ComaDICELoss",
    "ForeachSoftUpdate",
    "ICQLoss",
    "ICQVariant",
    "IQLLoss",
    "MultiAgentBCLoss",
    "MultiAgentLoss",
    "OMACLoss",
    "OMARLoss",
    "OMIGALoss",
    "OMIGAPolicyLoss",
    "OMIGAQValueLoss",
    "OMIGAValueLoss",
    "TD3BCLoss",
    "TeamCriticLoss",
]
