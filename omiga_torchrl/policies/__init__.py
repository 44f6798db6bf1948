"""Whole policies: loaded, played in raw environments, called with arrays, saved."""

from omiga_torchrl.policies.acting import PolicyStep
from omiga_torchrl.policies.exporting import ExportedPolicy, export_policy, load_exported
from omiga_torchrl.policies.foreign import FunctionPolicy, find_policy, wrap_policy
from omiga_torchrl.policies.ports import Port, inputs_of, outputs_of
from omiga_torchrl.policies.recording import record_policy
from omiga_torchrl.policies.saving import load_policy, policy_file, save_policy
from omiga_torchrl.policies.team_policy import Mode, TeamPolicy

__all__ = [
    "ExportedPolicy",
    "FunctionPolicy",
    "Mode",
    "PolicyStep",
    "Port",
    "TeamPolicy",
    "export_policy",
    "find_policy",
    "inputs_of",
    "load_exported",
    "load_policy",
    "outputs_of",
    "policy_file",
    "record_policy",
    "save_policy",
    "wrap_policy",
]
