"""Recording whole episodes of a policy, many environments at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.recording.collecting import batches, collecting
from omiga_torchrl.data.recording.streams import EpisodeCutter, groups_of


def record_episodes(
    policy: TensorDictModuleBase | None,
    env: EnvBase,
    *,
    episodes: int | None = None,
    transitions: int | None = None,
    exploration: ExplorationType = ExplorationType.RANDOM,
) -> Episodes:
    """Play whole episodes and keep every step of them.

    Every environment of the batch plays its share, one episode after the other, and finishes
    its last one, so that short episodes are not over-represented.

    Args:
        policy: acts on the environment's keys; ``None`` acts uniformly at random. A recurrent
            policy needs its transforms in the environment.
        env: environment, batched or not, with the keys of
            :func:`omiga_torchrl.envs.make_env`; it is reset and left open.
        episodes: how many episodes to play; or
        transitions: play until there are at least this many steps, then drop the whole
            episodes that are not needed for it.
        exploration: ``RANDOM`` samples the policy (default, as data needs it),
            ``DETERMINISTIC`` takes its mode.

    Raises:
        ValueError: not exactly one of ``episodes`` and ``transitions``, or it is below 1.
        KeyError: the environment lacks a key that every dataset needs.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> played = record_episodes(None, make_env("vmas/navigation", num_envs=4, max_steps=5), episodes=6)
        >>> len(played), played.observation.shape
        (6, (36, 3, 18))
    """
    if (episodes is None) == (transitions is None) or (episodes or transitions or 0) < 1:
        raise ValueError(
            f"record_episodes: episodes={episodes}, transitions={transitions}; expected exactly one "
            "of them, at least 1."
        )
    with collecting(policy, env, exploration=exploration) as collector:
        cutter = EpisodeCutter(steps=transitions, episodes=episodes, groups=groups_of(env))
        played = play(batches(collector), cutter)
    played = enough(played, transitions) if episodes is None else played.first(episodes)
    return played.without_repeated_state()


def play(
    source: Iterator[TensorDictBase], cutter: EpisodeCutter, on_steps: Callable[[int], object] | None = None
) -> Episodes:
    """Take batches until the cutter has what it wants.

    Args:
        source: batches of :func:`omiga_torchrl.data.recording.collecting.batches`.
        cutter: a fresh one.
        on_steps: told how many steps of each batch are kept.
    """
    while not cutter.done:
        kept = cutter.add(next(source))
        if on_steps is not None:
            on_steps(kept)
    return cutter.episodes()


def enough(played: Episodes, transitions: int | None) -> Episodes:
    """The first episodes that have together at least so many transitions.

    As every stream's episodes follow each other in `played`, this is again what playing
    one episode after the other gives.
    """
    return played.first(int(np.searchsorted(np.cumsum(played.length), transitions or 0)) + 1)
