"""The gradient step as a pure function, as one graph, as compiled code, and for several runs at once."""

from __future__ import annotations

from omiga_torchrl.trainers.compiled.graph import StepGraph, flat_inputs, flat_state, trace_step
from omiga_torchrl.trainers.compiled.pure_step import PureStep
from omiga_torchrl.trainers.compiled.state import StepInputs, StepState

__all__ = ["PureStep", "StepGraph", "StepInputs", "StepState", "flat_inputs", "flat_state", "trace_step"]
