"""Evaluation of policies in an environment."""

from __future__ import annotations

from omiga_torchrl.evaluation.background import evaluate_in_background
from omiga_torchrl.evaluation.policy_facts import PolicyFacts
from omiga_torchrl.evaluation.protocol import Protocol
from omiga_torchrl.evaluation.result import EvaluationResult
from omiga_torchrl.evaluation.rollout import evaluate
from omiga_torchrl.evaluation.video import record_video

__all__ = [
    "EvaluationResult",
    "PolicyFacts",
    "Protocol",
    "evaluate",
    "evaluate_in_background",
    "record_video",
]
