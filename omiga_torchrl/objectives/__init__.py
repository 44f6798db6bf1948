"""Losses of offline multi-agent algorithms, as TorchRL ``LossModule`` classes."""

from omiga_torchrl.objectives.awac import AWACLoss
from omiga_torchrl.objectives.awr import AWRLoss
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.bc import MultiAgentBCLoss
from omiga_torchrl.objectives.brac import BRACLoss
from omiga_torchrl.objectives.comadice import ComaDICELoss
from omiga_torchrl.objectives.iql import IQLLoss
from omiga_torchrl.objectives.omac import OMACLoss
from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
