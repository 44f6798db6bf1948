"""`DatasetStatistics`: what :func:`omiga_torchrl.data.dataset_statistics` finds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from omiga_torchrl import keys
from omiga_torchrl.data.ends import DatasetEnds
from omiga_torchrl.data.statistics.distributions import Histogram, Spread
from omiga_torchrl.data.statistics.scan import ActionStatistics, GroupStatistics
from omiga_torchrl.errors import DataError


@dataclass(frozen=True)
class DatasetStatistics:
    """The statistics of a dataset; returns and rewards are raw.

    Attributes:
        transitions: joint transitions T.
        episodes: episodes E.
        duplicate_episodes: episodes that equal an earlier one: same states, joint actions and
            rewards at every step.
        terminated: share of episodes that the task ended.
        truncated: share of episodes that ended otherwise, e.g. because time ran out.
        unfinished: share of episodes whose last step is not done; they count like any other
            here, while OG-MARL leaves them out of its returns.
        episode_return: undiscounted returns.
        episode_length: steps per episode.
        reward: the team's reward per step.
        unique_joint: number of different (state, joint action) pairs.
        groups: statistics of every group by name; those of a plain team, the group ``"agents"``, are
            attributes of their own, too.
        random_return: mean return of random actions, or ``None`` if not known.
        best_return: return of the best policy known, or ``None`` if not known.
        return_histogram: of the episode returns.
        length_histogram: of the episode lengths.
        reward_histogram: of the rewards.
        ends: how episodes end, and which rows of the files are no steps.
    """

    transitions: int
    episodes: int
    duplicate_episodes: int
    terminated: float
    truncated: float
    unfinished: float
    episode_return: Spread
    episode_length: Spread
    reward: Spread
    unique_joint: int
    groups: dict[str, GroupStatistics]
    random_return: float | None
    best_return: float | None
    return_histogram: Histogram
    length_histogram: Histogram
    reward_histogram: Histogram
    ends: DatasetEnds

    @property
    def is_plain(self) -> bool:
        """Whether the team is the one group ``"agents"``."""
        return list(self.groups) == [keys.GROUP]

    @property
    def _only(self) -> GroupStatistics:
        if not self.is_plain:
            raise DataError(
                f"DatasetStatistics: the team has the groups {', '.join(self.groups)}. Read .groups."
            )
        return self.groups[keys.GROUP]

    @property
    def unique_local(self) -> tuple[int, ...]:
        """Number of different (observation, action) pairs of every agent, group after group."""
        return tuple(unique for group in self.groups.values() for unique in group.unique_local)

    @property
    def action(self) -> ActionStatistics:
        """The actions of a plain team."""
        return self._only.action

    @property
    def observation_minimum(self) -> tuple[float, ...]:
        """Smallest value of every observation feature of a plain team, over all agents `[O]`."""
        return self._only.observation_minimum

    @property
    def observation_maximum(self) -> tuple[float, ...]:
        """Largest value of every observation feature of a plain team, over all agents `[O]`."""
        return self._only.observation_maximum

    @property
    def tq(self) -> float | None:
        """Trajectory quality; ``None`` without references, or if random actions do best."""
        low, high = self.random_return, self.best_return
        if low is None or high is None or high <= low:
            return None
        return (self.episode_return.mean - low) / (high - low)

    @property
    def joint_saco(self) -> float:
        """Unique (state, joint action) pairs per transition."""
        return self.unique_joint / self.transitions

    @property
    def oaco(self) -> tuple[float, ...]:
        """Unique (observation, action) pairs per transition, of every agent."""
        return tuple(unique / self.transitions for unique in self.unique_local)

    @property
    def average_oaco(self) -> float:
        """Mean of :attr:`oaco` over agents."""
        return sum(self.unique_local) / len(self.unique_local) / self.transitions

    def to_json(self) -> str:
        """Everything as JSON text, measures such as ``"tq"`` included."""
        measures = {name: getattr(self, name) for name in ("tq", "joint_saco", "average_oaco", "oaco")}
        values = {**measures, **asdict(self), "ends": self.ends.to_dict()}
        if self.is_plain:
            values |= values.pop("groups")[keys.GROUP]
        return json.dumps(values, indent=2, allow_nan=False) + "\n"
