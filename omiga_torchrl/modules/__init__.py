"""Mixers, networks and policies of a team of agents."""

from omiga_torchrl.modules.behavior_models import ConditionalVAE, behavior_model
from omiga_torchrl.modules.builders import (
    make_mixer,
    perturbation_network,
    qvalue_ensemble,
    qvalue_network,
    value_network,
)
from omiga_torchrl.modules.deterministic import BoundedActions, deterministic_actor
from omiga_torchrl.modules.distributions import TanhGaussian
from omiga_torchrl.modules.ensembles import Ensemble, first_member_view
from omiga_torchrl.modules.latent_actions import LatentActions
from omiga_torchrl.modules.mixers import LinearMixer, QMIXMixer, TeamMixer, VDNMixer
from omiga_torchrl.modules.networks import AgentLinear, AgentMLP
from omiga_torchrl.modules.normalized_mixer import NormalizedMixer
from omiga_torchrl.modules.perturbation import PerturbedActions
from omiga_torchrl.modules.policies import (
    GaussianHead,
    MaskedLogits,
    categorical_actor,
    make_actor,
    tanh_gaussian_actor,
)
from omiga_torchrl.modules.recurrent import TeamGRU, agent_network, is_recurrent

# Old names, for one release.
behaviour_model = behavior_model
NormalisedMixer = NormalizedMixer

__all__ = [
    "AgentLinear",
    "AgentMLP",
    "BoundedActions",
    "ConditionalVAE",
    "Ensemble",
    "GaussianHead",
    "LatentActions",
    "LinearMixer",
    "MaskedLogits",
    "NormalisedMixer",
    "NormalizedMixer",
    "PerturbedActions",
    "QMIXMixer",
    "TanhGaussian",
    "TeamGRU",
    "TeamMixer",
    "VDNMixer",
    "agent_network",
    "behavior_model",
    "behaviour_model",
    "categorical_actor",
    "deterministic_actor",
    "first_member_view",
    "is_recurrent",
    "make_actor",
    "make_mixer",
    "perturbation_network",
    "qvalue_ensemble",
    "qvalue_network",
    "tanh_gaussian_actor",
    "value_network",
]
