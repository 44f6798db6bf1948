"""Old name of :mod:`omiga_torchrl.modules.behavior_models`, for one release."""

from omiga_torchrl.modules.behavior_models import ConditionalVAE as ConditionalVAE
from omiga_torchrl.modules.behavior_models import behavior_model as behaviour_model
from omiga_torchrl.modules.latent_actions import LatentActions as LatentActions

__all__ = ["ConditionalVAE", "LatentActions", "behaviour_model"]
