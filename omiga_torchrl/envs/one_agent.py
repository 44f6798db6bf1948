"""A Gymnasium game in PettingZoo's parallel interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AGENT = "agent_0"


class OneAgentGame:
    """A Gymnasium game as a parallel game of the one agent ``"agent_0"``.

    Args:
        game: the Gymnasium environment.

    Attributes:
        possible_agents: the agent.
        agents: the agent, or nobody after the end.
    """

    def __init__(self, game: Any) -> None:
        self.game = game
        self.possible_agents = [AGENT]
        self.agents: list[str] = []

    def observation_space(self, agent: str) -> Any:
        """The game's."""
        return self.game.observation_space

    def action_space(self, agent: str) -> Any:
        """The game's."""
        return self.game.action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Starts an episode; observations and infos by agent."""
        observed, info = self.game.reset(seed=seed, options=options)
        self.agents = [AGENT]
        return {AGENT: observed}, {AGENT: info}

    def step(self, actions: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """One step; observations, rewards, terminations, truncations and infos by agent."""
        observed, reward, terminated, truncated, info = self.game.step(actions[AGENT])
        if terminated or truncated:
            self.agents = []
        return tuple({AGENT: value} for value in (observed, reward, terminated, truncated, info))

    def render(self) -> Any:
        """The game's picture, of those made with ``render_mode="rgb_array"``."""
        return self.game.render()
