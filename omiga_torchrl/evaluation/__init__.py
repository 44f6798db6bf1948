"""Evaluation of policies in an environment."""

from __future__ import annotations

from omiga_torchrl.evaluation.protocol import Protocol
from omiga_torchrl.evaluation.random_state import (
    get_random_state,
    separate_random_stream,
    set_random_state,
)
from omiga_torchrl.evaluation.result import EvaluationResult
from omiga_torchrl.evaluation.rollout import evaluate

__all__ = [
    "EvaluationResult",
    "Protocol",
    "evaluate",
    "get_random_state",
    "separate_random_stream",
    "set_random_state",
]
