"""Losses of offline multi-agent algorithms, as TorchRL ``LossModule`` classes."""

from omiga_torchrl.objectives.bc import MultiAgentBCLoss
from omiga_torchrl.objectives.common import MultiAgentLoss
from omiga_torchrl.objectives.icq import ICQLoss
from omiga_torchrl.objectives.icq_variants import ICQVariant
from omiga_torchrl.objectives.omiga import (
    OMIGALoss,
    OMIGAPolicyLoss,
    OMIGAQValueLoss,
    OMIGAValueLoss,
)
from omiga_torchrl.objectives.target_update import ForeachSoftUpdate

__all__ = [
    "ForeachSoftUpdate",
    "ICQLoss",
    "ICQVariant",
    "MultiAgentBCLoss",
    "MultiAgentLoss",
    "OMIGALoss",
    "OMIGAPolicyLoss",
    "OMIGAQValueLoss",
    "OMIGAValueLoss",
]
