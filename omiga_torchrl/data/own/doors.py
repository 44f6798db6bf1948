"""`OwnData`: the doors through which own data come into a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from typing_extensions import Self

from omiga_torchrl.data.bundled import cache_root
from omiga_torchrl.data.layouts import READ_OPTIONS, Reading, ReadOptions
from omiga_torchrl.data.own.facts import Facts
from omiga_torchrl.data.own.forms import Team
from omiga_torchrl.data.own.opening import open_arrays, open_rollouts, open_stream
from omiga_torchrl.data.own.own_source import checked_source, known_of, open_once, streamed_source
from omiga_torchrl.data.own.rollouts import Rollouts

Counts = int | Mapping[str, int]
"""The number of discrete actions, of every group by its name where they differ."""


class OwnData:
    """The doors of :class:`omiga_torchrl.data.OfflineDataset` for data that are in no file.

    What comes through them is converted, checked and cached like files, under a checksum of its content.
    """

    @classmethod
    def from_arrays(
        cls,
        observation: Any,
        action: Any,
        reward: Any,
        terminated: Any,
        truncated: Any = None,
        *,
        state: Any = None,
        action_mask: Any = None,
        agent_mask: Any = None,
        agent_reward: Any = None,
        episode: Any = None,
        next_observation: Any = None,
        next_state: Any = None,
        next_action_mask: Any = None,
        next_agent_mask: Any = None,
        team: Team | None = None,
        n_actions: Counts | None = None,
        name: str = "arrays",
        card: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """A dataset of arrays in memory, rows in the order of time.

        Arrays of agents are `[T, N, ...]`; `[T, ...]` of a single agent; a dict of one array `[T, ...]` an
        agent; a dict of one array `[T, N, ...]` a group (see docs/groups.md); or, as PettingZoo gives them, a
        list of one dict a step, in which agents may be missing. Everything may also be a list of one of these
        an episode. NumPy arrays, tensors and whatever NumPy takes are read, floats and 0/1 flags of any type.

        **Ends.** An episode ends where ``terminated`` or ``truncated`` is true, where ``episode`` changes, at
        the end of a list's entry, and at the end of the data; without a flag it counts as truncated there.
        What was seen after its last step is the row behind it, if arrays have one row more per episode than
        actions, or ``next_observation`` (and ``next_state``, ``next_action_mask``, ``next_agent_mask``, as
        far as there are such arrays). If neither is given, a terminated step needs none, and **a truncated
        last step is left out**: its observation serves as the one after the step before it, its reward counts
        in the behaviour's return, and the number of such steps is logged and on the card,
        ``card.left_out_steps``. Delimiters, rows at the ends of all episodes that have neither action nor
        reward but only the last observation, are no steps; ``dataset.ends`` says so, and
        ``delimiter_rows=False`` (or ``True``) overrules it.

        Args:
            observation: `[T, N, O]`, or `[T + E, N, O]`.
            action: floats `[T, N, A]`; discrete: numbers `[T, N]` or one-hot `[T, N, K]`.
            reward: of the team `[T]`, or of every agent `[T, N]`, which ``team_reward="mean"|"sum"|"first"``
                puts together (and ``agent_rewards=True`` keeps).
            terminated: where the task ended `[T]`; of every agent `[T, N]`: the team's episode ends with its
                last.
            truncated: where time ran out, likewise.
            state: `[T, S]`; default is the observations in a row.
            action_mask: true = legal `[T, N, K]`.
            agent_mask: true = takes part `[T, N]`.
            agent_reward: every agent's own reward `[T, N]` beside a ``reward`` of the team.
            episode: number of each row's episode `[T]`.
            next_observation: one step later `[T, N, O]`, of the same episode; compared with the rows.
            next_state: `[T, S]`.
            next_action_mask: `[T, N, K]`.
            next_agent_mask: `[T, N]`.
            team: groups of agents, e.g. ``{"wolves": ["wolf_0", "wolf_1"], "hare": ["hare"]}``, or names in
                order.
            n_actions: number of discrete actions K, if neither masks nor one-hot actions tell.
            name: name in messages, on the card and of the cache.
            card: what else is known, e.g. ``{"task": "vmas/navigation", "tier": "medium", "random_return":
                -0.3}``; what is not stays unknown.
            **options: of :class:`omiga_torchrl.data.OfflineDataset`: ``batch_size``, ``reward_scale``,
                ``actions``, ...

        Raises:
            DataError: one message for what does not fit: the array, what it is, what was expected, the fix.

        Examples:
            >>> import numpy as np
            >>> from omiga_torchrl.data import OfflineDataset
            >>> rng = np.random.default_rng(0)
            >>> dataset = OfflineDataset.from_arrays(
            ...     observation=rng.normal(size=(6, 2, 4)),
            ...     action=rng.uniform(-1, 1, (6, 2, 1)),
            ...     reward=np.arange(6.0),
            ...     terminated=[0, 0, 1, 0, 0, 0],
            ...     truncated=[0, 0, 0, 0, 0, 1],
            ... )
            >>> len(dataset), dataset.card.episodes, dataset.card.left_out_steps
            (5, 2, 1)
            >>> dataset.card.behaviour_return["mean"]
            7.5
        """
        given = {
            "observation": observation, "action": action, "reward": reward, "terminated": terminated,
            "truncated": truncated, "state": state, "action_mask": action_mask, "agent_mask": agent_mask,
            "agent_reward": agent_reward, "episode": episode, "next_observation": next_observation,
            "next_state": next_state, "next_action_mask": next_action_mask, "next_agent_mask":
            next_agent_mask,
        }  # fmt: skip
        facts, others = _facts("from_arrays", team, n_actions, options)
        return _open(cls, "arrays", name, card, facts, open_arrays(given, facts), others)

    @classmethod
    def from_rollouts(
        cls,
        rollouts: Rollouts,
        *,
        n_actions: Counts | None = None,
        name: str = "rollouts",
        card: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """A dataset of TorchRL's TensorDicts: rollouts, batches of collectors, replay buffers.

        The keys are TorchRL's and BenchMARL's: ``("agents", "observation")``, ``("agents", "action")``, ...
        under the name of any groups, and ``("next", "reward")``, ``("next", "terminated")``, ``("next",
        "truncated")`` of the team, or of every agent of every group. A mask of agents may also be named
        ``"mask"``, as PettingZoo's wrapper does. Of a single agent all are at the root.

        A run of steps is a row of a TensorDict `[B, T]`, or a trajectory by TorchRL's numbers
        ``("collector", "traj_ids")``, whose pieces in several TensorDicts are put together. What was seen
        after a step is its ``"next"``, so that none is left out; a run that stops without a flag counts as
        truncated.

        Args:
            rollouts: a TensorDict `[T]` or `[B, T]`, several of them in order, a replay buffer, or the folder
                of a memory-mapped TensorDict. They are read twice: an iterator that can be read once is for
                :meth:`from_episodes`.
            n_actions: number of discrete actions, if neither masks nor one-hot actions tell.
            name: see :meth:`from_arrays`.
            card: see :meth:`from_arrays`.
            **options: see :meth:`from_arrays`; ``incomplete="truncated"`` ends episodes where the next
                row does not go on, as in a buffer that was overwritten in a circle.

        Raises:
            DataError: an entry is missing or does not fit, or rows are not in the order of time.

        Examples:
            >>> from omiga_torchrl.data import OfflineDataset
            >>> from omiga_torchrl.envs import make_env
            >>> env = make_env("vmas/navigation", num_envs=2, seed=0, max_steps=5)
            >>> dataset = OfflineDataset.from_rollouts(env.rollout(5))
            >>> len(dataset), dataset.card.episodes
            (10, 2)
        """
        facts, others = _facts("from_rollouts", None, n_actions, options)
        return _open(cls, "rollouts", name, card, facts, open_rollouts(rollouts, facts), others)

    @classmethod
    def from_episodes(
        cls,
        episodes: Iterable[Any],
        *,
        team: Team | None = None,
        n_actions: Counts | None = None,
        name: str = "episodes",
        card: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """A dataset of episodes that pass by one after the other, more than memory holds.

        They are written to the cache as they come, and read once.

        Args:
            episodes: each a dict of arrays by the names of :meth:`from_arrays`, a TensorDict `[T]`, or
                :class:`omiga_torchrl.data.Episodes`.
            team: see :meth:`from_arrays`.
            n_actions: see :meth:`from_arrays`.
            name: see :meth:`from_arrays`.
            card: see :meth:`from_arrays`.
            **options: see :meth:`from_arrays`.

        Raises:
            DataError: an episode does not fit; nothing is kept then.

        Examples:
            >>> import numpy as np
            >>> from omiga_torchrl.data import OfflineDataset
            >>> def simulate():
            ...     for length in (3, 2):
            ...         yield {
            ...             "observation": np.random.rand(length + 1, 2, 4),
            ...             "action": np.random.rand(length, 2, 1),
            ...             "reward": np.ones(length),
            ...             "terminated": np.zeros(length),
            ...         }
            >>> dataset = OfflineDataset.from_episodes(simulate())
            >>> len(dataset), dataset.card.behaviour_return
            (5, {'mean': 2.5, 'std': 0.5})
        """
        facts, others = _facts("from_episodes", team, n_actions, options)
        root = cache_root(others.get("root"))
        known = known_of("episodes", facts.options, card)
        source = streamed_source(name, facts.options, known, open_stream(episodes, facts), root)
        return open_once(cls, source, **others)


def _facts(
    door: str, team: Team | None, n_actions: Counts | None, options: Mapping[str, Any]
) -> tuple[Facts, dict[str, Any]]:
    """Facts of all data, and the options of the dataset."""
    of_reader = {key: value for key, value in options.items() if key in READ_OPTIONS}
    others = {key: value for key, value in options.items() if key not in READ_OPTIONS}
    return Facts(f"OfflineDataset.{door}", ReadOptions(**of_reader), team, n_actions), others


def _open(
    cls: Any,
    layout: str,
    name: str,
    card: Mapping[str, Any] | None,
    facts: Facts,
    read: Callable[[], Reading],
    others: Mapping[str, Any],
) -> Any:
    known = known_of(layout, facts.options, card)
    return open_once(cls, checked_source(name, facts.options, known, read), **others)
