"""The spaces of one agent of a Gymnasium or PettingZoo game, and how its entries are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchrl.data import Bounded, Categorical, TensorSpec, Unbounded

from omiga_torchrl.errors import DataError

_MASK = "action_mask"
_SPLIT = {"observation", _MASK}


@dataclass(frozen=True)
class AgentSpaces:
    """Spaces of an agent's observations and actions; equal for agents that can form a group.

    Observations are flattened as Gymnasium does: discrete ones to one-hot features. Legal actions are
    read from a ``Dict`` observation ``{"observation", "action_mask"}`` or from the
    agent's info.

    Attributes:
        observation: Gymnasium's space of the observation, without the mask.
        action: Gymnasium's space of actions: ``Discrete``, or a one-dimensional ``Box`` with finite bounds.
        mask_in: where legal actions are: ``"observation"``, ``"info"``, or ``""``: all are.
    """

    observation: Any
    action: Any
    mask_in: str = ""

    @classmethod
    def of(cls, game: Any, agent: str, infos: Mapping[str, Any]) -> AgentSpaces:
        """The spaces of an agent, checked.

        Args:
            game: a game of PettingZoo's parallel interface.
            agent: its name.
            infos: of a reset.

        Raises:
            DataError: actions that the library has no policies for.
        """
        observation, action = game.observation_space(agent), game.action_space(agent)
        mask_in = "info" if _MASK in (infos.get(agent) or {}) else ""
        if set(getattr(observation, "spaces", {})) == _SPLIT:
            observation, mask_in = observation["observation"], "observation"
        _require_action(agent, action)
        return cls(observation, action, mask_in)

    @property
    def observation_size(self) -> int:
        """Features of the flattened observation."""
        from gymnasium.spaces import flatdim

        return int(flatdim(self.observation))

    @property
    def n_actions(self) -> int:
        """Number of discrete actions; 0 for continuous ones."""
        return int(getattr(self.action, "n", 0))

    def observation_specs(self, team: torch.Size) -> dict[str, TensorSpec]:
        """Specs of the entries that :meth:`read` gives.

        Args:
            team: ``[*B, N]``.
        """
        specs: dict[str, TensorSpec] = {"observation": Unbounded((*team, self.observation_size))}
        if self.mask_in:
            specs[_MASK] = Categorical(2, (*team, self.n_actions), dtype=torch.bool)
        return specs

    def action_spec(self, team: torch.Size) -> TensorSpec:
        """Spec of the actions.

        Args:
            team: ``[*B, N]``.
        """
        if self.n_actions:
            return Categorical(self.n_actions, team, dtype=torch.int64)
        bounds = (
            torch.as_tensor(bound, dtype=torch.float32) for bound in (self.action.low, self.action.high)
        )
        low, high = (bound.expand(*team, -1).clone() for bound in bounds)
        return Bounded(low, high, low.shape, dtype=torch.float32)

    def read(self, observed: Any, info: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """The entries of a moment, zeros of an agent that is not there.

        Args:
            observed: what the game gave, None of an absent agent.
            info: the game's, for this agent.
        """
        from gymnasium.spaces import flatten

        absent, mask = observed is None, info.get(_MASK)
        if self.mask_in == "observation" and not absent:
            observed, mask = observed["observation"], observed[_MASK]
        features = np.zeros(self.observation_size) if absent else flatten(self.observation, observed)
        entries = {"observation": np.asarray(features, np.float32)}
        if self.mask_in:
            # Those of an absent agent mean nothing, but random ones are drawn for it, too.
            legal = np.ones(self.n_actions) if absent or mask is None else np.asarray(mask)
            entries[_MASK] = legal.astype(bool)
        return entries

    def to_game(self, action: Any) -> Any:
        """An action in the game's own form.

        Args:
            action: an integer from 0, or a vector.
        """
        return int(action) + int(self.action.start) if self.n_actions else action


def _require_action(agent: str, space: Any) -> None:
    kind = type(space).__name__
    if kind == "Discrete":
        return
    if kind != "Box" or len(space.shape) != 1:
        raise DataError(
            f"from_pettingzoo: the action space of {agent} must be Discrete or a one-dimensional Box, got "
            f"{space}. Wrap the game: number the combinations of several integers, flatten arrays."
        )
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise DataError(
            f"from_pettingzoo: the action space of {agent} must have finite bounds, got {space}. Wrap the "
            "game so that it clips or rescales actions."
        )
