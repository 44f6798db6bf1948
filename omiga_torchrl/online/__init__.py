"""From offline to online: a learned policy goes on learning with steps of its environment."""

from omiga_torchrl.online.buffer import OnlineBuffer
from omiga_torchrl.online.exploration import Explorers, ExploringPolicy, as_rows
from omiga_torchrl.online.hooks import CollectionHook, WarmUpHook

__all__ = ["CollectionHook", "Explorers", "ExploringPolicy", "OnlineBuffer", "WarmUpHook", "as_rows"]
