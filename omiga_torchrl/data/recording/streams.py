"""Cutting what collectors deliver, streams of steps, into whole episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import PER_ROW, PER_STEP, AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.errors import require_key

_TEAM: dict[str, NestedKey] = {
    "reward": keys.next_key(keys.REWARD),
    "terminated": keys.next_key(keys.TERMINATED),
    "done": keys.next_key(keys.DONE),
}
_HINT = "Expected the keys of make_env; rename yours with a RenameTransform."


class EpisodeCutter:
    """Keeps the whole episodes of streams of steps.

    A stream is an environment that starts its next episode by itself; batches continue where
    the last one stopped. Every stream has the same quota. It is kept until its quota is used and
    the episode that was then running has ended: what playing the quota one step after the other,
    and finishing the last episode, gives. Taking the episodes that end first would prefer short
    ones.

    Args:
        steps: quota of all streams together in steps; or
        episodes: in episodes.
        groups: names of the groups of agents, in order; those of the environment's ``group_map``.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> env = make_env("vmas/navigation", num_envs=4, max_steps=5)
        >>> cutter = EpisodeCutter(steps=24)
        >>> while not cutter.done:
        ...     _ = cutter.add(env.rollout(10, break_when_any_done=False))
        >>> cutter.episodes().length.tolist()
        [5, 5, 5, 5, 5, 5, 5, 5]
    """

    def __init__(
        self, *, steps: int | None = None, episodes: int | None = None, groups: Sequence[str] = (keys.GROUP,)
    ) -> None:
        self._groups = tuple(groups)
        self._in_episodes = episodes is not None
        self._quota = episodes or steps or 0
        self._used = torch.zeros(0, dtype=torch.long)
        self._open = torch.ones(0, dtype=torch.bool)
        self._steps: list[TensorDictBase] = []
        self._finals: list[TensorDictBase] = []

    @property
    def done(self) -> bool:
        """Whether every stream has used its quota and ended its episode."""
        return bool(self._steps) and not bool(self._open.any())

    def add(self, batch: TensorDictBase) -> int:
        """Take the next steps of all streams.

        Args:
            batch: `[*streams, time]` with the keys of the environment; the same streams each time.

        Returns:
            How many of these steps are kept.

        Raises:
            KeyError: an entry is missing that every dataset needs.
        """
        batch = _flat(batch, self._groups)
        done: Tensor = batch["done"].squeeze(-1)
        if not self._steps:
            self._used, self._open = torch.zeros(len(done), dtype=torch.long), torch.ones(len(done)).bool()
            self._quota = -(-self._quota // len(done))
        counted = done if self._in_episodes else torch.ones_like(done)
        last = done & (self._used[:, None] + counted.cumsum(1) >= self._quota)
        # Everything before the first such end, and that end.
        keep = self._open[:, None] & (last.cumsum(1) - last.long() == 0)
        self._used += counted.sum(1)
        self._open &= ~last.any(1)
        batch["stream"] = torch.arange(len(done))[:, None].expand_as(done)
        following = batch.pop("next").set("stream", batch["stream"])
        self._steps.append(batch[keep])
        self._finals.append(following[keep & done])
        return int(keep.sum())

    def episodes(self) -> Episodes:
        """The kept episodes: all of the first stream, then of the second one, and so on."""
        steps, finals = (_by_stream(parts) for parts in (self._steps, self._finals))
        ends = steps["done"].squeeze(-1).nonzero().squeeze(-1).numpy()
        team: dict[str, Array] = {
            name: steps[name].squeeze(-1).numpy() for name in ("reward", "terminated", "truncated")
        }

        def rows(key: NestedKey) -> Array:
            return np.insert(steps[key].numpy(), ends + 1, finals[key].numpy(), axis=0)

        groups = {}
        for group in self._groups:
            arrays = {name: value.numpy() for name, value in steps[group].items() if name in PER_STEP}
            for name in set(PER_ROW) & set(steps[group].keys()):
                arrays[name] = rows((group, name))
            groups[group] = AgentArrays(**arrays)
        state = rows("state") if "state" in steps.keys() else None  # noqa: SIM118
        return Episodes(**team, groups=groups, state=state, length=np.diff(ends, prepend=-1))


def groups_of(env: EnvBase) -> list[str]:
    """Names of the groups of agents of an environment, as its ``group_map`` has them.

    Args:
        env: without a ``group_map`` it has the group ``"agents"``.
    """
    return list(getattr(env, "group_map", None) or (keys.GROUP,))


def _flat(batch: TensorDictBase, groups: Sequence[str]) -> TensorDictBase:
    """Entries of a dataset by their names there `[S, time]`; the rows that follow are under ``"next"``."""
    out = TensorDict({}, batch.shape)
    for name, key in _TEAM.items():
        out[name] = require_key("record_episodes", batch, key, _HINT)
    # Environments without a time limit of their own may lack it.
    truncated = batch.get(keys.next_key(keys.TRUNCATED), None)
    out["truncated"] = out["done"] & ~out["terminated"] if truncated is None else truncated
    present = batch.keys(True, True)
    rows: dict[NestedKey, NestedKey] = {"state": keys.STATE} if keys.STATE in present else {}
    for group in groups:
        out[group, "action"] = require_key("record_episodes", batch, (group, "action"), _HINT)
        reward = batch.get(("next", group, "reward"), None)
        if reward is not None:
            out[group, "reward"] = reward.squeeze(-1)
        for name in PER_ROW:
            if name == "observation" or (group, name) in present:
                rows[group, name] = (group, name)
    for place, key in rows.items():
        out[place] = require_key("record_episodes", batch, key, _HINT)
        out[keys.next_key(place)] = require_key("record_episodes", batch, keys.next_key(key), _HINT)
    return out.reshape(-1, batch.shape[-1]).cpu()


def _by_stream(parts: list[TensorDictBase]) -> TensorDictBase:
    """The rows of all batches, the first stream's first; in order of time within a stream."""
    rows: TensorDictBase = torch.cat(parts)
    return rows[torch.argsort(rows["stream"], stable=True)]
