"""Mixers, networks and policies of a team of agents."""

from omiga_torchrl.modules.mixers import LinearMixer, QMIXMixer, TeamMixer, VDNMixer
from omiga_torchrl.modules.networks import AgentLinear, AgentMLP
from omiga_torchrl.modules.policies import (
    GaussianHead,
    MaskedLogits,
    TanhGaussian,
    categorical_actor,
    make_actor,
    tanh_gaussian_actor,
)

__all__ = [
    "AgentLinear",
    "AgentMLP",
    "GaussianHead",
    "LinearMixer",
    "MaskedLogits",
    "QMIXMixer",
    "TanhGaussian",
    "TeamMixer",
    "VDNMixer",
    "categorical_actor",
    "make_actor",
    "tanh_gaussian_actor",
]
