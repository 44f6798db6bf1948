"""A VMAS scenario of two kinds of agents: a speaker who knows the goal, and listeners who move to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from vmas.simulator.core import Agent, Landmark, Sphere, World
from vmas.simulator.dynamics.static import Static
from vmas.simulator.scenario import BaseScenario
from vmas.simulator.utils import Color, ScenarioUtils

_PLACES = 3
_COLORS = (Color.RED, Color.GREEN, Color.BLUE)


class SpeakerListeners(BaseScenario):
    """A speaker knows which of three places is the goal; listeners have to gather there.

    After MPE's cooperative communication (Lowe et al. 2017, `simple_speaker_listener`), with any number of
    listeners and a goal of its own in every world: VMAS's version has one goal for all worlds of a batch, so
    that a constant message is as good as speech. The speaker observes the goal's number as one-hot `[3]` and
    stands still; its action `[3]` in [-1, 1] is what the listeners hear at the next step. Listeners observe
    their velocity, the places relative to them and the message `[11]`, and move by forces `[2]`. All agents'
    reward is minus the mean distance of the listeners to the goal.

    The scenario's arguments: ``n_listeners``, default 2.
    """

    def make_world(self, batch_dim: int, device: torch.device, **kwargs: Any) -> World:
        """The agents ``speaker_0``, ``listener_0``, ... and the places."""
        n_listeners = kwargs.pop("n_listeners", 2)
        ScenarioUtils.check_kwargs_consumed(kwargs)
        world = World(batch_dim, device)
        self.speaker = Agent(
            "speaker_0",
            collide=False,
            movable=False,
            dynamics=Static(),
            action_size=_PLACES,
            shape=Sphere(0.075),
            color=Color.GRAY,
        )
        self.listeners = [
            Agent(f"listener_{index}", collide=False, shape=Sphere(0.05), color=Color.ORANGE)
            for index in range(n_listeners)
        ]
        self.places = [
            Landmark(f"place_{index}", collide=False, shape=Sphere(0.08), color=color)
            for index, color in enumerate(_COLORS)
        ]
        for agent in (self.speaker, *self.listeners):
            world.add_agent(agent)
        for place in self.places:
            world.add_landmark(place)
        self.goal = torch.zeros(batch_dim, dtype=torch.int64, device=device)
        self.message = torch.zeros(batch_dim, _PLACES, device=device)
        return world

    def reset_world_at(self, env_index: int | None = None) -> None:
        """New places, goals and silence, in one world or in all."""
        count = self.world.batch_dim if env_index is None else 1
        for entity in (*self.world.agents, *self.places):
            spot = torch.empty(count, 2, device=self.world.device).uniform_(-1.0, 1.0)
            entity.set_pos(spot, batch_index=env_index)
        chosen = slice(None) if env_index is None else env_index
        self.goal[chosen] = torch.randint(_PLACES, (count,), device=self.world.device).squeeze(0)
        self.message[chosen] = 0.0

    def process_action(self, agent: Agent) -> None:
        """Keeps what the speaker says until the next step."""
        if agent is self.speaker:
            self.message = agent.action.u.clone()

    def observation(self, agent: Agent) -> Tensor:
        """An agent's observation `[B, O]`: the goal, or velocity, places and message."""
        if agent is self.speaker:
            return torch.nn.functional.one_hot(self.goal, _PLACES).float()
        away = [place.state.pos - agent.state.pos for place in self.places]
        return torch.cat([agent.state.vel, *away, self.message], -1)

    def reward(self, agent: Agent) -> Tensor:
        """Minus the mean distance of the listeners to the goal."""
        spots = torch.stack([place.state.pos for place in self.places], 1)
        target = spots[torch.arange(len(spots), device=spots.device), self.goal]
        away = [(listener.state.pos - target).norm(dim=-1) for listener in self.listeners]
        return -torch.stack(away).mean(0)
