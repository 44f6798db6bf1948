"""From what users hand over to open data: one function for every door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tensordict import TensorDictBase

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.joining import gathered
from omiga_torchrl.data.layouts import Reading
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.own.cutting import cut_run, find_episodes
from omiga_torchrl.data.own.delimiters import DelimiterRows
from omiga_torchrl.data.own.facts import Facts
from omiga_torchrl.data.own.own_source import with_steps
from omiga_torchrl.data.own.rollouts import Rollouts, tensordicts_of, to_given, trajectories
from omiga_torchrl.data.own.runs import Run, encode_actions, read_run
from omiga_torchrl.data.own.step_dicts import comes_and_goes, is_step_dicts
from omiga_torchrl.errors import DataError

Given = Mapping[str, Any]


@dataclass
class _Pass:
    """One pass over own data: it fills what only the data tell."""

    facts: Facts
    n_actions: dict[str, int] = field(default_factory=dict)
    agents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    ends: EndNotes = field(default_factory=EndNotes)

    def __post_init__(self) -> None:
        self._delimiters = DelimiterRows(self.facts.options, self.ends)

    def cut(self, given: Given, where: str, *, is_episode: bool) -> Iterator[Episodes]:
        """The episodes of what was given, which is one or several."""
        run = read_run(given, self.facts, where)
        if is_episode:
            run.team.setdefault("episode", np.zeros(run.steps, np.int64))
        self._delimiters.remove(run, is_episode=is_episode)
        length = find_episodes(run, self.facts.options)
        encode_actions(run, self.facts, length)
        self._learn(run)
        yield from cut_run(run, length, self.facts.options, self.left_out)

    def reading(self, blocks: Iterator[Episodes]) -> Reading:
        """The open data of this pass."""
        return Reading(
            with_steps(gathered(self._told(blocks), self.facts.where), self.facts.where),
            n_actions=self.n_actions,
            agents=self.agents,
            left_out=self.left_out,
            ends=self.ends,
        )

    def _told(self, blocks: Iterator[Episodes]) -> Iterator[Episodes]:
        yield from blocks
        self._delimiters.tell()

    def _learn(self, run: Run) -> None:
        for group, count in run.n_actions.items():
            known = self.n_actions.setdefault(group, count)
            if known != count:
                raise DataError(
                    f"{run.where}: 'action' must be of {known} actions as in the episodes before, got "
                    f"{count}. Pass n_actions=, the number of actions of the task."
                )
        for group, names in run.form.groups.items():
            if self.agents.setdefault(group, names) != names:
                raise DataError(
                    f"{run.where}: 'observation' must be of the agents {self.agents[group]} as before, "
                    f"got {names}. Pass team= with all of them, and agent_mask= where some are missing."
                )
        missing = self.agents.keys() - run.form.groups.keys()
        if missing:
            raise DataError(
                f"{run.where}: 'observation' must have the groups of the episodes before, got none of "
                f"{', '.join(sorted(missing))}. Give all groups in all episodes; agent_mask= says who is "
                "absent."
            )


def open_arrays(given: Given, facts: Facts) -> Callable[[], Reading]:
    """Arrays, or lists of one an episode.

    Args:
        given: by the names of :data:`omiga_torchrl.data.own.runs.NAMES`.
        facts: what is known of them.
    """
    is_episode = is_list(given["observation"])
    items = list(_items(given, facts.where)) if is_episode else [given]
    steps = [one["observation"] for one in items if is_step_dicts(one["observation"])]
    for one in items:
        facts.learn(one)
    everybody = [one for episode in steps for one in episode if one]
    facts.has_agent_mask = bool(everybody) and comes_and_goes(everybody)

    def read() -> Reading:
        one = _Pass(facts)
        return one.reading(
            episodes
            for index, item in enumerate(items)
            for episodes in one.cut(
                item, f"{facts.where}, episode {index}" if is_episode else facts.where, is_episode=is_episode
            )
        )

    return read


def open_stream(episodes: Iterable[Any], facts: Facts) -> Callable[[], Reading]:
    """Episodes one after the other: dicts of arrays, TensorDicts or :class:`Episodes`.

    Args:
        episodes: each once.
        facts: what is known of them.
    """

    def read() -> Reading:
        one = _Pass(facts)

        def blocks() -> Iterator[Episodes]:
            for index, item in enumerate(episodes):
                where = f"{facts.where}, episode {index}"
                if isinstance(item, Episodes):
                    yield item
                elif isinstance(item, TensorDictBase):
                    yield from one.cut(to_given(item, where), where, is_episode=True)
                elif isinstance(item, Mapping):
                    yield from one.cut(item, where, is_episode=True)
                else:
                    raise DataError(
                        f"{where} is of the type {type(item).__name__}; expected a dict of arrays, a "
                        "TensorDict or Episodes."
                    )

        return one.reading(blocks())

    return read


def open_rollouts(rollouts: Rollouts, facts: Facts) -> Callable[[], Reading]:
    """TensorDicts of TorchRL.

    Args:
        rollouts: see :data:`Rollouts`.
        facts: what is known of them.
    """
    tensordicts = tensordicts_of(rollouts, facts.where)

    def read() -> Reading:
        one = _Pass(facts)
        return one.reading(
            episodes
            for index, run in enumerate(trajectories(tensordicts, facts.where))
            for episodes in one.cut(
                to_given(run, facts.where), f"{facts.where}, run {index}", is_episode=False
            )
        )

    return read


def is_list(observation: Any) -> bool:
    """Whether observations are a list of episodes, not of steps as dicts."""
    return isinstance(observation, list | tuple) and not is_step_dicts(observation)


def _items(given: Given, where: str) -> Iterator[dict[str, Any]]:
    """The entries of every episode."""
    lists = {name: value for name, value in given.items() if value is not None}
    count = len(lists["observation"])
    for name, value in lists.items():
        if name == "episode" or not isinstance(value, list | tuple) or len(value) != count:
            told = (
                f"a list of {len(value)}" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
            )
            fix = (
                "Leave it out."
                if name == "episode"
                else "Arrays of all steps are given with np.asarray(...)."
            )
            raise DataError(
                f"{where}: 'observation' is a list of {count} episodes, {name!r} is {told}; expected a list "
                f"of one array an episode. {fix}"
            )
    for index in range(count):
        yield {name: value[index] for name, value in lists.items()}
