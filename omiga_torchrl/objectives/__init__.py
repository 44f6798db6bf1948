"""Losses of offline multi-agent algorithms, as TorchRL ``LossModule`` classes."""

from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.bc import MultiAgentBCLoss
from omiga_torchrl.objectives.icq import ICQLoss
from omiga_torchrl.objectives.icq_variants import ICQVariant
from omiga_torchrl.objectives.iql import IQLLoss
from omiga_torchrl.objectives.omiga import OMIGALoss
from omiga_torchrl.objectives.omiga_terms import OMIGAPolicyLoss, OMIGAQValueLoss, OMIGAValueLoss
from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.objectives.view import TeamView

__all__ = ["ForeachSoftUpdate", "IQLLoss", "MultiAgentBCLoss", "TeamLoss", "TeamView"]
