"""Offline multi-agent reinforcement learning for TorchRL: losses, mixers, data, evaluation.

Nothing heavy is imported here: ``omiga_torchrl.objectives``, ``modules``, ``functional``
and ``algorithms`` need torch, torchrl, tensordict and numpy; the environments and
recipes need the extras that their errors name.
"""

__version__ = "0.1.0"
