"""The rows of a vault as blocks of whole episodes."""

from __future__ import annotations

from collections.abc import Iterator

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import (
    ReadOptions,
    block_spans,
    to_floats,
    to_own_rewards,
    to_team_reward,
)
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.row_ends import RowEnds
from omiga_torchrl.data.layouts.steps import require_own_final, steps_to_episodes
from omiga_torchrl.data.layouts.vault_arrays import OWN, is_discrete, read_actions
from omiga_torchrl.data.layouts.vault_files import VaultFiles


def read_blocks(
    files: VaultFiles,
    ends: RowEnds,
    terminated: Array,
    present: Array | None,
    options: ReadOptions,
    where: str,
    left_out: LeftOut,
) -> Iterator[Episodes]:
    """The episodes of a vault, block by block.

    Args:
        files: the open vault.
        ends: its episodes.
        terminated: whether an episode terminated `[E]`.
        present: where agents take part `[T, N]`; ``None`` means always.
        options: how it is read.
        where: the vault, for messages.
        left_out: takes in the steps that are dropped.

    Raises:
        DataError: discrete actions that are none, or agents' rewards that differ.
    """
    arrays = dict(files.arrays)
    own = files.metadata.get(OWN)
    if isinstance(own, dict) and own.get("state") == "observations":
        arrays.pop("infos.state", None)
    discrete = is_discrete(files)
    for first, last in block_spans(ends.rows, sum(array.row_bytes for array in arrays.values())):
        part = ends.part(first, last)
        start, stop = int(part.start[0]), int(part.start[-1] + part.rows[-1])
        at = f"{where}, rows {start} to {stop - 1}"
        rows = {name: array[start:stop] for name, array in arrays.items()}
        rows = part.take(rows if present is None else {**rows, "present": present[start:stop]})
        legals = rows.get("infos.legals") if discrete else None
        state = rows.get("infos.state")
        rewards = to_floats(rows["rewards"])
        late = part.delimited & ~terminated[first:last]
        require_own_final(rows["observations"], part.rows, late, at)
        block = steps_to_episodes(
            to_floats(rows["observations"]),
            read_actions(part.without_delimiters(rows["actions"]), legals, at),
            to_team_reward(rewards, options, at),
            terminated[first:last],
            part.rows,
            action_mask=None if legals is None else legals != 0,
            state=None if state is None else to_floats(state).reshape(len(state), -1),
            own_reward=to_own_rewards(rewards, options, at),
            agent_mask=rows.get("present"),
            delimited=part.delimited,
            left_out=left_out,
        )
        if len(block):
            yield block
