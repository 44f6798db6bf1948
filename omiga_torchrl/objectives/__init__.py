"""Losses of offline multi-agent algorithms, as TorchRL ``LossModule`` classes."""

from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.bc import MultiAgentBCLoss
from omiga_torchrl.objectives.bcq import BCQLoss
from omiga_torchrl.objectives.cql import CQLLoss
from omiga_torchrl.objectives.iql import IQLLoss
from omiga_torchrl.objectives.omar import OMARLoss
from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.objectives.td3_bc import TD3BCLoss
