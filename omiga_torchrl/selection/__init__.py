"""Choosing among policies without an environment: fitted-Q evaluation, and scores beside it."""

from omiga_torchrl.selection.actions import PolicyActions, policy_actions, scaled
from omiga_torchrl.selection.bandit import UCBResult, normalised_score, ucb
from omiga_torchrl.selection.calibration import Calibration, calibrate
from omiga_torchrl.selection.candidates import (
    Candidate,
    FoundCandidates,
    OpenCandidate,
    find_candidates,
    open_candidate,
    open_data,
)
from omiga_torchrl.selection.config import FQEConfig
from omiga_torchrl.selection.coverage import Coverage
from omiga_torchrl.selection.figure import plot_selection
from omiga_torchrl.selection.fitted_q import StackedFQE
from omiga_torchrl.selection.joint import as_one_agent, joint_action, one_agent_spec
from omiga_torchrl.selection.ranking import ScoredPolicy, Selection
from omiga_torchrl.selection.scores import CheapScores, ScoringRows, behavior_log_prob, cheap_scores
from omiga_torchrl.selection.selecting import select_policies
from omiga_torchrl.selection.values import FittedValues, fitted_values

__all__ = [
    "Calibration",
    "Candidate",
    "CheapScores",
    "Coverage",
    "FQEConfig",
    "FittedValues",
    "FoundCandidates",
    "OpenCandidate",
    "PolicyActions",
    "ScoredPolicy",
    "ScoringRows",
    "Selection",
    "StackedFQE",
    "UCBResult",
    "as_one_agent",
    "behavior_log_prob",
    "calibrate",
    "cheap_scores",
    "find_candidates",
    "fitted_values",
    "joint_action",
    "normalised_score",
    "one_agent_spec",
    "open_candidate",
    "open_data",
    "plot_selection",
    "policy_actions",
    "scaled",
    "select_policies",
    "ucb",
]
