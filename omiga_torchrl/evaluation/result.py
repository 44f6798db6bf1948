"""`EvaluationResult`: what one evaluation measured, unaggregated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class EvaluationResult:
    """Raw results of E complete episodes.

    Attributes:
        returns: undiscounted team returns `[E]`, in the task's raw reward, float64.
        lengths: steps per episode `[E]`, int64.
        terminated: whether the episode ended by termination, not by a time-out, `[E]`, bool.
        won: whether the episode was won `[E]`, bool; ``None`` where the task has no such notion.
        group_returns: name of every group whose agents get rewards of their own to the mean of its
            agents' undiscounted returns `[E]`, float64; empty where there is only the team's reward.
        seed: seed of the evaluation's random stream.
        deterministic: whether the policy took its most likely action.

    Examples:
        >>> import torch
        >>> ended = torch.tensor([True, False])
        >>> EvaluationResult(torch.tensor([1.0, 2.0]), torch.tensor([5, 5]), ended).mean_return
        1.5
    """

    returns: Tensor
    lengths: Tensor
    terminated: Tensor
    won: Tensor | None = None
    seed: int = 0
    deterministic: bool = True
    group_returns: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def mean_return(self) -> float:
        """Mean of the episode returns."""
        return float(self.returns.mean())

    @property
    def terminated_share(self) -> float:
        """Share of the episodes that ended by termination."""
        return float(self.terminated.double().mean())

    @property
    def win_rate(self) -> float | None:
        """Share of the episodes won, where the task says so."""
        return None if self.won is None else float(self.won.double().mean())

    def metrics(self) -> dict[str, float]:
        """Scalars for a logger; ``"return"`` is the first."""
        found = {
            "return": self.mean_return,
            "return_std": float(self.returns.std(correction=0)),
            "length": float(self.lengths.double().mean()),
            "terminated_share": self.terminated_share,
        }
        if self.won is not None:
            found["win_rate"] = float(self.won.double().mean())
        for name, returns in self.group_returns.items():
            found[f"return_{name}"] = float(returns.mean())
        return found

    def to_record(self) -> dict[str, Any]:
        """Plain values for :meth:`omiga_torchrl.report.RunWriter.evaluation`."""
        record: dict[str, Any] = {
            "returns": self.returns.tolist(),
            "lengths": self.lengths.tolist(),
            "terminated": self.terminated.tolist(),
            "deterministic": self.deterministic,
            "seed": self.seed,
        }
        if self.won is not None:
            record["won"] = self.won.tolist()
        if self.group_returns:
            record["group_returns"] = {name: one.tolist() for name, one in self.group_returns.items()}
        return record
