"""`dataset_statistics`: what is in a dataset, in numbers that have been published for others.

Definitions, with N agents and T transitions:

TQ
    Trajectory quality, (mean return - random return) / (best return - random return):
    Schweighofer et al. 2022, "A Dataset Perspective on Offline Reinforcement Learning". Their best
    is an expert trained online. Where the card has no expert's return, it is here the best
    behaviour policy's. TQ is not clipped to [0, 1]. Returns are undiscounted.
joint SACo
    State-action coverage, unique (state, joint action) pairs / T: Formanek et al. 2024, "Putting
    Data at the Centre of Offline Multi-Agent Reinforcement Learning", and OG-MARL's analysis.
    Schweighofer et al. divide by the unique pairs of a reference dataset instead of by T: that
    is the ratio of two datasets' ``unique_joint``.
average OACo
    Observation-action coverage: unique (observation, action) pairs of one agent / T, averaged
    over agents. OG-MARL counts every agent apart, as here, but prints counts and ratios between
    datasets; dividing by T, as in joint SACo, is this library's reading.
mean and standard deviation
    Over all episodes or steps; the deviation is the population's (divisor n), as in OG-MARL.

In teams of groups agents are counted in the order of the groups. Where agents come and go, OACo
counts the pairs of an agent where it takes part, divided by all transitions; absent agents' actions
are left out of joint actions.

Pairs are counted exactly as stored: floats in single precision, without rounding or binning.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from tensordict import NestedKey, TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.data.ends import DatasetEnds
from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.padding import find_padding
from omiga_torchrl.data.statistics.digests import count_unique, row_digests
from omiga_torchrl.data.statistics.distributions import Histogram, Spread, even_edges, whole_edges
from omiga_torchrl.data.statistics.result import DatasetStatistics
from omiga_torchrl.data.statistics.scan import GroupScan, GroupStatistics, Scan
from omiga_torchrl.errors import DataError, require_key, require_number

__all__ = ["DatasetStatistics", "dataset_statistics"]


def dataset_statistics(
    dataset: OfflineDataset | TensorDictBase,
    *,
    reward_scale: float = 1.0,
    random_return: float | None = None,
    best_return: float | None = None,
    chunk: int = 100_000,
    progress: bool = False,
) -> DatasetStatistics:
    """Compute the statistics; the definitions are those of this module.

    Observations, states and actions are read in chunks. What is kept is about 16 (N + 3) bytes
    per transition.

    Args:
        dataset: the dataset, or its transitions in order `[T]`.
        reward_scale: what the rewards of transitions were divided by; a dataset knows its own.
        random_return: mean return of random actions; default is what a dataset's card says.
        best_return: return of the best policy known; default is the published expert's on the
            dataset's card, or else its best behaviour policy's.
        chunk: transitions read at a time; the result does not depend on it.
        progress: show a progress bar (needs tqdm; large data only).

    Raises:
        DataError: no transitions, or NaN or infinite values.
        KeyError: an entry is missing.

    Examples:
        >>> statistics = dataset_statistics(OfflineDataset("vmas/navigation/mixed"))
        >>> statistics.episodes, statistics.joint_saco
        (303, 1.0)
    """
    if isinstance(dataset, OfflineDataset):
        data, card, reward_scale = dataset.data, dataset.card, dataset.reward_scale
        best = card.best_checkpoint_return if card.expert_return is None else card.expert_return
        random_return = card.random_return if random_return is None else random_return
        best_return = best if best_return is None else best_return
    else:
        data = dataset
    references = {"random_return": random_return, "best_return": best_return}
    given = {name: value for name, value in references.items() if value is not None}
    require_number("dataset_statistics", "that is finite", **given)
    if not len(data):
        raise DataError("dataset_statistics: there are no transitions; expected at least one.")
    if chunk < 1:
        raise ValueError(f"dataset_statistics: chunk is {chunk}; expected at least 1.")
    scan = Scan(data, dataset.spec if isinstance(dataset, OfflineDataset) else None)
    for rows in _chunks(len(data), chunk, progress):
        scan.add(rows)
    reward = _column(data, ("next", keys.REWARD)).astype(np.float64) * reward_scale
    _require_finite(
        observation=[group.observation_range for group in scan.groups.values()],
        action=[group.action_range for group in scan.groups.values()],
        reward=[reward],
    )
    return DatasetStatistics(
        transitions=len(data),
        unique_joint=count_unique(scan.joint),
        groups={
            name: _group_statistics(data, name, group, chunk, reward_scale)
            for name, group in scan.groups.items()
        },
        random_return=random_return,
        best_return=best_return,
        reward=Spread.of(reward),
        ends=dataset.ends if isinstance(dataset, OfflineDataset) else DatasetEnds.of_data(data),
        reward_histogram=Histogram.of(reward, even_edges(reward.min(), reward.max())),
        **_episode_statistics(data, reward, scan.joint),
    )


def _group_statistics(
    data: TensorDictBase, name: str, scan: GroupScan, chunk: int, reward_scale: float
) -> GroupStatistics:
    reward = data.get(("next", name, "reward"), None)
    episodes = 1 + int((data[keys.EPISODE].diff() != 0).sum()) if reward is not None else 0
    return GroupStatistics(
        unique_local=scan.count_unique(),
        action=scan.action_statistics(chunk),
        observation_minimum=tuple(scan.observation_range[0].tolist()),
        observation_maximum=tuple(scan.observation_range[1].tolist()),
        present=scan.shares_present(),
        padding=find_padding(data, name),
        # Sums over episodes add up to the sum over all steps.
        agent_return=None
        if reward is None
        else tuple((reward.squeeze(-1).double().sum(0) * reward_scale / episodes).tolist()),
    )


def _episode_statistics(data: TensorDictBase, reward: Array, joint: Array) -> dict[str, Any]:
    episode = _column(data, keys.EPISODE)
    starts = np.flatnonzero(np.append(True, episode[1:] != episode[:-1]))
    length = np.diff(np.append(starts, len(episode)))
    returns = np.add.reduceat(reward, starts)
    step = np.arange(len(episode)) - np.repeat(starts, length)
    whole = np.add.reduceat(row_digests(step, joint, reward), starts, axis=0)
    last = starts + length - 1
    terminated = _column(data, ("next", keys.TERMINATED))[last]
    done = _column(data, ("next", keys.DONE))[last] | terminated
    return {
        "episodes": len(starts),
        "duplicate_episodes": len(starts) - count_unique(whole),
        "terminated": float(terminated.mean()),
        "truncated": float((done & ~terminated).mean()),
        "unfinished": float((~done).mean()),
        "episode_return": Spread.of(returns),
        "episode_length": Spread.of(length),
        "return_histogram": Histogram.of(returns, even_edges(returns.min(), returns.max())),
        "length_histogram": Histogram.of(length, whole_edges(length.min(), length.max())),
    }


def _chunks(steps: int, chunk: int, progress: bool) -> Iterator[slice]:
    spans = [slice(start, min(start + chunk, steps)) for start in range(0, steps, chunk)]
    bar = None
    if progress and importlib.util.find_spec("tqdm") is not None:  # optional: extra "recipes"
        from tqdm import tqdm

        # A log file keeps every refresh as a line; small data need no bar.
        pause = 0.1 if sys.stderr.isatty() else 10.0
        bar = tqdm(total=steps, desc="reading", unit="row", unit_scale=True, delay=1.0, mininterval=pause)
    for span in spans:
        yield span
        if bar is not None:
            bar.update(span.stop - span.start)
    if bar is not None:
        bar.close()


def _column(data: TensorDictBase, key: NestedKey) -> Array:
    values: Array = require_key("dataset_statistics", data, key).reshape(-1).numpy()
    return values


def _require_finite(**values: list[Array]) -> None:
    found = [name for name, value in values.items() if not all(np.isfinite(one).all() for one in value)]
    if found:
        raise DataError(
            f"dataset_statistics: {', '.join(found)} has NaN or infinite values; expected finite ones. "
            "check_dataset says where they are."
        )
